import Files
import OrderedCollections
import Synchronization
import Tensors

/// The weights and the configuration of one model, as they lie on disk.
///
/// Containers only: what a tensor's name means is for module Models to say. Opening maps the weight
/// files and checks every header whole, but reads no weights. The files must not change while a
/// checkpoint is open; see `MappedFile` for one that is made shorter.
public final class Checkpoint: Sendable {
    public enum Format: String, Sendable {
        case safetensors, gguf
    }

    /// As given to `open`.
    public let path: String
    public let format: Format
    /// Every tensor of a type that weights can have, by name, in the order of the files.
    public let tensors: OrderedDictionary<String, StoredTensor>
    /// Names and types of the tensors that no weight can be read from, such as buffers of I64 or
    /// BOOL.
    public let otherTensors: OrderedDictionary<String, String>
    /// `config.json`, an object; null for a GGUF file.
    public let config: JSON
    /// The key/value table of a GGUF file; empty for safetensors.
    public let metadata: GGUFMetadata
    /// Paths of the weight files.
    public let files: [String]
    /// Where the base model of an adapter lies; nil for what is no adapter.
    public let basePath: String?

    // What the fingerprint is of; its bytes are kept mapped by `mappings`.
    nonisolated(unsafe) let entries: [StoredEntry]
    let mappings: [MappedFile]
    private let knownFingerprint = Mutex<String?>(nil)

    /// Opens a Hugging Face model directory (`config.json` beside `model.safetensors` or beside
    /// `model.safetensors.index.json` and its shards) or a GGUF file, of a split one any part.
    ///
    /// Links are followed: the caches of Hugging Face are made of them, and who can place a link can
    /// name its target as well. A *name* that a file gives is not: an index names shards by plain
    /// names in its own directory.
    ///
    /// A directory with a LoRA adapter of PEFT (`adapter_config.json`) opens as its base model with the
    /// adapter merged into the weights.
    /// - Parameters:
    ///   - base: finds the base model that an adapter names, where no path of that name is there.
    ///   - roundsMerged: whether merged weights are rounded to the type of the base's, to be written;
    ///     else they stay f32.
    /// - Throws: `CheckpointError` naming the file and, where there is one, the tensor.
    public static func open(
        _ path: String, base: (String) -> String? = { _ in nil }, roundsMerged: Bool = false
    ) throws(CheckpointError) -> Checkpoint {
        switch Paths.kind(path) {
        case .directory where LoRAAdapter.isAdapter(path):
            let adapter = try LoRAAdapter(directory: path)
            return try Checkpoint(
                adapter: adapter, on: adapter.openBase(base), rounds: roundsMerged)
        case .directory:
            return try Checkpoint(path: path, directory: try SafetensorsDirectory(path: path))
        case .file where path.hasSuffix(".safetensors"):
            throw .notACheckpoint(
                path: path, problem: "weights without their configuration",
                advice: "give the directory that holds this file and config.json")
        case .file, .other:
            return try Checkpoint(path: path, gguf: try GGUFParts(path: path))
        case .missing:
            throw .notACheckpoint(
                path: path, problem: "no such file or directory",
                advice: "give a Hugging Face model directory or a .gguf file")
        }
    }

    private convenience init(
        path: String, directory: SafetensorsDirectory
    ) throws(CheckpointError) {
        try self.init(
            path: path, format: .safetensors,
            contents: directory.files.map { ($0.file, $0.entries) },
            config: directory.config, metadata: GGUFMetadata())
    }

    private convenience init(path: String, gguf: GGUFParts) throws(CheckpointError) {
        try self.init(
            path: path, format: .gguf, contents: gguf.files.map { ($0.file, $0.entries) },
            config: .null, metadata: gguf.metadata)
    }

    /// Weights and configuration that did not come from files, for fuzzing.
    package convenience init(safetensors: MappedFile, config: JSON) throws(CheckpointError) {
        let file = try SafetensorsFile(safetensors)
        try self.init(
            path: safetensors.path, format: .safetensors, contents: [(file.file, file.entries)],
            config: config, metadata: GGUFMetadata())
    }

    /// As above, of a GGUF file that is whole.
    package convenience init(gguf: MappedFile) throws(CheckpointError) {
        let file = try GGUFFile(gguf)
        try self.init(
            path: gguf.path, format: .gguf, contents: [(file.file, file.entries)], config: .null,
            metadata: file.metadata)
    }

