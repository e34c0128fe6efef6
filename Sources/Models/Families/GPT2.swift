// GPT-2: learned positions, LayerNorms and projections with biases, an MLP without a gate. Its
// safetensors hold the projections turned round, [in, out], and queries, keys and values as one matrix.

extension ModelFamily {
    static let gpt2 = ModelFamily(
        modelTypes: ["gpt2"],
        classes: ["GPT2LMHeadModel"],
        configure: { reader throws(ModelError) in
            try reader.refuse("add_cross_attention") { $0.boolValue == false }
            try reader.refuse("scale_attn_by_inverse_layer_idx") { $0.boolValue == false }
            let hidden = try reader.count("n_embd", alias: "hidden_size", default: 768)
            let heads = try reader.count("n_head", alias: "num_attention_heads", default: 12)
            let layers = try reader.count("n_layer", alias: "num_hidden_layers", default: 12)
            guard hidden % heads == 0 else {
                throw reader.error("n_head", "\(heads) does not divide n_embd \(hidden)")
            }
            let scaled = try reader.flag("scale_attn_weights", default: true)
            return ModelConfiguration(
                architecture: "gpt2", layerCount: layers, hiddenSize: hidden,
                intermediateSize: reader.json["n_inner"] == nil
                    ? 4 * hidden : try reader.count("n_inner"),
                headCount: heads, keyValueHeadCount: heads, headDimension: hidden / heads,
                vocabularySize: try reader.count("vocab_size", default: 50_257),
                contextLength: try reader.count(
                    "n_positions", alias: "max_position_embeddings", default: 1024),
                normType: .layer, normBias: true,
                normEpsilon: Float(try reader.number("layer_norm_epsilon", default: 1e-5)),
                normPlacement: .pre,
                activation: try reader.activation(["activation_function"], default: .geluTanh),
                gatedMLP: false, learnedPositions: true,
                attentionScale: scaled ? 1 / Float(hidden / heads).squareRoot() : 1,
                tiedEmbeddings: try reader.flag("tie_word_embeddings", default: true),
                attentionBias: true, attentionOutputBias: true, mlpBias: true,
                attention: Array(repeating: .init(rotary: nil), count: layers))
        },
        names: [
            .attentionNorm: "ln_1", .query: "attn.c_attn", .key: "attn.c_attn",
            .value: "attn.c_attn", .attentionOutput: "attn.c_proj", .mlpNorm: "ln_2",
            .up: "mlp.c_fc", .down: "mlp.c_proj",
        ],
        outer: .init(embedding: "wte", positions: "wpe", layers: "h", finalNorm: "ln_f"),
        transposed: true,
        buffers: ["attn.bias", "attn.masked_bias"],
        gguf: .init(
            architecture: "gpt2",
            configure: { reader throws(ModelError) in
                var configuration = try reader.llamaLike(
                    "gpt2", placement: .pre, epsilonKey: "attention.layer_norm_epsilon",
                    learnedPositions: true)
                configuration.normType = .layer
                configuration.normBias = true
                configuration.activation = .geluTanh
                configuration.gatedMLP = false
                configuration.attentionBias = true
                configuration.mlpBias = true
                return configuration
            },
            names: fusedGGUFNames))
}
