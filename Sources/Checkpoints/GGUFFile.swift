import Files
import OrderedCollections
import Tensors

/// One mapped GGUF file of version 2 or 3, little-endian: magic, counts, metadata, tensor table, then
/// the data, its beginning and every tensor aligned to `general.alignment` bytes.
///
/// Tensors may stand in any order and leave gaps, as the Python package `gguf` accepts, but must not
/// overlap.
struct GGUFFile {
    let file: MappedFile
    let metadata: GGUFMetadata
    /// In the order of the table.
    let entries: [StoredEntry]

    private static let defaultAlignment = 32
    private static let maximumDimensions = 4

    init(path: String) throws(CheckpointError) {
        try self.init(MappedFile(checkpoint: path))
    }

    init(_ file: MappedFile) throws(CheckpointError) {
        let path = file.path
        var cursor = GGUFCursor(file: file)
        try Self.checkVersion(&cursor)
        // The shortest tensor record: a name of one byte, no dimensions, a type, an offset.
        let tensorCount = try cursor.count(minimumBytes: 25, "the number of tensors")
        // The shortest entry: a key of one byte, a type, a value of one byte.
        let metadataCount = try cursor.count(minimumBytes: 14, "the number of metadata entries")
        metadata = try Self.metadata(count: metadataCount, &cursor)
        entries = try Self.tensors(
            count: tensorCount, alignment: try Self.alignment(metadata, path: path), &cursor)
        self.file = file
    }

    private static func checkVersion(_ cursor: inout GGUFCursor) throws(CheckpointError) {
        let path = cursor.file.path
        let bigEndian = CheckpointError.unsupportedForm(
            path: path, problem: "a big-endian GGUF file",
            advice: "convert it with gguf-convert-endian of the Python package gguf")
        let magic = try cursor.bytes(4, "the GGUF magic")
        if magic.elementsEqual("FUGG".utf8) { throw bigEndian }
        guard magic.elementsEqual("GGUF".utf8) else {
            throw .notACheckpoint(
                path: path, problem: "not a GGUF file",
                advice: "give a Hugging Face model directory or a .gguf file")
        }
        let version: UInt32 = try cursor.integer("the version")
        // A small number with its bytes swapped has zeros where the version should be.
        if version != 0 && version & 0xFFFF == 0 { throw bigEndian }
        guard version == 2 || version == 3 else {
            throw .unsupportedForm(
                path: path, problem: "GGUF version \(version), and 2 and 3 are read",
                advice: "convert it with a current llama.cpp")
        }
    }

    private static func alignment(
        _ metadata: GGUFMetadata, path: String
    ) throws(CheckpointError) -> Int {
        guard metadata["general.alignment"] != nil else { return defaultAlignment }
        guard metadata.type("general.alignment") == .uint32,
            let alignment = metadata.int("general.alignment"), alignment.nonzeroBitCount == 1
        else {
            throw .invalidHeader(
                path: path, problem: "general.alignment is not a uint32 that is a power of two")
        }
        return alignment
    }
}

// MARK: - Metadata

extension GGUFFile {
    private static func metadata(
        count: Int, _ cursor: inout GGUFCursor
    ) throws(CheckpointError) -> GGUFMetadata {
        var metadata = GGUFMetadata()
        for index in 0..<count {
            let key = try cursor.name("the key of metadata entry \(index)")
            let type = try type(of: "metadata \(key.quotedForMessage)", &cursor)
            let entry = try entry(key, type, &cursor)
            guard metadata.entries.updateValue(entry, forKey: key) == nil else {
                throw .invalidHeader(
                    path: cursor.file.path,
                    problem: "metadata \(key.quotedForMessage) stands there twice")
            }
        }
        return metadata
    }

    private static func type(
        of what: String, _ cursor: inout GGUFCursor
    ) throws(CheckpointError) -> GGUFType {
        let raw: UInt32 = try cursor.integer("the type of \(what)")
        guard let type = GGUFType(rawValue: raw) else {
            throw .invalidHeader(
                path: cursor.file.path, problem: "\(what) has the unknown type \(raw)")
        }
        return type
    }

