// OLMo-2: RMSNorm after attention and MLP, before they are added; RMSNorm over the whole query and
// key projections.

extension ModelFamily {
    static let olmo2 = ModelFamily(
        modelTypes: ["olmo2"],
        classes: ["Olmo2ForCausalLM"],
        configure: { reader throws(ModelError) in
            var configuration = try reader.llamaLike(
                "olmo2", placement: .post, defaults: .init(epsilon: 1e-5))
            configuration.queryKeyNorm = .wholeProjection
            return configuration
        },
        names: olmo2Names,
        gguf: .init(
            architecture: "olmo2",
            configure: { reader throws(ModelError) in
                var configuration = try reader.llamaLike("olmo2", placement: .post)
                configuration.queryKeyNorm = .wholeProjection
                if let window = try reader.window() {
                    try reader.makeOLMo3(&configuration, window: window)
                }
                return configuration
            }))

    static let olmo2Names = llamaProjections.merging([
        .queryNorm: "self_attn.q_norm", .keyNorm: "self_attn.k_norm",
        .postAttentionNorm: "post_attention_layernorm",
        .postMLPNorm: "post_feedforward_layernorm",
    ]) { $1 }
}
