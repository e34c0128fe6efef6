// OLMo-3: OLMo-2 with sliding layers, three of four. The scaling of rotary embeddings concerns the full
// layers alone. In a GGUF file it is called an olmo2.

extension ModelFamily {
    static let olmo3 = ModelFamily(
        modelTypes: ["olmo3"],
        classes: ["Olmo3ForCausalLM"],
        configure: { reader throws(ModelError) in
            var configuration = try reader.llamaLike(
                "olmo3", placement: .post, defaults: .init(epsilon: 1e-5, base: 500_000),
                layerType: "full_attention")
            configuration.queryKeyNorm = .wholeProjection
            let sliding = try reader.slidingLayers(layers: configuration.layerCount) {
                ($0 + 1) % 4 != 0
            }
            let local = try reader.rotary(
                layerType: "sliding_attention", defaultBase: 500_000,
                headDimension: configuration.headDimension, scales: false)
            let window = try reader.window(sliding: sliding, default: 4096)
            for layer in configuration.attention.indices where sliding[layer] {
                configuration.attention[layer] = .init(window: window, rotary: local)
            }
            return configuration
        },
        names: olmo2Names)
}

extension GGUFConfigurationReader {
    /// Turns what an olmo2 file says into the OLMo-3 that it is if it has a window.
    func makeOLMo3(_ configuration: inout ModelConfiguration, window: Int) throws(ModelError) {
        configuration.architecture = "olmo3"
        let key = "\(architecture).attention.sliding_window_pattern"
        var sliding = (0..<configuration.layerCount).map { ($0 + 1) % 4 != 0 }
        if let pattern = metadata.bools(key) {
            guard pattern.count == sliding.count else {
                throw error(key, "has \(pattern.count) entries for \(sliding.count) layers")
            }
            sliding = pattern
        } else {
            assume("the file gives no layer pattern: every 4th layer attends fully")
        }
        for layer in configuration.attention.indices where sliding[layer] {
            configuration.attention[layer].window = window
            configuration.attention[layer].rotary?.scaling = .none
            configuration.attention[layer].rotary?.attentionFactor = 1
        }
    }
}