    private static func entry(
        _ key: String, _ type: GGUFType, _ cursor: inout GGUFCursor
    ) throws(CheckpointError) -> GGUFMetadata.Entry {
        // A function, so that no message is built for values that are in order.
        func what() -> String { "metadata \(key.quotedForMessage)" }
        let value: GGUFValue
        switch type {
        case .uint8: value = .int(Int64(try cursor.integer(as: UInt8.self, what())))
        case .int8: value = .int(Int64(try cursor.integer(as: Int8.self, what())))
        case .uint16: value = .int(Int64(try cursor.integer(as: UInt16.self, what())))
        case .int16: value = .int(Int64(try cursor.integer(as: Int16.self, what())))
        case .uint32: value = .int(Int64(try cursor.integer(as: UInt32.self, what())))
        case .int32: value = .int(Int64(try cursor.integer(as: Int32.self, what())))
        case .int64: value = .int(try cursor.integer(as: Int64.self, what()))
        case .uint64:
            let number: UInt64 = try cursor.integer(what())
            value = Int64(exactly: number).map(GGUFValue.int) ?? .uint(number)
        case .float32: value = .float(Float(bitPattern: try cursor.integer(what())))
        case .float64: value = .double(Double(bitPattern: try cursor.integer(what())))
        case .bool:
            let byte: UInt8 = try cursor.integer(what())
            guard byte <= 1 else {
                throw .invalidHeader(
                    path: cursor.file.path, problem: "\(what()) is a boolean of value \(byte)")
            }
            value = .bool(byte == 1)
        case .string:
            let bytes = try cursor.string(what())
            return GGUFMetadata.Entry(
                type: type, value: .string(String(decoding: bytes, as: UTF8.self)),
                bytes: Array(bytes))
        case .array: value = .array(try array(key, &cursor))
        }
        return GGUFMetadata.Entry(type: type, value: value, bytes: nil)
    }

    /// An array, its elements checked and left in the file.
    private static func array(
        _ key: String, _ cursor: inout GGUFCursor
    ) throws(CheckpointError) -> GGUFArray {
        func what() -> String { "metadata \(key.quotedForMessage)" }
        let path = cursor.file.path
        let type = try type(of: "elements of \(what())", &cursor)
        guard type != .array else {
            throw .invalidHeader(path: path, problem: "\(what()) is an array of arrays")
        }
        let count = try cursor.count(
            minimumBytes: type.minimumBytes, "the number of elements of \(what())")
        let start = cursor.position
        if type == .string {
            for _ in 0..<count { _ = try cursor.string("a string of \(what())") }
        } else {
            let values = try cursor.bytes(UInt64(count * type.minimumBytes), what())
            if type == .bool, let byte = values.first(where: { $0 > 1 }) {
                throw .invalidHeader(
                    path: path, problem: "\(what()) holds a boolean of value \(byte)")
            }
        }
        return GGUFArray(
            elementType: type, count: count,
            encoded: UnsafeRawBufferPointer(rebasing: cursor.file.bytes[start..<cursor.position]),
            file: cursor.file)
    }
}

// MARK: - Tensors

extension GGUFFile {
    /// One line of the tensor table, before the beginning of the data is known.
    private struct Record {
        let name: String
        let type: ElementType
        let shape: [Int]
        /// From the beginning of the data.
        let offset: Int
        let size: Int
    }

    private static func tensors(
        count: Int, alignment: Int, _ cursor: inout GGUFCursor
    ) throws(CheckpointError) -> [StoredEntry] {
        let file = cursor.file
        var records: [Record] = []
        var names: Set<String> = []
        for index in 0..<count {
            let name = try cursor.name("the name of tensor \(index)")
            guard names.insert(name).inserted else {
                throw .duplicateTensor(tensor: name, first: file.path, second: file.path)
            }
            records.append(try record(name, alignment: alignment, &cursor))
        }
        if records.isEmpty { return [] }
        let dataStart = (cursor.position + alignment - 1) / alignment * alignment
        var entries: [StoredEntry] = []
        entries.reserveCapacity(records.count)
        for record in records {
            let start = record.offset.addingReportingOverflow(dataStart)
            let end = start.partialValue.addingReportingOverflow(record.size)
            guard !start.overflow, !end.overflow, end.partialValue <= file.bytes.count else {
                throw .truncated(
                    path: file.path, what: "tensor \(record.name.quotedForMessage)",
                    needed: UInt64(record.offset).addingClamped(UInt64(dataStart))
                        .addingClamped(UInt64(record.size)),
                    actual: file.bytes.count)
            }
            entries.append(
                StoredEntry(
                    name: record.name, typeName: record.type.description, type: record.type,
                    shape: record.shape,
                    bytes: UnsafeRawBufferPointer(
                        rebasing: file.bytes[start.partialValue..<end.partialValue])))
        }
        try checkNoOverlap(of: records, path: file.path)
        return entries
    }

