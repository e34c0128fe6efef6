// OLMo-2: RMSNorm after attention and MLP, before they are added; RMSNorm over the whole query and
// key projections.

extension ModelFamily {
    static let olmo2 = ModelFamily(
        modelTypes: ["olmo2"],
        classes: ["Olmo2ForCausalLM"],
        ggufArchitecture: "olmo2",
        configure: { reader throws(ModelError) in
            let hidden = try reader.count("hidden_size")
            let heads = try reader.count("num_attention_heads")
            let layers = try reader.count("num_hidden_layers")
            let headDimension = try reader.headDimension(hidden: hidden, heads: heads)
            let rotary = try reader.rotary(defaultBase: 10_000, dimension: headDimension)
            return ModelConfiguration(
                architecture: "olmo2", layerCount: layers, hiddenSize: hidden,
                intermediateSize: try reader.count("intermediate_size"), headCount: heads,
                keyValueHeadCount: try reader.keyValueHeads(heads: heads),
                headDimension: headDimension, vocabularySize: try reader.count("vocab_size"),
                contextLength: try reader.count("max_position_embeddings", default: 2048),
                normEpsilon: Float(try reader.number("rms_norm_eps", default: 1e-5)),
                normPlacement: .post, queryKeyNorm: .wholeProjection,
                activation: try reader.activation(["hidden_act"], default: .silu),
                attentionScale: 1 / Float(headDimension).squareRoot(),
                tiedEmbeddings: try reader.flag("tie_word_embeddings", default: false),
                attentionBias: try reader.flag("attention_bias", default: false),
                attention: Array(repeating: .init(rotary: rotary), count: layers))
        },
        configureGGUF: { reader throws(ModelError) in
            let hidden = try reader.count("embedding_length")
            let heads = try reader.count("attention.head_count")
            let layers = try reader.count("block_count")
            let headDimension = try reader.count("attention.key_length", default: hidden / heads)
            let rotary = try reader.rotary(defaultBase: 10_000, dimension: headDimension)
            return ModelConfiguration(
                architecture: "olmo2", layerCount: layers, hiddenSize: hidden,
                intermediateSize: try reader.count("feed_forward_length"), headCount: heads,
                keyValueHeadCount: try reader.count("attention.head_count_kv", default: heads),
                headDimension: headDimension, vocabularySize: try reader.vocabularySize(),
                contextLength: try reader.count("context_length"),
                normEpsilon: Float(try reader.number("attention.layer_norm_rms_epsilon")),
                normPlacement: .post, queryKeyNorm: .wholeProjection, activation: .silu,
                attentionScale: 1 / Float(headDimension).squareRoot(),
                tiedEmbeddings: reader.checkpoint.tensors["output.weight"] == nil,
                attention: Array(repeating: .init(rotary: rotary), count: layers))
        },
        names: projectionNames.merging([
            .queryNorm: "self_attn.q_norm", .keyNorm: "self_attn.k_norm",
            .postAttentionNorm: "post_attention_layernorm",
            .postMLPNorm: "post_feedforward_layernorm",
        ]) { $1 })
}
