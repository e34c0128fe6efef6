import Files

/// Writes the weights of a Hugging Face folder: `model.safetensors`, or shards of it beside an index.
///
/// Neither safetensors nor GGUF readers accept two tensors at one offset: a weight that two layers share
/// is written twice.
public enum SafetensorsWriter {
    /// The size that transformers cuts shards at by default.
    public static let defaultShardBytes = 5_000_000_000

    /// Writes tensors in the given order. Equal input gives equal bytes.
    /// - Parameters:
    ///   - folder: exists already; one of a `TemporaryFolder`'s.
    ///   - shardBytes: a shard is closed before the tensor that would make its data larger.
    ///   - progress: called now and then with the bytes written since the last call.
    /// - Throws: `FileError`, such as a full disk.
    /// - Precondition: every tensor is of a type that safetensors have, and no name stands twice.
    public static func write(
        _ tensors: [WrittenTensor], to folder: String, shardBytes: Int = defaultShardBytes,
        progress: (Int) -> Void = { _ in }
    ) throws(FileError) {
        var shards: [[WrittenTensor]] = [[]]
        var size = 0
        for tensor in tensors {
            let bytes = tensor.source.bytes.count
            if size + bytes > shardBytes, let last = shards.last, !last.isEmpty {
                shards.append([])
                size = 0
            }
            shards[shards.count - 1].append(tensor)
            size += bytes
        }
        guard shards.count > 1 else {
            let path = Paths.join(folder, "model.safetensors")
            return try write(shards[0], path: path, progress: progress)
        }
        var map: JSON.Object = [:]
        for (number, shard) in shards.enumerated() {
            let name = "model-\(digits(number + 1))-of-\(digits(shards.count)).safetensors"
            try write(shard, path: Paths.join(folder, name), progress: progress)
            for tensor in shard { map[tensor.name] = .string(name) }
        }
        let total = tensors.reduce(0) { $0 + $1.source.bytes.count }
        try AtomicFile.write(
            ["metadata": ["total_size": .number(total)], "weight_map": .object(map)] as JSON,
            to: Paths.join(folder, "model.safetensors.index.json"))
    }

    private static func digits(_ number: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, 5 - text.count)) + text
    }

    private static func write(
        _ tensors: [WrittenTensor], path: String, progress: (Int) -> Void
    ) throws(FileError) {
        // transformers 4 asks for the framework's name.
        var header: JSON.Object = ["__metadata__": ["format": "pt"]]
        var end = 0
        for tensor in tensors {
            let source = tensor.source
            let bytes = source.bytes.count
            header[tensor.name] = [
                "dtype": .string(source.type.description),
                "shape": .array(source.shape.map { .number($0) }),
                "data_offsets": [.number(end), .number(end + bytes)],
            ]
            end += bytes
        }
        // Padded so that the data begins at a multiple of 8, as the reference implementation does it.
        var text = Array(JSON.object(header).text(indent: 0).utf8)
        text += repeatElement(0x20, count: (8 - text.count % 8) % 8)
        let file = try TemporaryFile(for: path)
        try file.write(littleEndian(UInt64(text.count)) + text)
        for tensor in tensors { try tensor.write(to: file, progress: progress) }
        try file.commit(replacing: false)
    }
}
