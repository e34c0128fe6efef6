// Qwen2: Llama with biases on queries, keys and values; some models have sliding layers from some layer
// on, as Qwen3 does.

extension ConfigurationReader {
    func qwen(_ architecture: String, headDimension: Int?) throws(ModelError) -> ModelConfiguration
    {
        var configuration = try llamaLike(
            architecture, placement: .pre,
            defaults: .init(
                epsilon: 1e-6, context: 32_768, keyValueHeads: 32, headDimension: headDimension))
        let layers = configuration.layerCount
        let usesWindow = try flag("use_sliding_window", default: false)
        var first = layers
        if usesWindow, !isNull("sliding_window"), json["layer_types"] == nil {
            first = try count("max_window_layers", default: 28, least: 0)
        }
        let sliding = try slidingLayers(layers: layers) { $0 >= first }
        guard usesWindow || !sliding.contains(true) else {
            throw error(
                "layer_types", "has sliding layers, and use_sliding_window is not true; set it so")
        }
        let window = try window(sliding: sliding, default: 4096)
        for layer in configuration.attention.indices where sliding[layer] {
            configuration.attention[layer].window = window
        }
        return configuration
    }
}

extension ModelFamily {
    static let qwen2 = ModelFamily(
        modelTypes: ["qwen2"],
        classes: ["Qwen2ForCausalLM"],
        configure: { reader throws(ModelError) in
            var configuration = try reader.qwen("qwen2", headDimension: nil)
            configuration.attentionBias = true
            configuration.attentionOutputBias = false
            return configuration
        },
        names: llamaNames,
        gguf: .init(
            architecture: "qwen2",
            configure: { reader throws(ModelError) in
                try reader.llamaLike("qwen2", placement: .pre)
            }))
}
