import Files
import Foundation

/// One long run of token ids to train on: a token file, read where it lies, or documents joined in memory.
public final class TokenStream: @unchecked Sendable {
    public let path: String
    /// Tokens.
    public let count: Int
    /// Tells whether two trainings saw the same data: length and SHA-256 of the first and last 64 KiB of ids.
    public let fingerprint: String
    private let file: MappedFile?
    private let bytes: UnsafeRawBufferPointer
    private let width: Int
    private let joined: [Int32]
    private let vocabularySize: Int

    /// A `.u16`, `.u32` or `.npy` file.
    /// - Throws: `CorpusError` for a file that cannot be read, is empty or is not whole ids.
    public init(tokenFile path: String, vocabularySize: Int) throws(CorpusError) {
        let file: MappedFile
        do { file = try MappedFile(path: path) } catch { throw .file(error) }
        let layout = try TokenFileLayout(
            path: path, bytes: file.bytes, vocabularySize: vocabularySize)
        let bytes = UnsafeRawBufferPointer(rebasing: file.bytes[layout.start...])
        guard bytes.count % layout.width == 0 else {
            throw .unreadable(
                path: path,
                problem: "\(bytes.count) bytes are not a whole number of \(layout.width)-byte ids")
        }
        guard !bytes.isEmpty else { throw .empty(path: path) }
        self.path = path
        self.file = file
        self.bytes = bytes
        self.vocabularySize = vocabularySize
        width = layout.width
        count = bytes.count / layout.width
        joined = []
        fingerprint = Self.fingerprint(of: bytes)
    }

    /// Documents one after the other, each with `separator` behind it if there is one.
    public init(
        documents: [Document], separator: Int32?, path: String, vocabularySize: Int
    ) {
        var ids: [Int32] = []
        for document in documents {
            ids += document.tokens
            if let separator { ids.append(separator) }
        }
        self.path = path
        self.vocabularySize = vocabularySize
        file = nil
        width = 4
        joined = ids
        bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        count = ids.count
        fingerprint = ids.withUnsafeBytes { Self.fingerprint(of: $0) }
    }

    private static func fingerprint(of bytes: UnsafeRawBufferPointer) -> String {
        var hash = SHA256()
        withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { hash.update($0) }
        let length = min(1 << 16, bytes.count)
        hash.update(UnsafeRawBufferPointer(rebasing: bytes.prefix(length)))
        hash.update(UnsafeRawBufferPointer(rebasing: bytes.suffix(length)))
        return hash.hexadecimal()
    }

    /// Ids at `range` of the stream.
    /// - Throws: `CorpusError.tokenOutOfRange` with the place of an id beyond the vocabulary.
    public func ids(_ range: Range<Int>) throws(CorpusError) -> [Int32] {
        if file == nil { return Array(joined[range]) }
        var ids: [Int32] = []
        ids.reserveCapacity(range.count)
        for index in range {
            let start = index * width
            let id: UInt64 =
                switch width {
                case 2: UInt64(bytes.loadUnaligned(fromByteOffset: start, as: UInt16.self))
                case 4: UInt64(bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self))
                default: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)
                }
            guard id < UInt64(vocabularySize) else {
                throw .tokenOutOfRange(
                    path: path, place: "token \(index), byte \(start) of the ids",
                    id: Int(clamping: id), vocabularySize: vocabularySize)
            }
            ids.append(Int32(id))
        }
        return ids
    }

    /// Looks at every id of a file of at most `most` tokens, so that a wrong one is known before work starts.
    /// - Throws: `CorpusError.tokenOutOfRange`.
    public func check(most: Int = 500_000_000) throws(CorpusError) {
        guard file != nil, count <= most else { return }
        let step = 1 << 16
        for start in stride(from: 0, to: count, by: step) {
            _ = try ids(start..<min(count, start + step))
        }
    }
}
