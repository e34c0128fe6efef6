// Llama (and SmolLM2, which is one): RMSNorm before attention and MLP, grouped queries, SwiGLU.

extension ModelFamily {
    static let llama = ModelFamily(
        modelTypes: ["llama"],
        classes: ["LlamaForCausalLM"],
        ggufArchitecture: "llama",
        configure: { reader throws(ModelError) in
            var configuration = try reader.llamaLike("llama", epsilon: 1e-6, placement: .pre)
            configuration.mlpBias = try reader.flag("mlp_bias", default: false)
            return configuration
        },
        configureGGUF: { reader throws(ModelError) in
            var configuration = try reader.llamaLike("llama", placement: .pre)
            configuration.mlpBias = reader.checkpoint.tensors["blk.0.ffn_up.bias"] != nil
            return configuration
        },
        names: projectionNames.merging([
            .attentionNorm: "input_layernorm", .mlpNorm: "post_attention_layernorm",
        ]) { $1 },
        ggufPermutesRotary: true)
}
