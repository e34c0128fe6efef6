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

    /// - Parameter arithmetic: of the products; what only looks at a model needs not choose.
    public func open(arithmetic: Arithmetic = .f32) throws -> LoadedModel {
        let checkpoint = try Checkpoint.open(path)
        let model = try Transformer.load(checkpoint, arithmetic: arithmetic)
        return LoadedModel(checkpoint: checkpoint, model: model)
    }

    /// The tokenizer alone: of a directory, nothing but `tokenizer.json` need be there.
    public func tokenizer() throws -> Tokenizer {
        var isDirectory: ObjCBool = false
        _ = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
        if isDirectory.boolValue {
            let file = path + "/tokenizer.json"
            guard FileManager.default.fileExists(atPath: file) else {
                throw CommandError.noTokenizer(path: path)
            }
            return try TokenizerFiles.huggingFace(file, directory: path)
        }
        guard let tokenizer = try TokenizerFiles.gguf(Checkpoint.open(path)) else {
            throw CommandError.noTokenizer(path: path)
        }
        return tokenizer
    }
}

/// A checkpoint with the model made of it.
public struct LoadedModel {
    public let checkpoint: Checkpoint
    public let model: Transformer

    /// The tokenizer beside or inside the weights; nil if there is none.
    /// - Throws: `CommandError.vocabularyMismatch` if it has ids that the embedding lacks.
    public func tokenizer() throws -> Tokenizer? {
        let tokenizer: Tokenizer?
        if checkpoint.format == .gguf {
            tokenizer = try TokenizerFiles.gguf(checkpoint)
        } else if let file = checkpoint.file(named: "tokenizer.json") {
            tokenizer = try TokenizerFiles.huggingFace(file, directory: checkpoint.path)
        } else {
            tokenizer = nil
        }
        let rows = model.configuration.vocabularySize
        if let tokenizer, tokenizer.vocabularySize > rows {
            throw CommandError.vocabularyMismatch(
                path: checkpoint.path, tokenizer: tokenizer.vocabularySize, embedding: rows)
        }
        return tokenizer
    }

    /// SHA-256 of what the tokenizer is made from; empty without one.
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

/// Makes tokenizers of the files that come with a model.
enum TokenizerFiles {
    /// BOS and EOS stand in tokenizer_config.json as strings, or in config.json as ids.
    static func huggingFace(_ file: String, directory: String) throws -> Tokenizer {
        let tokenizer = try Tokenizer(huggingFace: file)
        func optional(_ name: String) throws -> JSON? {
            let path = directory + "/" + name
            return FileManager.default.fileExists(atPath: path) ? try JSON.read(path: path) : nil
        }
        let settings = try optional("tokenizer_config.json")
        let config = try optional("config.json")
        func id(_ name: String) -> Int32? {
            let entry = settings?[name + "_token"]
            if let token = entry?.stringValue ?? entry?["content"]?.stringValue {
                return tokenizer.id(of: token)
            }
            let value = config?[name + "_token_id"]
            return (value?.intValue ?? value?.arrayValue?.first?.intValue).flatMap {
                Int32(exactly: $0)
            }
        }
        return tokenizer.with(bos: id("bos"), eos: id("eos"))
    }

    /// The vocabulary inside a GGUF file; nil if it has none.
    static func gguf(_ checkpoint: Checkpoint) throws -> Tokenizer? {
        guard let vocabulary = GGUFVocabulary(checkpoint.metadata) else { return nil }
        return try Tokenizer(vocabulary: vocabulary, path: checkpoint.path)
    }
}
