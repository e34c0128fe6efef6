import Files
import Foundation
import TestSupport

/// A forward pass in f64 that knows no blocks, tiles, windows of keys or running maxima: every score of
/// every head is computed, masked, and put through one softmax. For tiny checkpoints of Llama and Gemma-3
/// with plain rotary embedding, whole documents, one after the other.
struct NaiveForward {
    private let weights: TensorFixture
    private let hidden, heads, keyValueHeads, width, layers: Int
    private let epsilon, normOffset, embeddingScale, attentionScale: Double
    private let isGemma: Bool
    /// For each layer: the window, nil for all positions, and the rotary base.
    private let attention: [(window: Int?, base: Double)]
    let vocabulary: Int

    /// - Parameter folder: a checkpoint in transformers 5's spelling, all weights F32.
    init(_ folder: URL) throws {
        let config = try JSON.read(path: folder.appending(path: "config.json").path)
        func int(_ key: String) -> Int { config[key]?.intValue ?? 0 }
        weights = try TensorFixture(folder.appending(path: "model.safetensors"))
        hidden = int("hidden_size")
        heads = int("num_attention_heads")
        keyValueHeads = int("num_key_value_heads")
        width = int("head_dim")
        layers = int("num_hidden_layers")
        vocabulary = int("vocab_size")
        epsilon = config["rms_norm_eps"]?.doubleValue ?? 0
        isGemma = config["model_type"]?.stringValue == "gemma3_text"
        normOffset = isGemma ? 1 : 0
        // transformers keeps this factor in the weights' type, which is f32 here.
        embeddingScale = isGemma ? Double(Float(hidden).squareRoot()) : 1
        let queryScalar = config["query_pre_attn_scalar"]?.doubleValue ?? Double(width)
        attentionScale = 1 / queryScalar.squareRoot()
        let rope = config["rope_parameters"]
        attention = (0..<layers).map { layer in
            guard let kind = config["layer_types"]?.arrayValue?[layer].stringValue else {
                return (nil, rope?["rope_theta"]?.doubleValue ?? 0)
            }
            let base = rope?[kind]?["rope_theta"]?.doubleValue ?? 0
            return (
                kind == "sliding_attention" ? config["sliding_window"]?.intValue : nil, base
            )
        }
    }

    /// Logits [T, V] of one document.
    func logits(_ tokens: [Int32]) throws -> [Double] {
        let embedding = try matrix("model.embed_tokens.weight")
        var states = tokens.map { token in
            embedding[Int(token)].map { $0 * embeddingScale }
        }
        for layer in 0..<layers {
            let name = "model.layers.\(layer)."
            let (first, second) =
                isGemma
                ? ("pre_feedforward_layernorm", "post_feedforward_layernorm")
                : ("post_attention_layernorm", nil as String?)
            var added = try attend(
                layer, try norm(states, name + "input_layernorm.weight"), name + "self_attn.")
            if isGemma { added = try norm(added, name + "post_attention_layernorm.weight") }
            states = zip(states, added).map { zip($0, $1).map { $0 + $1 } }
            added = try feedForward(try norm(states, name + first + ".weight"), name + "mlp.")
            if let second { added = try norm(added, name + second + ".weight") }
            states = zip(states, added).map { zip($0, $1).map { $0 + $1 } }
        }
        return try product(norm(states, "model.norm.weight"), embedding).flatMap { $0 }
    }

    private func attend(
        _ layer: Int, _ x: [[Double]], _ name: String
    ) throws -> [[Double]] {
        var query = split(try product(x, matrix(name + "q_proj.weight")), heads)
        var key = split(try product(x, matrix(name + "k_proj.weight")), keyValueHeads)
        let value = split(try product(x, matrix(name + "v_proj.weight")), keyValueHeads)
        if isGemma {
            query = try query.map { try norm($0, name + "q_norm.weight") }
            key = try key.map { try norm($0, name + "k_norm.weight") }
        }
        let (window, base) = attention[layer]
        query = query.map { rotate($0, base) }
        key = key.map { rotate($0, base) }
        var mixed = x.map { _ in [Double]() }
        for head in 0..<heads {
            let group = head / (heads / keyValueHeads)
            for position in x.indices {
                let seen = max(0, window.map { position - $0 + 1 } ?? 0)...position
                let scores = seen.map { other in
                    attentionScale * dot(query[head][position], key[group][other])
                }
                var mean = [Double](repeating: 0, count: width)
                for (weight, other) in zip(logSoftmax(scores).map { exp($0) }, seen) {
                    for index in 0..<width { mean[index] += weight * value[group][other][index] }
                }
                mixed[position] += mean
            }
        }
        return try product(mixed, matrix(name + "o_proj.weight"))
    }

    private func feedForward(_ x: [[Double]], _ name: String) throws -> [[Double]] {
        let gate = try product(x, matrix(name + "gate_proj.weight"))
        let up = try product(x, matrix(name + "up_proj.weight"))
        let gated = zip(gate, up).map { gate, up in
            zip(gate, up).map { g, u in
                isGemma
                    ? 0.5 * g
                        * (1 + tanh((2 / Double.pi).squareRoot() * (g + 0.044715 * g * g * g)))
                        * u
                    : g / (1 + exp(-g)) * u
            }
        }
        return try product(gated, matrix(name + "down_proj.weight"))
    }

    /// Half-split rotary embedding of one head's rows [T, width].
    private func rotate(_ x: [[Double]], _ base: Double) -> [[Double]] {
        let half = width / 2
        return x.enumerated().map { position, row in
            (0..<width).map { index in
                let angle =
                    Double(position) / pow(base, Double(2 * (index % half)) / Double(width))
                let other = index < half ? -row[index + half] : row[index - half]
                return row[index] * cos(angle) + other * sin(angle)
            }
        }
    }

    private func norm(_ x: [[Double]], _ name: String) throws -> [[Double]] {
        let weight = try weights.floats(name).values.map { Double($0) + normOffset }
        return x.map { row in
            let factor = 1 / (dot(row, row) / Double(row.count) + epsilon).squareRoot()
            return zip(row, weight).map { $0 * factor * $1 }
        }
    }

    // MARK: Rows

    /// x [T, heads · width] by head: [heads][T][width].
    private func split(_ x: [[Double]], _ heads: Int) -> [[[Double]]] {
        (0..<heads).map { head in x.map { Array($0[head * width..<(head + 1) * width]) } }
    }

    private func matrix(_ name: String) throws -> [[Double]] {
        let (values, shape) = try weights.floats(name)
        return (0..<shape[0]).map { row in
            values[row * shape[1]..<(row + 1) * shape[1]].map(Double.init)
        }
    }

    /// x · wᵀ
    private func product(_ x: [[Double]], _ w: [[Double]]) -> [[Double]] {
        x.map { row in w.map { dot(row, $0) } }
    }

    private func dot(_ a: [Double], _ b: [Double]) -> Double {
        var sum = 0.0
        for index in a.indices { sum += a[index] * b[index] }
        return sum
    }
}
