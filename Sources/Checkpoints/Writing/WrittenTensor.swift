import Files

/// A tensor to be written under a name of its own, its bytes as another checkpoint holds them.
public struct WrittenTensor: Sendable {
    public let name: String
    public let source: StoredTensor

    /// - Parameter source: its bytes are copied as they are, blocks of quantised types included.
    public init(name: String, source: StoredTensor) {
        self.name = name
        self.source = source
    }

    /// Bytes that go to the disk in one call: bounds what a copy holds beyond mapped pages.
    static let pieceBytes = 16 << 20

    /// Appends the bytes in pieces.
    /// - Parameter progress: called after each piece with its bytes.
    func write(
        to file: TemporaryFile, progress: (Int) -> Void
    ) throws(FileError) {
        var start = 0
        while start < source.bytes.count {
            let end = min(start + Self.pieceBytes, source.bytes.count)
            try file.write(UnsafeRawBufferPointer(rebasing: source.bytes[start..<end]))
            progress(end - start)
            start = end
        }
    }
}

extension TemporaryFile {
    func write(_ bytes: [UInt8]) throws(FileError) {
        var failure: FileError?
        bytes.withUnsafeBytes { buffer in
            do throws(FileError) { try write(buffer) } catch { failure = error }
        }
        if let failure { throw failure }
    }
}

func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}
