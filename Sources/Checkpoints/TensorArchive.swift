import Files
import OrderedCollections
import Tensors

/// A `.safetensors` file by itself, without a model's configuration: tensors by name and a table of
/// strings. What the names mean is for others to say.
public struct TensorArchive: Sendable {
    public let path: String
    /// `__metadata__`; entries that are no strings are left out.
    public let metadata: [String: String]
    /// Every tensor of a type that weights can have, in the order of the file.
    public let tensors: OrderedDictionary<String, StoredTensor>

    /// - Throws: `CheckpointError` naming the file and, where there is one, the tensor.
    public init(path: String) throws(CheckpointError) {
        let file = try SafetensorsFile(path: path)
        self.path = path
        metadata = file.metadata
        var tensors: OrderedDictionary<String, StoredTensor> = [:]
        for entry in file.entries {
            guard let type = entry.type else { continue }
            tensors[entry.name] = StoredTensor(
                name: entry.name, type: type, shape: entry.shape, bytes: entry.bytes,
                file: file.file)
        }
        self.tensors = tensors
    }

    /// An f32 tensor to be written. `values` has to outlive the call that writes it.
    public struct Part {
        public var name: String
        public var shape: [Int]
        public var values: UnsafePointer<Float>

        public init(name: String, shape: [Int], values: UnsafePointer<Float>) {
            self.name = name
            self.shape = shape
            self.values = values
        }
    }

    /// Writes f32 tensors in the given order, under a temporary name first. Equal input gives equal
    /// bytes.
    /// - Throws: `FileError`.
    public static func write(
        _ parts: [Part], metadata: [String: String], to output: Output
    ) throws(FileError) {
        var header: JSON.Object = [
            "__metadata__": .object(
                JSON.Object(
                    uniqueKeysWithValues: metadata.sorted { $0.key < $1.key }
                        .map { ($0.key, JSON.string($0.value)) }))
        ]
        var end = 0
        var contents: [UnsafeRawBufferPointer] = []
        for part in parts {
            let bytes = part.shape.reduce(4, *)
            header[part.name] = [
                "dtype": "F32", "shape": .array(part.shape.map { .number($0) }),
                "data_offsets": [.number(end), .number(end + bytes)],
            ]
            contents.append(UnsafeRawBufferPointer(start: part.values, count: bytes))
            end += bytes
        }
        // Padded so that the data begins at a multiple of 8, as the reference implementation does it.
        var text = Array(JSON.object(header).text(indent: 0).utf8)
        text += repeatElement(0x20, count: (8 - text.count % 8) % 8)
        let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) }
        let start = length + text
        var failure: FileError?
        start.withUnsafeBytes { buffer in
            do throws(FileError) {
                try output.write(parts: [buffer] + contents)
            } catch { failure = error }
        }
        if let failure { throw failure }
    }
}
