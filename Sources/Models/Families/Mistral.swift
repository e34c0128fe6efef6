// Mistral: Llama with a sliding window in every layer. llama.cpp has no architecture of its own for it:
// its converter calls the model a llama, without the window.

extension ModelFamily {
    static let mistral = ModelFamily(
        modelTypes: ["mistral"],
        classes: ["MistralForCausalLM"],
        configure: { reader throws(ModelError) in
            var configuration = try reader.llamaLike(
                "mistral", placement: .pre,
                defaults: .init(epsilon: 1e-6, context: 131_072, keyValueHeads: 8))
            // Later models turn the window off by null.
            let window =
                reader.isNull("sliding_window")
                ? nil : try reader.count("sliding_window", default: 4096)
            for layer in configuration.attention.indices {
                configuration.attention[layer].window = window
            }
            return configuration
        },
        names: llamaNames)
}
