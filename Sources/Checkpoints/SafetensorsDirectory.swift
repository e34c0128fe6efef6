import Files
import OrderedCollections

/// A Hugging Face model directory: `config.json` beside `model.safetensors`, or beside shards that
/// `model.safetensors.index.json` lists.
struct SafetensorsDirectory {
    let config: JSON
    /// Shards sorted by name, each in the order of its data.
    let files: [SafetensorsFile]

    private static let single = "model.safetensors"
    private static let index = "model.safetensors.index.json"

    init(path: String) throws(CheckpointError) {
        if Paths.kind(Paths.join(path, Self.single)) != .missing {
            files = [try SafetensorsFile(path: Paths.join(path, Self.single))]
        } else if Paths.kind(Paths.join(path, Self.index)) != .missing {
            files = try Self.shards(directory: path)
        } else {
            throw try Self.withoutWeights(path)
        }
        config = try Self.config(directory: path)
    }

    private static func config(directory: String) throws(CheckpointError) -> JSON {
        let path = Paths.join(directory, "config.json")
        guard Paths.kind(path) != .missing else {
            throw .missingFile(
                directory: directory, name: "config.json", purpose: "which says what the model is")
        }
        let config: JSON
        do { config = try JSON.read(path: path) } catch { throw .file(error) }
        guard config.objectValue != nil else {
            throw .invalidHeader(
                path: path, problem: "a JSON object is expected, not \(config.kind)")
        }
        return config
    }

    /// The shards that the index names, with every tensor it places looked up. A tensor that a shard
    /// holds beyond the index belongs to the checkpoint too, as it does for transformers.
    private static func shards(directory: String) throws(CheckpointError) -> [SafetensorsFile] {
        let path = Paths.join(directory, index)
        let json: JSON
        do { json = try JSON.read(path: path) } catch { throw .file(error) }
        guard let map = json["weight_map"]?.objectValue else {
            throw .invalidHeader(path: path, problem: "it has no object \"weight_map\"")
        }
        var placed: [String: [String]] = [:]
        for (tensor, value) in map {
            guard let shard = value.stringValue else {
                throw .invalidTensor(
                    path: path, tensor: tensor,
                    problem: "weight_map gives \(value.kind) where a file name is expected")
            }
            // A plain name may be a link to elsewhere: the caches of Hugging Face are made of links.
            guard Paths.isPlainName(shard) else {
                throw .shardOutsideDirectory(index: path, shard: shard)
            }
            placed[shard, default: []].append(tensor)
        }
        var files: [SafetensorsFile] = []
        for shard in placed.keys.sorted() {
            let shardPath = Paths.join(directory, shard)
            guard Paths.kind(shardPath) != .missing else {
                throw .missingShard(index: path, shard: shard)
            }
            let file = try SafetensorsFile(path: shardPath)
            let held = Set(file.entries.map(\.name))
            for tensor in placed[shard] ?? [] where !held.contains(tensor) {
                throw .tensorNotInShard(index: path, tensor: tensor, shard: shard)
            }
            files.append(file)
        }
        return files
    }

    /// What to say about a directory without safetensors of the usual names.
    private static func withoutWeights(_ path: String) throws(CheckpointError) -> CheckpointError {
        let names: [String]
        do { names = try Paths.names(in: path) } catch { throw .file(error) }
        if let gguf = names.first(where: { $0.hasSuffix(".gguf") }) {
            return .notACheckpoint(
                path: path, problem: "no \(single), but \(gguf)",
                advice: "give the path of the GGUF file itself")
        }
        let pickles = [".bin", ".pt", ".pth", ".ckpt"]
        if let other = names.first(where: { $0.hasSuffix(".safetensors") }) {
            return .notACheckpoint(
                path: path, problem: "no \(single) and no \(index), but \(other)",
                advice: "fetch the index too, or rename a lone file to \(single)")
        }
        if let pickle = names.first(where: { name in pickles.contains { name.hasSuffix($0) } }) {
            return .pickledOnly(directory: path, file: pickle)
        }
        return .notACheckpoint(
            path: path, problem: "no \(single) and no \(index)",
            advice: "give a Hugging Face model directory or a .gguf file")
    }
}