    private static func record(
        _ name: String, alignment: Int, _ cursor: inout GGUFCursor
    ) throws(CheckpointError) -> Record {
        let path = cursor.file.path
        func what() -> String { "the record of tensor \(name.quotedForMessage)" }
        func problem(_ text: String) -> CheckpointError {
            .invalidTensor(path: path, tensor: name, problem: text)
        }
        let dimensions: UInt32 = try cursor.integer(what())
        guard dimensions <= maximumDimensions else {
            throw problem("\(dimensions) dimensions, and \(maximumDimensions) is the most")
        }
        var sizes: [UInt64] = []
        for _ in 0..<dimensions { sizes.append(try cursor.integer(what())) }
        let rawType: UInt32 = try cursor.integer(what())
        let offset: UInt64 = try cursor.integer(what())

        guard let type = GGMLType.elements[rawType] else {
            throw .unsupportedType(
                path: path, tensor: name, type: GGMLType.name(rawType),
                supported: GGMLType.supported)
        }
        var shape: [Int] = []
        var count = (partialValue: 1, overflow: false)
        for size in sizes.reversed() {
            guard let size = Int(exactly: size) else {
                throw problem("a dimension of size \(size)")
            }
            shape.append(size)
            count = count.partialValue.multipliedReportingOverflow(by: size)
            guard !count.overflow else {
                throw problem("the shape \(sizes.reversed() as [UInt64]) overflows")
            }
        }
        // Blocks lie along the innermost dimension; a row is a whole number of them.
        guard (shape.last ?? 1) % type.blockLength == 0 else {
            throw problem(
                "rows of \(shape.last ?? 1) elements are not whole blocks of \(type.blockLength), "
                    + "as \(type) needs")
        }
        let size = (count.partialValue / type.blockLength)
            .multipliedReportingOverflow(by: type.blockBytes)
        guard !size.overflow else {
            throw problem("the shape \(shape) overflows")
        }
        guard let offset = Int(exactly: offset), offset % alignment == 0 else {
            throw problem("its offset \(offset) is not a multiple of the alignment \(alignment)")
        }
        return Record(
            name: name, type: type, shape: shape, offset: offset, size: size.partialValue)
    }

    private static func checkNoOverlap(
        of records: [Record], path: String
    ) throws(CheckpointError) {
        let filled = records.filter { $0.size > 0 }.sorted { $0.offset < $1.offset }
        for (earlier, later) in zip(filled, filled.dropFirst())
        where later.offset < earlier.offset + earlier.size {
            throw .invalidTensor(
                path: path, tensor: later.name,
                problem: "starts at byte \(later.offset) of the data, within "
                    + earlier.name.quotedForMessage)
        }
    }
}

/// The type codes of GGUF tensors.
enum GGMLType {
    static let elements: [UInt32: ElementType] = [
        0: .f32, 1: .f16, 2: .q4_0, 3: .q4_1, 6: .q5_0, 7: .q5_1, 8: .q8_0, 10: .q2_K, 11: .q3_K,
        12: .q4_K, 13: .q5_K, 14: .q6_K, 16: .iq2_xxs, 17: .iq2_xs, 18: .iq3_xxs, 19: .iq1_s,
        20: .iq4_nl, 21: .iq3_s, 22: .iq2_s, 23: .iq4_xs, 28: .f64, 29: .iq1_m, 30: .bf16,
        39: .mxfp4,
    ]

    /// Names of the codes that are known and not read, for messages.
    private static let others: [UInt32: String] = [
        4: "Q4_2 (withdrawn)", 5: "Q4_3 (withdrawn)", 9: "Q8_1 (of activations)",
        15: "Q8_K (of activations)", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 34: "TQ1_0",
        35: "TQ2_0", 40: "NVFP4", 41: "Q1_0",
    ]

    static func name(_ code: UInt32) -> String {
        elements[code]?.description ?? others[code] ?? "number \(code)"
    }

    static var supported: String {
        let names = ElementType.allCases.map(\.description)
        return names.dropLast().joined(separator: ", ") + " or " + (names.last ?? "")
    }
}
