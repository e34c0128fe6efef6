// Mistral: Llama with a sliding window in every layer, or in those that `layer_types` names (Ministral,
// which transformers takes such a file for). llama.cpp has no architecture of its own for it:
// its converter calls the model a llama, without the window.

extension ModelFamily {
    static let mistral = ModelFamily(
        modelTypes: ["mistral"],
        classes: ["MistralForCausalLM"],
        configure: { reader throws(ModelError) in
            var configuration = try reader.llamaLike(
                "mistral", placement: .pre,
                defaults: .init(epsilon: 1e-6, context: 131_072, keyValueHeads: 8))
            configuration.attentionBias = false
            configuration.attentionOutputBias = false
            // Later models turn the window off by null.
            let hasWindow = !reader.isNull("sliding_window")
            let sliding = try reader.slidingLayers(layers: configuration.layerCount) { _ in
                hasWindow
            }
            let window = try reader.window(sliding: sliding, default: 4096)
            for layer in configuration.attention.indices where sliding[layer] {
                configuration.attention[layer].window = window
            }
            return configuration
        },
        names: llamaNames)
}
