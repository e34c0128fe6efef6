/// Writes GGUF files for tests, the wrong ones as readily as the right ones. It shares nothing with
/// the reader; the files that the reference writes are tested beside those it makes.
struct GGUFBuilder {
    struct Tensor {
        var name: [UInt8]
        /// Innermost first, as in the file.
        var dimensions: [UInt64]
        var type: UInt32
        /// From the beginning of the data; nil puts it at the next aligned place.
        var offset: UInt64?
        var bytes: [UInt8]
    }

    var magic = Array("GGUF".utf8)
    var version: UInt32 = 3
    /// Nil for the true numbers.
    var tensorCount: UInt64?
    var metadataCount: UInt64?
    /// Key, type and encoded value of each entry.
    var metadata: [(key: [UInt8], type: UInt32, value: [UInt8])] = []
    var tensors: [Tensor] = []
    /// Of the data; to be told to readers, `general.alignment` must be in the metadata.
    var alignment = 32

    static func string(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        let bytes = Array(bytes)
        return littleEndian(UInt64(bytes.count)) + bytes
    }

    mutating func add(_ key: String, _ type: UInt32, _ value: [UInt8]) {
        metadata.append((Array(key.utf8), type, value))
    }

    mutating func add(_ key: String, string: String) {
        add(key, 8, Self.string(string.utf8))
    }

    mutating func setAlignment(_ value: UInt32) {
        alignment = Int(value)
        add("general.alignment", 4, littleEndian(value))
    }

    mutating func add(
        tensor name: String, _ dimensions: [UInt64], type: UInt32, offset: UInt64? = nil,
        _ bytes: [UInt8]
    ) {
        tensors.append(
            Tensor(
                name: Array(name.utf8), dimensions: dimensions, type: type, offset: offset,
                bytes: bytes))
    }

    func bytes() -> [UInt8] {
        var out = magic + littleEndian(version)
        out += littleEndian(tensorCount ?? UInt64(tensors.count))
        out += littleEndian(metadataCount ?? UInt64(metadata.count))
        for entry in metadata {
            out += Self.string(entry.key) + littleEndian(entry.type) + entry.value
        }
        var data: [UInt8] = []
        for tensor in tensors {
            data += repeatElement(0, count: padding(data.count))
            out += Self.string(tensor.name) + littleEndian(UInt32(tensor.dimensions.count))
            for size in tensor.dimensions { out += littleEndian(size) }
            out += littleEndian(tensor.type)
            out += littleEndian(tensor.offset ?? UInt64(data.count))
            data += tensor.bytes
        }
        out += repeatElement(0, count: padding(out.count))
        return out + data
    }

    private func padding(_ count: Int) -> Int {
        alignment > 0 ? (alignment - count % alignment) % alignment : 0
    }
}
