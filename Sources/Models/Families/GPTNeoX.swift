// GPT-NeoX and Pythia: attention and MLP in parallel on the layer's input (or one after the other, as
// the file says), LayerNorms and projections with biases, a part of each head turned, an MLP without a
// gate. Queries, keys and values are one matrix, whose rows stand head by head.

extension ModelFamily {
    static let gptNeoX = ModelFamily(
        modelTypes: ["gpt_neox"],
        classes: ["GPTNeoXForCausalLM"],
        configure: { reader throws(ModelError) in
            let hidden = try reader.count("hidden_size")
            let heads = try reader.count("num_attention_heads")
            let layers = try reader.count("num_hidden_layers")
            let headDimension = try reader.headDimension(hidden: hidden, heads: heads)
            let rotary = try reader.rotary(
                baseField: "rotary_emb_base", defaultBase: 10_000, headDimension: headDimension,
                partial: .init(field: "rotary_pct", standard: 0.25))
            let bias = try reader.flag("attention_bias", default: true)
            return ModelConfiguration(
                architecture: "gpt_neox", layerCount: layers, hiddenSize: hidden,
                intermediateSize: try reader.count("intermediate_size"), headCount: heads,
                keyValueHeadCount: heads, headDimension: headDimension,
                vocabularySize: try reader.count("vocab_size"),
                contextLength: try reader.contextLength(default: 2048, rotary: rotary),
                normType: .layer, normBias: true,
                normEpsilon: Float(try reader.number("layer_norm_eps", default: 1e-5)),
                normPlacement: .pre,
                parallelResidual: try reader.flag("use_parallel_residual", default: true),
                activation: try reader.activation(["hidden_act"], default: .gelu),
                gatedMLP: false, attentionScale: 1 / Float(headDimension).squareRoot(),
                tiedEmbeddings: try reader.flag("tie_word_embeddings", default: false),
                attentionBias: bias, attentionOutputBias: bias, mlpBias: true,
                attention: Array(repeating: .init(rotary: rotary), count: layers))
        },
        names: [
            .attentionNorm: "input_layernorm", .query: "attention.query_key_value",
            .key: "attention.query_key_value", .value: "attention.query_key_value",
            .attentionOutput: "attention.dense", .mlpNorm: "post_attention_layernorm",
            .up: "mlp.dense_h_to_4h", .down: "mlp.dense_4h_to_h",
        ],
        outer: .init(
            embedding: "embed_in", finalNorm: "final_layer_norm", heads: ["embed_out", "lm_head"]),
        fusedByHead: true,
        buffers: ["attention.bias", "attention.masked_bias", "rotary_emb.inv_freq"],
        gguf: .init(
            architecture: "gptneox",
            configure: { reader throws(ModelError) in
                var configuration = try reader.llamaLike(
                    "gpt_neox", placement: .pre, epsilonKey: "attention.layer_norm_epsilon")
                configuration.normType = .layer
                configuration.normBias = true
                configuration.parallelResidual = try reader.flag(
                    "use_parallel_residual", default: true)
                // The file does not say which; llama.cpp computes the tanh form.
                configuration.activation = .gelu
                configuration.gatedMLP = false
                configuration.attentionBias = reader.has("blk.0.attn_qkv.bias")
                configuration.mlpBias = true
                return configuration
            },
            names: fusedGGUFNames))

    /// GGUF names where queries, keys and values are one matrix, in blocks of rows.
    static let fusedGGUFNames: [LayerRole: String] = [
        .query: "attn_qkv", .key: "attn_qkv", .value: "attn_qkv",
    ]
}