    init(
        path: String, format: Format, contents: [(file: MappedFile, entries: [StoredEntry])],
        config: JSON, metadata: GGUFMetadata, basePath: String? = nil
    ) throws(CheckpointError) {
        var tensors: OrderedDictionary<String, StoredTensor> = [:]
        var otherTensors: OrderedDictionary<String, String> = [:]
        var holder: [String: String] = [:]
        for (file, entries) in contents {
            for entry in entries {
                if let first = holder.updateValue(file.path, forKey: entry.name) {
                    throw .duplicateTensor(tensor: entry.name, first: first, second: file.path)
                }
                if let type = entry.type {
                    tensors[entry.name] = StoredTensor(
                        name: entry.name, type: type, shape: entry.shape, bytes: entry.bytes,
                        file: file)
                } else {
                    otherTensors[entry.name] = entry.typeName
                }
            }
        }
        self.path = path
        self.format = format
        self.tensors = tensors
        self.otherTensors = otherTensors
        self.config = config
        self.metadata = metadata
        self.basePath = basePath
        files = Array(OrderedSet(contents.map(\.file.path)))
        entries = contents.flatMap(\.entries)
        mappings = contents.map(\.file)
    }

    /// The path of a file such as `tokenizer.json` that lies beside the weights, of an adapter beside its
    /// own or its base's; nil if nothing of that name does.
    /// `name` must be a plain file name.
    public func file(named name: String) -> String? {
        guard Paths.isPlainName(name) else { return nil }
        let directory = format == .safetensors ? path : Paths.directory(of: path)
        return [directory, basePath].compactMap { $0 }.map { Paths.join($0, name) }
            .first { Paths.kind($0) != .missing }
    }
}

// MARK: - Hashes

extension Checkpoint {
    /// SHA-256, in lower-case hexadecimal, of what tells this checkpoint from another without
    /// reading it whole. The hashed bytes are, for each tensor (those of `otherTensors` too) in the
    /// order of the names' UTF-8 bytes, with every number as 8 bytes little-endian:
    ///
    ///     length of the name, the name, length of the type's name, the type's name (such as BF16),
    ///     number of dimensions, each dimension (outermost first), length of the data,
    ///     the first min(4096, length) bytes of the data, the last min(4096, length) bytes
    ///
    /// Which file holds a tensor, and where, does not count. Computed when first asked for.
    public var fingerprint: String {
        knownFingerprint.withLock { known in
            if let known { return known }
            let computed = computeFingerprint()
            known = computed
            return computed
        }
    }

    private func computeFingerprint() -> String {
        var hash = SHA256()
        // A local function that captured the hash would keep it from being consumed at the end.
        func number(_ value: Int, into hash: inout SHA256) {
            withUnsafeBytes(of: UInt64(value).littleEndian) { hash.update($0) }
        }
        func text(_ value: String, into hash: inout SHA256) {
            number(value.utf8.count, into: &hash)
            hash.update(value.utf8)
        }
        let sorted = entries.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        for entry in sorted {
            text(entry.name, into: &hash)
            text(entry.typeName, into: &hash)
            number(entry.shape.count, into: &hash)
            for size in entry.shape { number(size, into: &hash) }
            number(entry.bytes.count, into: &hash)
            let length = min(4096, entry.bytes.count)
            hash.update(UnsafeRawBufferPointer(rebasing: entry.bytes.prefix(length)))
            hash.update(UnsafeRawBufferPointer(rebasing: entry.bytes.suffix(length)))
        }
        return hash.hexadecimal()
    }

    /// SHA-256 of each weight file, whole, by the path in `files`. Reads every byte.
    /// - Parameter progress: called now and then with the bytes read and the bytes there are.
    /// - Throws: `CheckpointError.file` if a file cannot be read.
    public func sha256OfFiles(
        progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(CheckpointError) -> [String: String] {
        let total = files.reduce(0) { $0 + ((try? MappedFile(path: $1))?.bytes.count ?? 0) }
        var done = 0
        var hashes: [String: String] = [:]
        for path in files {
            var hash = SHA256()
            do {
                try FileChunks.forEach(path: path) { chunk in
                    hash.update(chunk)
                    done += chunk.count
                    progress(done, total)
                }
            } catch {
                throw .file(error)
            }
            hashes[path] = hash.hexadecimal()
        }
        return hashes
    }
}
