// OLMo (the first): Llama's shape with LayerNorms that have neither weight nor bias, and queries, keys
// and values clamped in some models.

extension ModelFamily {
    static let olmo = ModelFamily(
        modelTypes: ["olmo"],
        classes: ["OlmoForCausalLM"],
        configure: { reader throws(ModelError) in
            // ε stands in no field: 1e-5 is part of the architecture.
            var configuration = try reader.llamaLike(
                "olmo", placement: .pre, defaults: .init(epsilonField: nil, epsilon: 1e-5))
            configuration.normType = .layer
            configuration.normWeight = false
            if reader.json["clip_qkv"] != nil {
                configuration.queryKeyValueClip = Float(try reader.number("clip_qkv", default: 1))
            }
            return configuration
        },
        names: llamaNames,
        gguf: .init(
            architecture: "olmo",
            configure: { reader throws(ModelError) in
                var configuration = try reader.llamaLike(
                    "olmo", placement: .pre, epsilonKey: "attention.layer_norm_epsilon")
                configuration.normType = .layer
                configuration.normWeight = false
                if reader.metadata["olmo.attention.clamp_kqv"] != nil {
                    configuration.queryKeyValueClip = Float(
                        try reader.number("attention.clamp_kqv"))
                }
                return configuration
            },
            permutesRotary: true))
}
