// Gemma-3 (the text model): norms of 1 + w around both attention and MLP, per-head query and key norms,
// GeGLU, an embedding scale, and sliding layers with a rotary base of their own.

extension ModelFamily {
    static let gemma3 = ModelFamily(
        modelTypes: ["gemma3_text", "gemma3"],
        classes: ["Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"],
        configure: { reader throws(ModelError) in
            try reader.refuse("attn_logit_softcapping")
            try reader.refuse("final_logit_softcapping")
            try reader.refuse("use_bidirectional_attention") { $0.boolValue == false }
            let hidden = try reader.count("hidden_size", default: 2304)
            let heads = try reader.count("num_attention_heads", default: 8)
            let layers = try reader.count("num_hidden_layers", default: 26)
            let headDimension = try reader.count("head_dim", default: 256)
            let full = try reader.rotary(
                layerType: "full_attention", defaultBase: 1_000_000, headDimension: headDimension)
            let local = try reader.rotary(
                layerType: "sliding_attention", baseField: "rope_local_base_freq",
                defaultBase: 10_000, headDimension: headDimension, scales: false)
            let pattern =
                reader.json["layer_types"] == nil
                ? try reader.count("sliding_window_pattern", default: 6) : 6
            let sliding = try reader.slidingLayers(layers: layers) { ($0 + 1) % pattern != 0 }
            let bias = try reader.flag("attention_bias", default: false)
            let window = try reader.window(sliding: sliding, default: 4096)
            return ModelConfiguration(
                architecture: "gemma3_text", layerCount: layers, hiddenSize: hidden,
                intermediateSize: try reader.count("intermediate_size", default: 9216),
                headCount: heads,
                keyValueHeadCount: try reader.count("num_key_value_heads", default: 4),
                headDimension: headDimension,
                vocabularySize: try reader.count("vocab_size", default: 262_208),
                contextLength: try reader.contextLength(default: 131_072, rotary: full),
                normEpsilon: Float(try reader.number("rms_norm_eps", default: 1e-6)),
                normOffset: 1, normPlacement: .sandwich, queryKeyNorm: .perHead,
                activation: try reader.activation(
                    ["hidden_activation"], default: .geluTanh),
                embeddingScale: Float(hidden).squareRoot(),
                attentionScale: 1
                    / Float(try reader.number("query_pre_attn_scalar", default: 256)).squareRoot(),
                tiedEmbeddings: try reader.tied(default: true),
                attentionBias: bias, attentionOutputBias: bias,
                attention: sliding.map {
                    .init(window: $0 ? window : nil, rotary: $0 ? local : full)
                })
        },
        names: llamaProjections.merging([
            .attentionNorm: "input_layernorm", .queryNorm: "self_attn.q_norm",
            .keyNorm: "self_attn.k_norm", .postAttentionNorm: "post_attention_layernorm",
            .mlpNorm: "pre_feedforward_layernorm", .postMLPNorm: "post_feedforward_layernorm",
        ]) { $1 },
        otherParts: ["vision_tower.", "multi_modal_projector."],
        gguf: .init(
            architecture: "gemma3",
            configure: { reader throws(ModelError) in
                let hidden = try reader.count("embedding_length")
                let heads = try reader.count("attention.head_count")
                let layers = try reader.count("block_count")
                let headDimension = try reader.count("attention.key_length", default: 256)
                try reader.refuseBidirectional()
                try reader.refuseSoftcapping()
                let full = try reader.rotary(defaultBase: 1_000_000, dimension: headDimension)
                var local = RotaryParameters(
                    base: try reader.number("rope.freq_base_swa", default: 10_000),
                    dimension: full.dimension)
                // llama.cpp scales no sliding layer, but multiplies its cosines by `attn_factor` too.
                if case .yarn = full.scaling {
                } else {
                    local.attentionFactor = full.attentionFactor
                }
                let pattern = try reader.count("attention.sliding_window_pattern", default: 6)
                if reader.metadata["gemma3.attention.sliding_window_pattern"] == nil {
                    reader.assume("the file gives no layer pattern: every 6th layer attends fully")
                }
                let window = try reader.count("attention.sliding_window")
                // llama.cpp's rule: the 62-layer model scales by hidden size per head, the others by
                // head dimension.
                let queryScale = layers == 62 ? Float(hidden / heads) : Float(headDimension)
                return ModelConfiguration(
                    architecture: "gemma3_text", layerCount: layers, hiddenSize: hidden,
                    intermediateSize: try reader.count("feed_forward_length"), headCount: heads,
                    keyValueHeadCount: try reader.count("attention.head_count_kv", default: heads),
                    headDimension: headDimension, vocabularySize: try reader.vocabularySize(),
                    contextLength: try reader.count("context_length"),
                    normEpsilon: Float(try reader.number("attention.layer_norm_rms_epsilon")),
                    normPlacement: .sandwich, queryKeyNorm: .perHead, activation: .geluTanh,
                    embeddingScale: Float(hidden).squareRoot(),
                    attentionScale: 1 / queryScale.squareRoot(),
                    tiedEmbeddings: reader.checkpoint.tensors["output.weight"] == nil,
                    attention: (0..<layers).map {
                        ($0 + 1) % pattern != 0
                            ? .init(window: window, rotary: local) : .init(rotary: full)
                    })
            }))
}
