import Files

/// Reads the header of a GGUF file from front to back. Every read is checked against the end of the
/// file before anything is allocated, so that no count in the header is believed.
struct GGUFCursor {
    let file: MappedFile
    private(set) var position = 0

    init(file: MappedFile) { self.file = file }

    private var remaining: Int { file.bytes.count - position }

    /// The next `count` bytes.
    /// - Throws: `CheckpointError.truncated` saying that `what` does not fit.
    mutating func bytes(
        _ count: UInt64, _ what: @autoclosure () -> String
    ) throws(CheckpointError) -> UnsafeRawBufferPointer {
        guard count <= UInt64(remaining) else {
            throw .truncated(
                path: file.path, what: what(), needed: count.addingClamped(UInt64(position)),
                actual: file.bytes.count)
        }
        let end = position + Int(count)
        defer { position = end }
        return UnsafeRawBufferPointer(rebasing: file.bytes[position..<end])
    }

    mutating func integer<T: FixedWidthInteger>(
        as type: T.Type = T.self, _ what: @autoclosure () -> String
    ) throws(CheckpointError) -> T {
        let bytes = try bytes(UInt64(MemoryLayout<T>.size), what())
        return T(littleEndian: bytes.loadUnaligned(as: T.self))
    }

    /// The bytes of a string: a 64-bit length and that many bytes.
    mutating func string(
        _ what: @autoclosure () -> String
    ) throws(CheckpointError) -> UnsafeRawBufferPointer {
        let length: UInt64 = try integer(what())
        return try bytes(length, what())
    }

    /// A string that names something, and so must be UTF-8 and not empty.
    mutating func name(_ what: @autoclosure () -> String) throws(CheckpointError) -> String {
        let bytes = try string(what())
        guard !bytes.isEmpty, let name = String(validating: bytes, as: UTF8.self) else {
            throw .invalidHeader(
                path: file.path, problem: "\(what()) is \(bytes.isEmpty ? "empty" : "not UTF-8")")
        }
        return name
    }

    /// A number of things that take at least `minimumBytes` each in the rest of the file.
    mutating func count(
        minimumBytes: Int, _ what: @autoclosure () -> String
    ) throws(CheckpointError) -> Int {
        let count: UInt64 = try integer(what())
        guard count <= UInt64(remaining / minimumBytes) else {
            throw .invalidHeader(
                path: file.path,
                problem: "\(what()) is \(count), more than the rest of the file can hold")
        }
        return Int(count)
    }
}

extension UInt64 {
    /// The sum, or the largest number where it does not fit: sizes that a damaged file claims.
    func addingClamped(_ other: UInt64) -> UInt64 {
        let sum = addingReportingOverflow(other)
        return sum.overflow ? .max : sum.partialValue
    }
}
