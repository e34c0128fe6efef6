import Checkpoints
import Files
import Models
import Records
import Tokenizers

/// A checkpoint with the model made of it.
public struct LoadedModel: Sendable {
    public let checkpoint: Checkpoint
    public let model: Transformer
    /// Takes a line that a person should read.
    public let note: @Sendable (String) -> Void
    /// The tokenizer beside or inside the weights, opened where a text is first read or written. What
    /// had to be assumed is noted then.
    ///
    /// It may have ids that the embedding has no rows for, as published files do: whoever makes ids of a
    /// text checks them.
    public let lazyTokenizer: LazyTokenizer

    init(
        checkpoint: Checkpoint, model: Transformer, note: @escaping @Sendable (String) -> Void
    ) {
        self.checkpoint = checkpoint
        self.model = model
        self.note = note
        lazyTokenizer = LazyTokenizer { () throws(TokenizerError) in
            let tokenizer = try Self.tokenizer(checkpoint)
            for line in tokenizer?.notes(of: checkpoint.path) ?? [] { note(line) }
            return tokenizer
        }
    }

    /// The tokenizer, opened now; nil if there is none.
    public func tokenizer() throws(TokenizerError) -> Tokenizer? { try lazyTokenizer.get() }

    /// The tokenizer, opened now.
    /// - Throws: `ModelStoreError.noTokenizer` if there is none, `TokenizerError`.
    public func requiredTokenizer() throws -> Tokenizer {
        guard let tokenizer = try tokenizer() else {
            throw ModelStoreError.noTokenizer(path: checkpoint.path)
        }
        return tokenizer
    }

    /// The tokenizer, without a note of what had to be assumed.
    package static func tokenizer(_ checkpoint: Checkpoint) throws(TokenizerError) -> Tokenizer? {
        if checkpoint.format == .gguf {
            guard let vocabulary = GGUFVocabulary(checkpoint.metadata) else { return nil }
            return try Tokenizer(vocabulary: vocabulary, path: checkpoint.path)
        }
        guard let file = checkpoint.file(named: "tokenizer.json") else { return nil }
        return try Tokenizer(directory: Paths.directory(of: file))
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

    /// How a conversation becomes a prompt: `chat_template.jinja`, else `chat_template` of
    /// tokenizer_config.json, in a GGUF file `tokenizer.chat_template`; nil where there is none.
    /// - Returns: the template, and the special tokens that it may name.
    /// - Throws: `ChatTemplateError`, `FileError`.
    public func chatTemplate() throws -> (template: ChatTemplate, special: [String: String])? {
        var special: [String: String] = [:]
        if let tokenizer = try tokenizer() {
            special["bos_token"] = tokenizer.bosToken.flatMap { tokenizer.token($0) }
            special["eos_token"] = tokenizer.eosToken.flatMap { tokenizer.token($0) }
        }
        guard let source = try chatTemplateSource(&special) else { return nil }
        return (try ChatTemplate(source), special)
    }

    private func chatTemplateSource(_ special: inout [String: String]) throws -> String? {
        if checkpoint.format == .gguf {
            return checkpoint.metadata.string("tokenizer.chat_template")
        }
        var found: String?
        if let path = checkpoint.file(named: "tokenizer_config.json") {
            let json = try JSON.read(path: path)
            for name in ["bos_token", "eos_token", "unk_token", "pad_token"] {
                let value = json[name]?.stringValue ?? json[name]?["content"]?.stringValue
                if let value { special[name] = value }
            }
            let stored = json["chat_template"]
            found =
                stored?.stringValue
                ?? stored?.arrayValue?.first { $0["name"]?.stringValue == "default" }?[
                    "template"]?.stringValue
        }
        guard let file = checkpoint.file(named: "chat_template.jinja") else { return found }
        return String(decoding: try MappedFile.contents(path: file), as: UTF8.self)
    }

    /// The halting rule that stands beside the weights; nil if there is none.
    /// - Throws: `ModelError` for one that does not fit the model.
    public func router() throws(ModelError) -> Router? {
        try Router(checkpoint, width: model.configuration.hiddenSize)
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
