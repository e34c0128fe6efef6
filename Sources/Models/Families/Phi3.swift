// Phi-3 (and Phi-3.5, Phi-4): Llama with fused projections, queries, keys and values in one matrix, gate
// and up in another; in some models a window, a part of each head turned, and longrope.

extension ModelFamily {
    static let phi3 = ModelFamily(
        modelTypes: ["phi3"],
        classes: ["Phi3ForCausalLM"],
        configure: { reader throws(ModelError) in
            // Earlier files call longrope by the names of what it grew from.
            var configuration = try reader.llamaLike(
                "phi3", placement: .pre, defaults: .init(epsilon: 1e-5, context: 4096),
                partial: .init(field: "partial_rotary_factor", standard: 1),
                aliases: ["su": "longrope", "yarn": "longrope"], originalContext: 4096)
            for case let rotary? in configuration.attention.prefix(1).map(\.rotary) {
                switch rotary.scaling {
                case .none, .longrope: break
                default:
                    throw reader.error(
                        "rope_scaling", "only longrope is supported in this family")
                }
            }
            configuration.attentionBias = false
            configuration.attentionOutputBias = false
            let window =
                reader.json["sliding_window"] == nil ? nil : try reader.count("sliding_window")
            for layer in configuration.attention.indices {
                configuration.attention[layer].window = window
            }
            return configuration
        },
        names: [
            .attentionNorm: "input_layernorm", .query: "self_attn.qkv_proj",
            .key: "self_attn.qkv_proj", .value: "self_attn.qkv_proj",
            .attentionOutput: "self_attn.o_proj", .mlpNorm: "post_attention_layernorm",
            .gate: "mlp.gate_up_proj", .up: "mlp.gate_up_proj", .down: "mlp.down_proj",
        ],
        gguf: .init(
            architecture: "phi3",
            configure: { reader throws(ModelError) in
                var configuration = try reader.llamaLike("phi3", placement: .pre)
                let window = try reader.window()
                for layer in configuration.attention.indices {
                    configuration.attention[layer].window = window
                }
                return configuration
            },
            names: fusedGGUFNames.merging([.gate: "ffn_up"]) { $1 }))
}
