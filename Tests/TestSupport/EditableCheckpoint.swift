import Files
import Foundation

/// A copy of a golden checkpoint whose configuration and weights can be changed before it is opened.
///
/// Reads and writes `model.safetensors` itself: what a test damages must not depend on the code that
/// is to find the damage.
public struct EditableCheckpoint {
    public struct Tensor {
        public var type: String
        public var shape: [Int]
        public var bytes: [UInt8]

        /// An F32 tensor.
        public init(shape: [Int], values: [Float]) {
            type = "F32"
            self.shape = shape
            bytes = values.flatMap { value in
                withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
            }
        }

        init(type: String, shape: [Int], bytes: [UInt8]) {
            self.type = type
            self.shape = shape
            self.bytes = bytes
        }
    }

    public var config: JSON.Object
    public var tensors: [String: Tensor]

    /// One made from nothing.
    public init(config: JSON.Object, tensors: [String: Tensor]) {
        self.config = config
        self.tensors = tensors
    }

    /// - Parameter folder: holds `config.json` and one `model.safetensors`.
    public init(_ folder: URL) throws {
        config =
            try JSON.read(path: folder.appending(path: "config.json").path).objectValue ?? [:]
        let data = [UInt8](
            try Data(contentsOf: folder.appending(path: "model.safetensors")))
        let length = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        let header = try JSON.parse(Array(data[8..<8 + length])).objectValue ?? [:]
        tensors = [:]
        for (name, entry) in header where name != "__metadata__" {
            let offsets = entry["data_offsets"]?.arrayValue?.compactMap(\.intValue) ?? []
            tensors[name] = Tensor(
                type: entry["dtype"]?.stringValue ?? "",
                shape: entry["shape"]?.arrayValue?.compactMap(\.intValue) ?? [],
                bytes: Array(data[8 + length + offsets[0]..<8 + length + offsets[1]]))
        }
    }

    /// Writes the checkpoint into a new folder, which goes when the result does.
    public func write() throws -> ScratchDirectory {
        let directory = try ScratchDirectory()
        try write(to: directory)
        return directory
    }

    /// Writes the checkpoint's two files into a folder.
    public func write(to directory: ScratchDirectory) throws {
        var header: JSON.Object = [:]
        var contents: [UInt8] = []
        for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
            let end = contents.count + tensor.bytes.count
            header[name] = [
                "dtype": .string(tensor.type),
                "shape": .array(tensor.shape.map { .int(Int64($0)) }),
                "data_offsets": [.int(Int64(contents.count)), .int(Int64(end))],
            ]
            contents += tensor.bytes
        }
        var text = Array(JSON.object(header).text(indent: 0).utf8)
        text += repeatElement(0x20, count: (8 - text.count % 8) % 8)
        let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) }
        try directory.write(length + text + contents, to: "model.safetensors")
        try directory.write(JSON.object(config).text().utf8, to: "config.json")
    }
}
