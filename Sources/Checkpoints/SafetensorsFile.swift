import Files
import OrderedCollections
import Tensors

/// One mapped `.safetensors` file: a 64-bit header length, that many bytes of JSON, then the data.
///
/// What is accepted follows the reference implementation (crate `safetensors`): tensors fill the
/// data without gaps or overlaps and to its end, sizes match shapes, the header has at most
/// 100,000,000 bytes. Duplicate keys, which the reference lets pass, are refused.
struct SafetensorsFile {
    let file: MappedFile
    /// In the order of the data.
    let entries: [StoredEntry]
    /// The strings of `__metadata__`.
    let metadata: [String: String]

    private static let maximumHeaderBytes: UInt64 = 100_000_000

    /// Bits of one element of every type that safetensors files may hold, and the element type for
    /// those that weights are read from.
    private static let types: [String: (bits: Int, element: ElementType?)] = [
        "F64": (64, .f64), "F32": (32, .f32), "F16": (16, .f16), "BF16": (16, .bf16),
        "BOOL": (8, nil), "U8": (8, nil), "I8": (8, nil), "U16": (16, nil), "I16": (16, nil),
        "U32": (32, nil), "I32": (32, nil), "U64": (64, nil), "I64": (64, nil), "C64": (64, nil),
        "F8_E4M3": (8, nil), "F8_E5M2": (8, nil), "F8_E8M0": (8, nil), "F8_E4M3FNUZ": (8, nil),
        "F8_E5M2FNUZ": (8, nil), "F6_E2M3": (6, nil), "F6_E3M2": (6, nil), "F4": (4, nil),
    ]

    /// Where the header places a tensor within the data.
    private struct Placed {
        let entry: StoredEntry
        let start: Int
        let end: Int
    }

    /// - Throws: `CheckpointError` naming the file and, where there is one, the tensor.
    init(path: String) throws(CheckpointError) {
        try self.init(MappedFile(checkpoint: path))
    }

    init(_ file: MappedFile) throws(CheckpointError) {
        let path = file.path
        let header = try Self.header(of: file)
        let json: JSON
        do { json = try JSON.parse(header) } catch {
            throw .invalidHeader(path: path, problem: "not valid JSON: \(error)")
        }
        guard let members = json.objectValue else {
            throw .invalidHeader(path: path, problem: "a JSON object is expected, not \(json.kind)")
        }
        let data = UnsafeRawBufferPointer(rebasing: file.bytes[(8 + header.count)...])
        var placed: [Placed] = []
        placed.reserveCapacity(members.count)
        for (name, value) in members where name != "__metadata__" {
            placed.append(try Self.tensor(name, value, data: data, path: path))
        }
        // Ties keep the header's order: an empty tensor stands before the one that starts there.
        let order = placed.indices.sorted {
            (placed[$0].start, placed[$0].end, $0) < (placed[$1].start, placed[$1].end, $1)
        }
        placed = order.map { placed[$0] }
        try Self.checkCoverage(of: placed, size: data.count, path: path)
        self.file = file
        entries = placed.map(\.entry)
        metadata = (members["__metadata__"]?.objectValue ?? [:]).reduce(into: [:]) {
            $0[$1.key] = $1.value.stringValue
        }
    }

    /// The JSON of the header, within the file.
    private static func header(
        of file: MappedFile
    ) throws(CheckpointError) -> UnsafeRawBufferPointer {
        let bytes = file.bytes
        guard bytes.count >= 8 else {
            throw .truncated(
                path: file.path, what: "the header's length", needed: 8, actual: bytes.count)
        }
        let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        if length == 0 {
            throw .invalidHeader(path: file.path, problem: "it is empty")
        }
        if length > UInt64(bytes.count - 8) {
            throw .truncated(
                path: file.path, what: "the header", needed: length.addingClamped(8),
                actual: bytes.count)
        }
        if length > maximumHeaderBytes {
            throw .invalidHeader(
                path: file.path,
                problem: "\(length) bytes long, and \(maximumHeaderBytes) is the format's limit")
        }
        return UnsafeRawBufferPointer(rebasing: bytes[8..<8 + Int(length)])
    }

    private static func tensor(
        _ name: String, _ value: JSON, data: UnsafeRawBufferPointer, path: String
    ) throws(CheckpointError) -> Placed {
        func problem(_ text: String) -> CheckpointError {
            .invalidTensor(path: path, tensor: name, problem: text)
        }
        guard value.objectValue != nil else {
            throw problem("the header has \(value.kind) where an object is expected")
        }
        guard let typeName = value["dtype"]?.stringValue else {
            throw problem("the header gives no dtype")
        }
        guard let type = types[typeName] else {
            throw problem("the dtype \(typeName.quotedForMessage) is not one of the format's")
        }
        guard let shape = sizes(value["shape"]) else {
            throw problem("the header gives no shape, a list of sizes that are 0 or more")
        }
        guard let offsets = sizes(value["data_offsets"]), offsets.count == 2 else {
            throw problem("the header gives no data_offsets, two byte offsets")
        }
        let (start, end) = (offsets[0], offsets[1])
        guard start <= end else {
            throw problem("data_offsets \(start) and \(end) are the wrong way round")
        }
        guard end <= data.count else {
            throw problem("the data ends at byte \(data.count), data_offsets at \(end)")
        }
        var count = (partialValue: 1, overflow: false)
        for size in shape where !count.overflow {
            count = count.partialValue.multipliedReportingOverflow(by: size)
        }
        let bits = count.partialValue.multipliedReportingOverflow(by: type.bits)
        guard !count.overflow, !bits.overflow else { throw problem("the shape \(shape) overflows") }
        guard bits.partialValue % 8 == 0 else {
            throw problem("\(bits.partialValue) bits are not whole bytes")
        }
        guard end - start == bits.partialValue / 8 else {
            throw .wrongSize(
                path: path, tensor: name, expected: bits.partialValue / 8, actual: end - start)
        }
        return Placed(
            entry: StoredEntry(
                name: name, typeName: typeName, type: type.element, shape: shape,
                bytes: UnsafeRawBufferPointer(rebasing: data[start..<end])),
            start: start, end: end)
    }

    /// A list of integers that are 0 or more; nil for anything else.
    private static func sizes(_ value: JSON?) -> [Int]? {
        guard let values = value?.arrayValue else { return nil }
        var sizes: [Int] = []
        sizes.reserveCapacity(values.count)
        for value in values {
            guard case .int(let size) = value, size >= 0 else { return nil }
            sizes.append(Int(size))
        }
        return sizes
    }

    private static func checkCoverage(
        of placed: [Placed], size: Int, path: String
    ) throws(CheckpointError) {
        var end = 0
        for (position, tensor) in placed.enumerated() {
            if tensor.start < end {
                let other = placed[position - 1].entry.name.quotedForMessage
                throw .invalidTensor(
                    path: path, tensor: tensor.entry.name,
                    problem: "starts at byte \(tensor.start) of the data, within \(other)")
            }
            if tensor.start > end {
                throw .invalidTensor(
                    path: path, tensor: tensor.entry.name,
                    problem: "starts at byte \(tensor.start) of the data, and bytes from \(end) "
                        + "belong to no tensor")
            }
            end = tensor.end
        }
        guard end == size else {
            throw .invalidHeader(
                path: path,
                problem: "the tensors end at byte \(end) of the data, which has \(size)")
        }
    }
}
