import Files
import Tensors

/// Writes a GGUF file, version 3: metadata in the order they have, then tensors, each aligned to
/// `general.alignment`, their blocks as another GGUF holds them.
public enum GGUFWriter {
    /// Writes one file under a temporary name first. Equal input gives equal bytes.
    /// - Parameters:
    ///   - metadata: of the whole model; keys of a split file (`split.`…) are left out, since this is
    ///     one file.
    ///   - progress: called now and then with the bytes written since the last call.
    /// - Throws: `FileError`, such as a full disk.
    /// - Precondition: no name stands twice.
    public static func write(
        _ tensors: [WrittenTensor], metadata: GGUFMetadata, to path: String, replacing: Bool,
        progress: (Int) -> Void = { _ in }
    ) throws(FileError) {
        let alignment = metadata.int("general.alignment") ?? 32
        func padding(_ size: Int) -> Int { (alignment - size % alignment) % alignment }
        let entries = metadata.entries.filter { !$0.key.hasPrefix("split.") }
        var header = Array("GGUF".utf8) + littleEndian(UInt32(3))
        header += littleEndian(UInt64(tensors.count)) + littleEndian(UInt64(entries.count))
        for (key, entry) in entries {
            header += string(Array(key.utf8)) + littleEndian(entry.type.rawValue)
            append(entry, to: &header)
        }
        var offset = 0
        for tensor in tensors {
            let source = tensor.source
            header += string(Array(tensor.name.utf8))
            header += littleEndian(UInt32(source.shape.count))
            for size in source.shape.reversed() { header += littleEndian(UInt64(size)) }
            header += littleEndian(GGMLType.code(source.type)) + littleEndian(UInt64(offset))
            offset += source.bytes.count + padding(source.bytes.count)
        }
        header += [UInt8](repeating: 0, count: padding(header.count))
        let file = try TemporaryFile(for: path)
        try file.write(header)
        for tensor in tensors {
            try tensor.write(to: file, progress: progress)
            try file.write([UInt8](repeating: 0, count: padding(tensor.source.bytes.count)))
        }
        try file.commit(replacing: replacing)
    }

    /// A string: a 64-bit length and the bytes.
    private static func string(_ bytes: [UInt8]) -> [UInt8] {
        littleEndian(UInt64(bytes.count)) + bytes
    }

    private static func append(_ entry: GGUFMetadata.Entry, to out: inout [UInt8]) {
        switch entry.value {
        case .int(let value):
            // The width is the type's; the value came from one of that width.
            let width = entry.type.minimumBytes
            out += littleEndian(value).prefix(width)
        case .uint(let value): out += littleEndian(value)
        case .float(let value): out += littleEndian(value.bitPattern)
        case .double(let value): out += littleEndian(value.bitPattern)
        case .bool(let value): out.append(value ? 1 : 0)
        case .string(let value): out += string(entry.bytes ?? Array(value.utf8))
        case .array(let array):
            out += littleEndian(array.elementType.rawValue) + littleEndian(UInt64(array.count))
            out += array.encoded
        }
    }
}

extension GGMLType {
    /// The code of a type; every element type is one that GGUF files have.
    static func code(_ type: ElementType) -> UInt32 {
        elements.first { $0.value == type }?.key ?? 0
    }
}

extension GGUFMetadata {
    /// Sets an integer that is there, keeping its place and its type.
    /// - Returns: whether the key is there, is an integer and can hold the value.
    public mutating func replace(_ key: String, int value: Int) -> Bool {
        guard let entry = entries[key], case .int = entry.value, value >= 0,
            value < 1 << (8 * min(entry.type.minimumBytes, 7) - 1)
        else { return false }
        entries[key] = Entry(type: entry.type, value: .int(Int64(value)), bytes: nil)
        return true
    }

    /// Sets a string, at the end where it is new.
    public mutating func set(_ key: String, string value: String) {
        entries[key] = Entry(type: .string, value: .string(value), bytes: Array(value.utf8))
    }

    public mutating func remove(_ key: String) { entries[key] = nil }

    /// Replaces an array of plain values by its elements at `indices`, in that order.
    /// - Returns: whether the key is an array of numbers or booleans that has all these elements.
    public mutating func select(_ key: String, _ indices: [Int]) -> Bool {
        guard let entry = entries[key], case .array(let array) = entry.value,
            array.elementType != .string,
            indices.allSatisfy({ (0..<array.count).contains($0) })
        else { return false }
        let width = array.elementType.minimumBytes
        var bytes: [UInt8] = []
        for index in indices { bytes += array.encoded[index * width..<(index + 1) * width] }
        let file = bytes.withUnsafeBytes { MappedFile(path: array.file.path, contents: $0) }
        let selected = GGUFArray(
            elementType: array.elementType, count: indices.count, encoded: file.bytes, file: file)
        entries[key] = Entry(type: .array, value: .array(selected), bytes: nil)
        return true
    }
}
