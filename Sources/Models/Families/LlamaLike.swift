// What the families derived from Llama share: grouped queries, one rotary embedding for all layers, a
// gated MLP. A family changes what it does differently.

extension ConfigurationReader {
    /// A family's defaults for fields that a file may leave out, where they are not Llama's.
    struct LlamaDefaults {
        /// The field of the norms' ε; nil where the family has none and `epsilon` holds.
        var epsilonField: String? = "rms_norm_eps"
        var epsilon: Double
        var base = 10_000.0
        var context = 2048
        /// Nil: as many as heads.
        var keyValueHeads: Int?
        /// Nil: the share of the hidden size.
        var headDimension: Int?
    }

    /// - Parameters:
    ///   - layerType: whose rotary embedding every layer gets; a family with more types replaces it.
    ///   - partial: see `rotary`.
    ///   - aliases: see `rotary`.
    ///   - originalContext: see `rotary`.
    func llamaLike(
        _ architecture: String, placement: ModelConfiguration.NormPlacement,
        defaults: LlamaDefaults, layerType: String? = nil, partial: PartialRotary? = nil,
        aliases: [String: String] = [:], originalContext: Int? = nil
    ) throws(ModelError) -> ModelConfiguration {
        let hidden = try count("hidden_size")
        let heads = try count("num_attention_heads")
        let layers = try count("num_hidden_layers")
        let headDimension = try headDimension(
            hidden: hidden, heads: heads, default: defaults.headDimension)
        let rotary = try rotary(
            layerType: layerType, defaultBase: defaults.base, headDimension: headDimension,
            partial: partial, aliases: aliases, originalContext: originalContext)
        let epsilon =
            if let field = defaults.epsilonField {
                try number(field, default: defaults.epsilon)
            } else {
                defaults.epsilon
            }
        let bias = try flag("attention_bias", default: false)
        return ModelConfiguration(
            architecture: architecture, layerCount: layers, hiddenSize: hidden,
            intermediateSize: try count("intermediate_size"), headCount: heads,
            keyValueHeadCount: try keyValueHeads(heads: heads, default: defaults.keyValueHeads),
            headDimension: headDimension, vocabularySize: try count("vocab_size"),
            contextLength: try contextLength(default: defaults.context, rotary: rotary),
            normEpsilon: Float(epsilon), normPlacement: placement,
            activation: try activation(["hidden_act"], default: .silu),
            attentionScale: 1 / Float(headDimension).squareRoot(),
            tiedEmbeddings: try flag("tie_word_embeddings", default: false),
            attentionBias: bias, attentionOutputBias: bias,
            attention: Array(repeating: .init(rotary: rotary), count: layers))
    }
}

extension GGUFConfigurationReader {
    /// - Parameters:
    ///   - epsilonKey: the key of the norms' ε.
    ///   - learnedPositions: position embeddings in the place of rotary ones.
    func llamaLike(
        _ architecture: String, placement: ModelConfiguration.NormPlacement,
        epsilonKey: String = "attention.layer_norm_rms_epsilon", learnedPositions: Bool = false
    ) throws(ModelError) -> ModelConfiguration {
        try refuseBidirectional()
        let hidden = try count("embedding_length")
        let heads = try count("attention.head_count")
        let layers = try count("block_count")
        let headDimension = try count("attention.key_length", default: hidden / heads)
        let rotary =
            learnedPositions ? nil : try rotary(defaultBase: 10_000, dimension: headDimension)
        return ModelConfiguration(
            architecture: architecture, layerCount: layers, hiddenSize: hidden,
            intermediateSize: try count("feed_forward_length"), headCount: heads,
            keyValueHeadCount: try count("attention.head_count_kv", default: heads),
            headDimension: headDimension, vocabularySize: try vocabularySize(),
            contextLength: try count("context_length"),
            normEpsilon: Float(try number(epsilonKey)), normPlacement: placement,
            activation: .silu, learnedPositions: learnedPositions,
            attentionScale: 1 / Float(headDimension).squareRoot(),
            tiedEmbeddings: !has("output.weight"), attentionBias: has("blk.0.attn_q.bias"),
            attentionOutputBias: has("blk.0.attn_output.bias"),
            attention: Array(repeating: .init(rotary: rotary), count: layers))
    }
}

extension ModelFamily {
    /// Names of the weights of a layer that the families derived from Llama share.
    static let llamaProjections: [LayerRole: String] = [
        .query: "self_attn.q_proj", .key: "self_attn.k_proj", .value: "self_attn.v_proj",
        .attentionOutput: "self_attn.o_proj", .gate: "mlp.gate_proj", .up: "mlp.up_proj",
        .down: "mlp.down_proj",
    ]

    /// With the two norms before attention and MLP.
    static let llamaNames = llamaProjections.merging([
        .attentionNorm: "input_layernorm", .mlpNorm: "post_attention_layernorm",
    ]) { $1 }
}
