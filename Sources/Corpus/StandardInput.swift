import Files
import Foundation

/// Standard input, read once and hashed while it is read.
final class StandardInput {
    /// In errors.
    static let name = "standard input"

    private var hash: SHA256? = SHA256()
    /// What was read to look at the first line.
    private(set) var head: [UInt8] = []

    /// The next bytes; 0 at the end.
    /// - Throws: `CorpusError.file`, such as where it is closed or a directory.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(CorpusError) -> Int {
        while true {
            let count = Glibc.read(STDIN_FILENO, buffer.baseAddress, buffer.count)
            if count >= 0 {
                hash?.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                return count
            }
            guard errno == EINTR else {
                throw .file(
                    .system(
                        path: Self.name, operation: "read",
                        reason: String(cString: strerror(errno))))
            }
        }
    }

    /// Whether the first line that is not blank is a JSON object: then all lines are taken for such.
    func holdsObjects() throws(CorpusError) -> Bool {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)
        defer { buffer.deallocate() }
        var line: ArraySlice<UInt8>?
        while line == nil, head.count <= TextLines.longestLine {
            let count = try read(into: buffer)
            head += buffer[..<count]
            let start = head.firstIndex { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
            guard let start else {
                if count == 0 { return false }
                continue
            }
            // Text shows at its first character; only what may be an object is worth waiting for.
            guard head[start] == UInt8(ascii: "{") else { return false }
            if let end = head[start...].firstIndex(of: 0x0A) {
                line = head[start..<end]
            } else if count == 0 {
                line = head[start...]
            }
        }
        guard let line, let json = try? JSON.parse(Array(line)) else { return false }
        return json.objectValue != nil
    }

    /// All that there is.
    func contents() throws(CorpusError) -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
        defer { buffer.deallocate() }
        var bytes = head
        while true {
            let count = try read(into: buffer)
            guard count > 0 else { return bytes }
            bytes += buffer[..<count]
        }
    }

    /// The SHA-256 of all of it: reads what is left. To be called once.
    func digest() throws(CorpusError) -> String {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
        defer { buffer.deallocate() }
        while try read(into: buffer) > 0 {}
        guard let finished = hash.take() else {
            preconditionFailure("the digest of standard input is taken once")
        }
        return finished.hexadecimal()
    }
}
