import Checkpoints
import Files
import Foundation
import Models
import Records
import Tensors
import Tokenizers

/// Finds models by path or short name and opens what a command needs of them.
public struct ModelSource {
    public let path: String

    /// A path that exists, or a short name of a model in the cache of `scripts/fetch-model`.
    /// - Throws: `CommandError.noSuchModel`.
    public init(_ argument: String) throws {
        let manager = FileManager.default
        if manager.fileExists(atPath: argument) {
            path = argument
            return
        }
        let environment = ProcessInfo.processInfo.environment
        let cache =
            environment["XDG_CACHE_HOME"].flatMap { $0.isEmpty ? nil : $0 }
            ?? (environment["HOME"] ?? "/root") + "/.cache"
        let folder = cache + "/etd/models"
        let fetched = [folder + "/\(argument).gguf", folder + "/\(argument)"]
        guard !argument.isEmpty, !argument.contains("/"),
            let found = fetched.first(where: manager.fileExists)
        else {
            throw CommandError.noSuchModel(name: argument, cache: folder)
        }
        path = found
    }

    /// - Parameters:
    ///   - arithmetic: of the products; what only looks at a model needs not choose.
    ///   - quiet: whether notes about what was read stay away from standard error.
    public func open(arithmetic: Arithmetic = .f32, quiet: Bool = false) throws -> LoadedModel {
        let checkpoint = try Checkpoint.open(path)
        let model = try Transformer.load(checkpoint, arithmetic: arithmetic)
        return LoadedModel(checkpoint: checkpoint, model: model, quiet: quiet)
    }

    /// The tokenizer alone: of a directory, nothing but `tokenizer.json` need be there. What had to be
    /// assumed is noted on standard error.
    public func tokenizer() throws -> Tokenizer {
        var isDirectory: ObjCBool = false
        _ = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
        if isDirectory.boolValue {
            guard FileManager.default.fileExists(atPath: path + "/tokenizer.json") else {
                throw CommandError.noTokenizer(path: path)
            }
            return try Tokenizer(directory: path)
        }
        guard let vocabulary = GGUFVocabulary(try Checkpoint.open(path).metadata) else {
            throw CommandError.noTokenizer(path: path)
        }
        let tokenizer = try Tokenizer(vocabulary: vocabulary, path: path)
        Terminal.note(tokenizer, of: path)
        return tokenizer
    }
}

/// A checkpoint with the model made of it.
public struct LoadedModel {
    public let checkpoint: Checkpoint
    public let model: Transformer
    /// Whether notes stay away from standard error.
    let quiet: Bool
    /// The tokenizer beside or inside the weights, opened where a text is first read or written. What
    /// had to be assumed is noted on standard error then.
    ///
    /// It may have ids that the embedding has no rows for, as published files do: whoever makes ids of a
    /// text checks them.
    public let lazyTokenizer: LazyTokenizer

    init(checkpoint: Checkpoint, model: Transformer, quiet: Bool) {
        self.checkpoint = checkpoint
        self.model = model
        self.quiet = quiet
        lazyTokenizer = LazyTokenizer { () throws(TokenizerError) in
            let tokenizer = try Self.tokenizer(checkpoint)
            if let tokenizer, !quiet { Terminal.note(tokenizer, of: checkpoint.path) }
            return tokenizer
        }
    }

    /// The tokenizer, opened now; nil if there is none.
    public func tokenizer() throws(TokenizerError) -> Tokenizer? { try lazyTokenizer.get() }

    /// The tokenizer, without a note of what had to be assumed.
    static func tokenizer(_ checkpoint: Checkpoint) throws(TokenizerError) -> Tokenizer? {
        if checkpoint.format == .gguf {
            guard let vocabulary = GGUFVocabulary(checkpoint.metadata) else { return nil }
            return try Tokenizer(vocabulary: vocabulary, path: checkpoint.path)
        }
        guard checkpoint.file(named: "tokenizer.json") != nil else { return nil }
        return try Tokenizer(directory: checkpoint.path)
    }

    /// SHA-256 of `tokenizer.json`, or of the tokens and merges inside a GGUF; empty without one.
    public func tokenizerHash() throws -> String {
        var hash = SHA256()
        if checkpoint.format == .gguf {
            guard let tokens = checkpoint.metadata.byteStrings("tokenizer.ggml.tokens") else {
                return ""
            }
            let merges = checkpoint.metadata.byteStrings("tokenizer.ggml.merges") ?? []
            for string in tokens + merges {
                hash.update(string)
                hash.update([0])
            }
        } else if let file = checkpoint.file(named: "tokenizer.json") {
            hash.update(try MappedFile.contents(path: file))
        } else {
            return ""
        }
        return hash.hexadecimal()
    }

    /// - Parameter hashed: whether to read every weight file for its SHA-256.
    public func record(hashed: Bool) throws -> ModelRecord {
        let c = model.configuration
        return ModelRecord(
            path: checkpoint.path, architecture: c.architecture, layers: c.layerCount,
            hiddenSize: c.hiddenSize, vocabularySize: c.vocabularySize,
            parameters: model.parameterCount, fingerprint: checkpoint.fingerprint,
            sha256: hashed ? try checkpoint.sha256OfFiles() : nil)
    }
}

extension Terminal {
    /// A line on standard error for each thing that a tokenizer takes for granted.
    static func note(_ tokenizer: Tokenizer, of path: String) {
        for assumption in tokenizer.assumptions { note("\(path): \(assumption)".onOneLine) }
    }
}
