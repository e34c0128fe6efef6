import Checkpoints
import Files
import Inference
import ModelStore
import Tokenizers

/// The tokens that end a text, as the model's files name them: `eos_token_id` of generation_config.json,
/// else of config.json, in a GGUF file `eos` and `eot`; else the tokenizer's.
enum EndTokens {
    static func of(_ loaded: LoadedModel) throws -> Set<Int32> {
        let checkpoint = loaded.checkpoint
        var ids: Set<Int32> = []
        if checkpoint.format == .gguf {
            for name in ["eos", "eot"] {
                let id = checkpoint.metadata.int("tokenizer.ggml.\(name)_token_id")
                if let id = id.flatMap({ Int32(exactly: $0) }) { ids.insert(id) }
            }
        } else {
            for name in ["generation_config.json", "config.json"] where ids.isEmpty {
                guard let path = checkpoint.file(named: name) else { continue }
                let json = try JSON.read(path: path)
                let value = json["eos_token_id"] ?? json["text_config"]?["eos_token_id"]
                for id in value?.arrayValue ?? value.map({ [$0] }) ?? [] {
                    guard let id = id.intValue.flatMap({ Int32(exactly: $0) }) else {
                        throw FileError.invalid(
                            path: path,
                            problem: "eos_token_id holds \(id.text(indent: 0)), which is no token "
                                + "id; correct it")
                    }
                    ids.insert(id)
                }
            }
        }
        // Token ids run without a tokenizer, also beside one that cannot be opened.
        if ids.isEmpty, let end = try? loaded.tokenizer()?.eosToken { ids.insert(end) }
        return ids
    }
}

extension Detokenizer {
    /// Special tokens are left out.
    init(_ tokenizer: Tokenizer) {
        self.init(
            text: { tokenizer.decode($0, skipSpecialTokens: true) },
            isPiece: { id in
                // Byte fallback: "<0x0A>".
                guard let token = tokenizer.token(id)?.utf8, token.count == 6 else { return false }
                return token.starts(with: "<0x".utf8) && token.last == UInt8(ascii: ">")
            })
    }
}
