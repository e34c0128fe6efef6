import Checkpoints

extension GGUFVocabulary {
    /// The vocabulary among the metadata of a GGUF file; nil if it has none.
    package init?(_ metadata: GGUFMetadata) {
        guard let model = metadata.string("tokenizer.ggml.model"), model != "no_vocab",
            let tokens = metadata.strings("tokenizer.ggml.tokens")
        else { return nil }
        func id(_ name: String) -> Int32? {
            metadata.int("tokenizer.ggml.\(name)_token_id").flatMap { Int32(exactly: $0) }
        }
        self.init(
            model: model, pre: metadata.string("tokenizer.ggml.pre"), tokens: tokens,
            scores: metadata.floats("tokenizer.ggml.scores"),
            types: metadata.ints("tokenizer.ggml.token_type")?.map { Int32(clamping: $0) },
            merges: metadata.strings("tokenizer.ggml.merges"), bos: id("bos"), eos: id("eos"),
            unknown: id("unknown"), padding: id("padding"),
            addBOS: metadata.bool("tokenizer.ggml.add_bos_token"),
            addEOS: metadata.bool("tokenizer.ggml.add_eos_token"),
            addSpacePrefix: metadata.bool("tokenizer.ggml.add_space_prefix"))
    }
}
