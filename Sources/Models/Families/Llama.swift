// Llama (and SmolLM2, which is one): RMSNorm before attention and MLP, grouped queries, SwiGLU.

extension ModelFamily {
    static let llama = ModelFamily(
        modelTypes: ["llama"],
        classes: ["LlamaForCausalLM"],
        ggufArchitecture: "llama",
        configure: { reader throws(ModelError) in
            let hidden = try reader.count("hidden_size")
            let heads = try reader.count("num_attention_heads")
            let layers = try reader.count("num_hidden_layers")
            let headDimension = try reader.headDimension(hidden: hidden, heads: heads)
            let rotary = try reader.rotary(defaultBase: 10_000, dimension: headDimension)
            return ModelConfiguration(
                architecture: "llama", layerCount: layers, hiddenSize: hidden,
                intermediateSize: try reader.count("intermediate_size"), headCount: heads,
                keyValueHeadCount: try reader.keyValueHeads(heads: heads),
                headDimension: headDimension, vocabularySize: try reader.count("vocab_size"),
                contextLength: try reader.count("max_position_embeddings", default: 2048),
                normEpsilon: Float(try reader.number("rms_norm_eps", default: 1e-6)),
                normPlacement: .pre,
                activation: try reader.activation(["hidden_act"], default: .silu),
                attentionScale: 1 / Float(headDimension).squareRoot(),
                tiedEmbeddings: try reader.flag("tie_word_embeddings", default: false),
                attentionBias: try reader.flag("attention_bias", default: false),
                mlpBias: try reader.flag("mlp_bias", default: false),
                attention: Array(repeating: .init(rotary: rotary), count: layers))
        },
        configureGGUF: { reader throws(ModelError) in
            let hidden = try reader.count("embedding_length")
            let heads = try reader.count("attention.head_count")
            let layers = try reader.count("block_count")
            let headDimension = try reader.count("attention.key_length", default: hidden / heads)
            let rotary = try reader.rotary(defaultBase: 10_000, dimension: headDimension)
            return ModelConfiguration(
                architecture: "llama", layerCount: layers, hiddenSize: hidden,
                intermediateSize: try reader.count("feed_forward_length"), headCount: heads,
                keyValueHeadCount: try reader.count("attention.head_count_kv", default: heads),
                headDimension: headDimension, vocabularySize: try reader.vocabularySize(),
                contextLength: try reader.count("context_length"),
                normEpsilon: Float(try reader.number("attention.layer_norm_rms_epsilon")),
                normPlacement: .pre, activation: .silu,
                attentionScale: 1 / Float(headDimension).squareRoot(),
                tiedEmbeddings: reader.checkpoint.tensors["output.weight"] == nil,
                attentionBias: reader.checkpoint.tensors["blk.0.attn_q.bias"] != nil,
                mlpBias: reader.checkpoint.tensors["blk.0.ffn_up.bias"] != nil,
                attention: Array(repeating: .init(rotary: rotary), count: layers))
        },
        names: projectionNames.merging([
            .attentionNorm: "input_layernorm", .mlpNorm: "post_attention_layernorm",
        ]) { $1 },
        ggufPermutesRotary: true)
}

extension ConfigurationReader {
    func headDimension(hidden: Int, heads: Int) throws(ModelError) -> Int {
        if json["head_dim"] != nil { return try count("head_dim") }
        guard hidden % heads == 0 else {
            throw error(
                "num_attention_heads",
                "\(heads) does not divide hidden_size \(hidden), and there is "
                    + "no head_dim")
        }
        return hidden / heads
    }

    func keyValueHeads(heads: Int) throws(ModelError) -> Int {
        json["num_key_value_heads"] == nil ? heads : try count("num_key_value_heads")
    }
}
