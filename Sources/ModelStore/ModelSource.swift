import Checkpoints
import Files
import Foundation
import Models
import Tensors
import Tokenizers

/// Finds a model: by path, by the name of one that `scripts/fetch-model` has fetched, or by its id in the
/// Hugging Face hub's cache. Prints nothing.
public struct ModelSource: Sendable {
    /// Of the checkpoint: a directory or a `.gguf` file.
    public let path: String

    /// - Parameters:
    ///   - argument: a path, also one that begins with `~/`; a hub cache's folder `models--org--name`; a
    ///     short name; or `org/name`.
    ///   - environment: names the caches: `XDG_CACHE_HOME`, `HF_HUB_CACHE`, `HF_HOME`, `HOME`.
    /// - Throws: `ModelStoreError.noSuchModel`.
    public init(
        _ argument: String,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(ModelStoreError) {
        let caches = Caches(environment)
        let given = argument.hasPrefix("~/") ? caches.home + argument.dropFirst() : argument
        if Paths.kind(given) != .missing {
            path = Self.snapshot(of: given) ?? given
            return
        }
        let fetched = ["\(caches.fetched)/\(argument).gguf", "\(caches.fetched)/\(argument)"]
        if !argument.isEmpty, !argument.contains("/"),
            let found = fetched.first(where: { Paths.kind($0) != .missing })
        {
            path = found
            return
        }
        if let folder = caches.hubFolder(of: argument), let found = Self.snapshot(of: folder) {
            path = found
            return
        }
        throw .noSuchModel(
            name: argument, isHubID: Caches.isHubID(argument),
            places: Caches.isHubID(argument) ? [caches.hub] : [caches.fetched])
    }

    /// The files that `refs/main` of a hub cache's folder stands for; nil for any other folder.
    private static func snapshot(of folder: String) -> String? {
        guard
            let commit = try? String(contentsOfFile: folder + "/refs/main", encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines),
            !commit.isEmpty, !commit.contains("/")
        else { return nil }
        let snapshot = "\(folder)/snapshots/\(commit)"
        return Paths.kind(snapshot) == .directory ? snapshot : nil
    }

    /// Where models are kept.
    private struct Caches {
        let home: String
        /// Of `scripts/fetch-model`.
        let fetched: String
        /// Of `huggingface_hub`.
        let hub: String

        init(_ environment: [String: String]) {
            func value(_ name: String) -> String? {
                environment[name].flatMap { $0.isEmpty ? nil : $0 }
            }
            home = value("HOME") ?? NSHomeDirectory()
            let cache = value("XDG_CACHE_HOME") ?? home + "/.cache"
            fetched = cache + "/etd/models"
            hub =
                value("HF_HUB_CACHE") ?? (value("HF_HOME") ?? cache + "/huggingface") + "/hub"
        }

        static func isHubID(_ name: String) -> Bool {
            let parts = name.split(separator: "/", omittingEmptySubsequences: false)
            return parts.count == 2
                && parts.allSatisfy { part in
                    !part.isEmpty && part != "." && part != ".." && part != "~"
                        && part.utf8.allSatisfy {
                            UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 | 0x20
                                || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0
                                || [UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ".")]
                                    .contains($0)
                        }
                }
        }

        /// The cache's folder of a model's id, whose case does not matter, as on the hub.
        func hubFolder(of id: String) -> String? {
            guard Self.isHubID(id) else { return nil }
            let wanted = "models--" + id.replacing("/", with: "--")
            let names = (try? FileManager.default.contentsOfDirectory(atPath: hub)) ?? []
            let found =
                names.first { $0 == wanted }
                ?? names.sorted().first { $0.lowercased() == wanted.lowercased() }
            return found.map { "\(hub)/\($0)" }
        }
    }
}

extension ModelSource {
    /// - Parameters:
    ///   - arithmetic: of the products; what only looks at a model needs not choose.
    ///   - roundsMerged: as in `Checkpoint.open`.
    ///   - note: called with each thing that had to be assumed of the files, on one line.
    /// - Throws: `CheckpointError`, `ModelError`.
    public func open(
        arithmetic: Arithmetic = .f32, roundsMerged: Bool = false,
        note: @escaping @Sendable (String) -> Void = { _ in }
    ) throws -> LoadedModel {
        let checkpoint = try checkpoint(roundsMerged: roundsMerged)
        let model = try Transformer.load(checkpoint, arithmetic: arithmetic)
        return LoadedModel(checkpoint: checkpoint, model: model, note: note)
    }

    /// The weights; the base of a LoRA adapter is looked for as a model is.
    /// - Throws: `CheckpointError`.
    public func checkpoint(roundsMerged: Bool = false) throws(CheckpointError) -> Checkpoint {
        try Checkpoint.open(
            path, base: { try? ModelSource($0).path }, roundsMerged: roundsMerged)
    }

    /// The tokenizer alone: of a directory, nothing but `tokenizer.json` need be there.
    /// - Parameter note: called with each thing that had to be assumed, on one line.
    /// - Throws: `ModelStoreError.noTokenizer`, `TokenizerError`, `CheckpointError`.
    public func tokenizer(note: (String) -> Void = { _ in }) throws -> Tokenizer {
        let checkpoint: Checkpoint
        if Paths.kind(path) == .directory {
            if Paths.kind(path + "/tokenizer.json") != .missing {
                return try Tokenizer(directory: path)
            }
            // An adapter may leave the tokenizer to its base.
            guard Paths.kind(path + "/adapter_config.json") != .missing else {
                throw ModelStoreError.noTokenizer(path: path)
            }
            checkpoint = try self.checkpoint()
        } else {
            checkpoint = try Checkpoint.open(path)
        }
        if checkpoint.format == .safetensors, let file = checkpoint.file(named: "tokenizer.json") {
            return try Tokenizer(directory: Paths.directory(of: file))
        }
        guard let vocabulary = GGUFVocabulary(checkpoint.metadata) else {
            throw ModelStoreError.noTokenizer(path: path)
        }
        let tokenizer = try Tokenizer(vocabulary: vocabulary, path: path)
        for line in tokenizer.notes(of: path) { note(line) }
        return tokenizer
    }
}

extension Tokenizer {
    /// A line for each thing that this tokenizer takes for granted.
    func notes(of path: String) -> [String] {
        assumptions.map { "\(path): \($0)".onOneLine }
    }
}
