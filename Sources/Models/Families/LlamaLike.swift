// What the families derived from Llama share: grouped queries, one rotary embedding for all layers, a
// gated MLP. A family changes what it does differently.

extension ConfigurationReader {
    /// - Parameter epsilon: the family's default for `rms_norm_eps`.
    func llamaLike(
        _ architecture: String, epsilon: Double, placement: ModelConfiguration.NormPlacement
    ) throws(ModelError) -> ModelConfiguration {
        let hidden = try count("hidden_size")
        let heads = try count("num_attention_heads")
        let layers = try count("num_hidden_layers")
        let headDimension = try headDimension(hidden: hidden, heads: heads)
        let rotary = try rotary(defaultBase: 10_000, dimension: headDimension)
        return ModelConfiguration(
            architecture: architecture, layerCount: layers, hiddenSize: hidden,
            intermediateSize: try count("intermediate_size"), headCount: heads,
            keyValueHeadCount: json["num_key_value_heads"] == nil
                ? heads : try count("num_key_value_heads"),
            headDimension: headDimension, vocabularySize: try count("vocab_size"),
            contextLength: try count("max_position_embeddings", default: 2048),
            normEpsilon: Float(try number("rms_norm_eps", default: epsilon)),
            normPlacement: placement,
            activation: try activation(["hidden_act"], default: .silu),
            attentionScale: 1 / Float(headDimension).squareRoot(),
            tiedEmbeddings: try flag("tie_word_embeddings", default: false),
            attentionBias: try flag("attention_bias", default: false),
            attention: Array(repeating: .init(rotary: rotary), count: layers))
    }

    private func headDimension(hidden: Int, heads: Int) throws(ModelError) -> Int {
        if json["head_dim"] != nil { return try count("head_dim") }
        guard hidden % heads == 0 else {
            throw error(
                "num_attention_heads",
                "\(heads) does not divide hidden_size \(hidden), and there is no head_dim")
        }
        return hidden / heads
    }
}

extension GGUFConfigurationReader {
    func llamaLike(
        _ architecture: String, placement: ModelConfiguration.NormPlacement
    ) throws(ModelError) -> ModelConfiguration {
        let hidden = try count("embedding_length")
        let heads = try count("attention.head_count")
        let layers = try count("block_count")
        let headDimension = try count("attention.key_length", default: hidden / heads)
        let rotary = try rotary(defaultBase: 10_000, dimension: headDimension)
        return ModelConfiguration(
            architecture: architecture, layerCount: layers, hiddenSize: hidden,
            intermediateSize: try count("feed_forward_length"), headCount: heads,
            keyValueHeadCount: try count("attention.head_count_kv", default: heads),
            headDimension: headDimension, vocabularySize: try vocabularySize(),
            contextLength: try count("context_length"),
            normEpsilon: Float(try number("attention.layer_norm_rms_epsilon")),
            normPlacement: placement, activation: .silu,
            attentionScale: 1 / Float(headDimension).squareRoot(),
            tiedEmbeddings: checkpoint.tensors["output.weight"] == nil,
            attentionBias: checkpoint.tensors["blk.0.attn_q.bias"] != nil,
            attention: Array(repeating: .init(rotary: rotary), count: layers))
    }
}
