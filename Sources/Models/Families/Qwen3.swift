// Qwen3: Qwen2 without the biases, and with RMSNorm over each query and key head.

extension ModelFamily {
    static let qwen3 = ModelFamily(
        modelTypes: ["qwen3"],
        classes: ["Qwen3ForCausalLM"],
        configure: { reader throws(ModelError) in
            var configuration = try reader.qwen("qwen3", headDimension: 128)
            configuration.queryKeyNorm = .perHead
            return configuration
        },
        names: llamaNames.merging([
            .queryNorm: "self_attn.q_norm", .keyNorm: "self_attn.k_norm",
        ]) { $1 },
        gguf: .init(
            architecture: "qwen3",
            configure: { reader throws(ModelError) in
                var configuration = try reader.llamaLike("qwen3", placement: .pre)
                configuration.queryKeyNorm = .perHead
                return configuration
            }))
}
