import CKernels
import Files
import Tensors

/// A tensor to be written whose f32 values are encoded on their way to the file.
public struct EncodedTensor {
    public var name: String
    /// f32, bf16 or f16.
    public var type: ElementType
    public var shape: [Int]
    /// Called when it is written, so that no more than one tensor has to be laid out at a time.
    public var values: () -> FloatBuffer

    /// - Precondition: `type` is f32, bf16 or f16.
    public init(
        name: String, type: ElementType, shape: [Int], values: @escaping () -> FloatBuffer
    ) {
        precondition([.f32, .bf16, .f16].contains(type))
        self.name = name
        self.type = type
        self.shape = shape
        self.values = values
    }

    var bytes: Int { type.bytes(count: shape.reduce(1, *)) }

    func write(to file: TemporaryFile) throws(FileError) {
        let buffer = values()
        let count = shape.reduce(1, *)
        precondition(buffer.count == count)
        if type == .f32 {
            try file.write(UnsafeRawBufferPointer(start: buffer.pointer, count: count * 4))
            return
        }
        let piece = 1 << 22
        var halves = [UInt16](repeating: 0, count: min(piece, count))
        for start in stride(from: 0, to: count, by: piece) {
            let length = min(piece, count - start)
            if type == .bf16 {
                etd_round_bf16(buffer.pointer + start, &halves, length)
            } else {
                etd_round_f16(buffer.pointer + start, &halves, length)
            }
            var failure: FileError?
            halves.withUnsafeBytes { bytes in
                do throws(FileError) {
                    try file.write(UnsafeRawBufferPointer(rebasing: bytes[..<(2 * length)]))
                } catch { failure = error }
            }
            if let failure { throw failure }
        }
    }
}

extension SafetensorsWriter {
    /// Writes one `.safetensors` file, with what others copy between the encoded tensors: the order is that
    /// of `tensors`.
    /// - Throws: `FileError`, such as a full disk.
    public static func write(
        encoded tensors: [EncodedTensor], copied: [WrittenTensor] = [],
        metadata: [String: String] = ["format": "pt"], path: String
    ) throws(FileError) {
        var header: JSON.Object = [
            "__metadata__": .object(
                JSON.Object(
                    uniqueKeysWithValues: metadata.sorted { $0.key < $1.key }
                        .map { ($0.key, JSON.string($0.value)) }))
        ]
        var end = 0
        func place(_ name: String, _ type: ElementType, _ shape: [Int], _ bytes: Int) {
            header[name] = [
                "dtype": .string(type.description), "shape": .array(shape.map { .number($0) }),
                "data_offsets": [.number(end), .number(end + bytes)],
            ]
            end += bytes
        }
        for tensor in tensors { place(tensor.name, tensor.type, tensor.shape, tensor.bytes) }
        for tensor in copied {
            place(
                tensor.name, tensor.source.type, tensor.source.shape, tensor.source.bytes.count)
        }
        // Padded so that the data begins at a multiple of 8, as the reference implementation does it.
        var text = Array(JSON.object(header).text(indent: 0).utf8)
        text += repeatElement(0x20, count: (8 - text.count % 8) % 8)
        let file = try TemporaryFile(for: path)
        try file.write(littleEndian(UInt64(text.count)) + text)
        for tensor in tensors { try tensor.write(to: file) }
        for tensor in copied { try tensor.write(to: file) { _ in } }
        try file.commit(replacing: false)
    }
}
