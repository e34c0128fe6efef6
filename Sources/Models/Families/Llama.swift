// Llama (and SmolLM2, which is one): RMSNorm before attention and MLP, grouped queries, SwiGLU.

extension ModelFamily {
    static let llama = ModelFamily(
        modelTypes: ["llama"],
        classes: ["LlamaForCausalLM"],
        configure: { reader throws(ModelError) in
            var configuration = try reader.llamaLike(
                "llama", placement: .pre, defaults: .init(epsilon: 1e-6))
            configuration.mlpBias = try reader.flag("mlp_bias", default: false)
            return configuration
        },
        names: llamaNames,
        gguf: .init(
            architecture: "llama",
            configure: { reader throws(ModelError) in
                var configuration = try reader.llamaLike("llama", placement: .pre)
                configuration.mlpBias = reader.has("blk.0.ffn_up.bias")
                return configuration
            },
            permutesRotary: true))
}
