// Qwen2: Llama with biases on queries, keys and values; some models have sliding layers from some layer
// on, as Qwen3 does.

extension ConfigurationReader {
    func qwen(_ architecture: String, headDimension: Int?) throws(ModelError) -> ModelConfiguration
    {
        var configuration = try llamaLike(
            architecture, placement: .pre,
            defaults: .init(
                epsilon: 1e-6, context: 32_768, keyValueHeads: 32, headDimension: headDimension))
        guard try flag("use_sliding_window", default: false), !isNull("sliding_window") else {
            return configuration
        }
        let window = try count("sliding_window", default: 4096)
        let first = json["layer_types"] == nil ? try count("max_window_layers", default: 28) : 0
        let sliding = try slidingLayers(layers: configuration.layerCount) { $0 >= first }
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
