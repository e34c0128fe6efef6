import Files
import Foundation
import TestSupport

/// A checkpoint whose think block is known because its weights are written by hand, or random weights.
///
/// Sixteen layers of a Llama. Some coordinates hold what the last token knows of the answer (the evidence e), as
/// many hold the answer so far (w, 0 at first), one is constant, and the rest hold text. Each layer of the think
/// block moves w a part of the way to e: its MLP computes x ↦ c·(e - w) from pairs of neurons, since
/// silu(z) - silu(-z) = z, with the constant coordinate as the other factor. The unembedding reads options off w. So
/// the answer forms in the think block alone, running it again brings it closer, and each pass moves it less.
/// Layers before and after it are random: attention and MLP write into text, and a fifth of that into e and w.
struct ConstructedModel {
    static let layers = 16
    private static let hidden = 48
    private static let middle = 32
    private static let options = 6
    private static let texts = 32
    private static let vocabulary = 64
    private static let constant = 2 * options
    /// Text begins behind it.
    private static let known = constant + 1

    /// With `config.json`, `model.safetensors`, `items.jsonl` and `text.jsonl`.
    let scratch: ScratchDirectory

    /// - Parameters:
    ///   - think: the layers that do the work; nil: all weights are random and items have random answers.
    ///   - items: how many.
    init(think: Range<Int>?, items: Int, seed: UInt64) throws {
        var random = SeededRandom(seed)
        var tensors: [String: [Float]] = [:]
        var shapes: [String: [Int]] = [:]
        func put(_ name: String, _ shape: [Int], _ values: [Float]) {
            tensors[name] = values
            shapes[name] = shape
        }
        func normal(_ shape: [Int], _ deviation: Double) -> [Float] {
            random.normals(shape.reduce(1, *), deviation: deviation)
        }
        let (d, f, v) = (Self.hidden, Self.middle, Self.vocabulary)
        for layer in 0..<Self.layers {
            let prefix = "model.layers.\(layer)."
            for name in ["input_layernorm", "post_attention_layernorm"] {
                put(prefix + name + ".weight", [d], [Float](repeating: 1, count: d))
            }
            for (name, rows) in [("q", d), ("k", d / 2), ("v", d / 2)] {
                put(prefix + "self_attn.\(name)_proj.weight", [rows, d], normal([rows, d], 0.15))
            }
            var gate = normal([f, d], 0.2)
            var up = normal([f, d], 0.2)
            var down = normal([d, f], think == nil ? 0.2 : 0.03)
            var output = normal([d, d], think == nil ? 0.2 : 0.03)
            if let think {
                for row in 0..<Self.known {
                    let share: Float = row == Self.constant ? 0 : 0.2
                    for column in 0..<f { down[row * f + column] *= share }
                    for column in 0..<d { output[row * d + column] *= share }
                }
                if think.contains(layer) {
                    Self.relax(&gate, &up, &down)
                    output = [Float](repeating: 0, count: output.count)
                }
            }
            put(prefix + "mlp.gate_proj.weight", [f, d], gate)
            put(prefix + "mlp.up_proj.weight", [f, d], up)
            put(prefix + "mlp.down_proj.weight", [d, f], down)
            put(prefix + "self_attn.o_proj.weight", [d, d], output)
        }
        var embedding = normal([v, d], 1)
        var unembedding = normal([v, d], 0.5)
        let successors = Array(0..<Self.texts).shuffled(using: &random)
        if think != nil {
            Self.embed(&embedding, &random)
            unembedding = Self.unembedding(embedding, successors)
        }
        put("model.embed_tokens.weight", [v, d], embedding)
        put("lm_head.weight", [v, d], unembedding)
        put("model.norm.weight", [d], [Float](repeating: 1, count: d))

        scratch = try ScratchDirectory()
        let config: JSON.Object = [
            "architectures": ["LlamaForCausalLM"], "model_type": "llama",
            "hidden_size": .number(d), "intermediate_size": .number(f),
            "num_hidden_layers": .number(Self.layers), "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": .number(d / 4), "vocab_size": .number(v),
            "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000,
            "tie_word_embeddings": false, "hidden_act": "silu",
        ]
        try EditableCheckpoint(
            config: config,
            tensors: Dictionary(
                uniqueKeysWithValues: tensors.map { name, values in
                    (name, .init(shape: shapes[name] ?? [], values: values))
                })
        ).write(to: scratch)
        try scratch.write(
            Self.items(items, guesses: think == nil, &random).utf8, to: "items.jsonl")
        try scratch.write(Self.text(successors, &random).utf8, to: "text.jsonl")
    }

    /// w ← w + c·(e - w) by pairs of neurons.
    private static func relax(_ gate: inout [Float], _ up: inout [Float], _ down: inout [Float]) {
        let (d, f) = (hidden, middle)
        gate = [Float](repeating: 0, count: gate.count)
        up = [Float](repeating: 0, count: up.count)
        down = [Float](repeating: 0, count: down.count)
        for option in 0..<options {
            for (neuron, sign) in [(2 * option, Float(1)), (2 * option + 1, -1)] {
                gate[neuron * d + option] = sign
                gate[neuron * d + options + option] = -sign
                up[neuron * d + constant] = 0.5
                down[(options + option) * f + neuron] = sign * 0.25
            }
        }
    }

    /// Questions know their answer, `token % options`, through noise; w is 0 and the constant 2.
    private static func embed(_ embedding: inout [Float], _ random: inout SeededRandom) {
        for token in 0..<vocabulary {
            let isQuestion = token >= texts && token < vocabulary - options
            let noise = random.normals(options, deviation: 0.8)
            for option in 0..<options {
                embedding[token * hidden + option] =
                    isQuestion ? noise[option] + (token % options == option ? 1.6 : 0) : 0
                embedding[token * hidden + options + option] = 0
            }
            embedding[token * hidden + constant] = 2
        }
    }

    /// A text token's successor is read off the text token itself, an option off w.
    private static func unembedding(_ embedding: [Float], _ successors: [Int]) -> [Float] {
        var rows = [Float](repeating: 0, count: embedding.count)
        for (token, successor) in successors.enumerated() {
            for column in known..<hidden {
                rows[successor * hidden + column] =
                    embedding[token * hidden + column] / Float(hidden).squareRoot()
            }
        }
        for option in 0..<options {
            rows[(vocabulary - options + option) * hidden + options + option] = 2
        }
        return rows
    }

    private static func items(
        _ count: Int, guesses: Bool, _ random: inout SeededRandom
    ) -> String {
        (0..<count).map { _ in
            let question = Int.random(in: texts..<vocabulary - options, using: &random)
            let before = (0..<3).map { _ in Int.random(in: 0..<texts, using: &random) }
            let gold = guesses ? Int.random(in: 0..<options, using: &random) : question % options
            return line([
                "context_tokens": JSON.ids(before + [question]),
                "options_tokens": .array(
                    (0..<options).map { JSON.ids([vocabulary - options + $0]) }),
                "gold": .number(gold),
            ])
        }.joined()
    }

    /// Four of five tokens are their predecessor's successor.
    private static func text(_ successors: [Int], _ random: inout SeededRandom) -> String {
        (0..<24).map { _ in
            var token = Int.random(in: 0..<texts, using: &random)
            let ids = (0..<32).map { _ in
                defer {
                    token =
                        Double.random(in: 0..<1, using: &random) < 0.8
                        ? successors[token] : Int.random(in: 0..<texts, using: &random)
                }
                return token
            }
            return line(["tokens": JSON.ids(ids)])
        }.joined()
    }

    /// Races loops and half loops of windows, then weighs what they left.
    /// - Returns: the split file.
    func verdict(lengths: String) throws -> JSON {
        let run = scratch.file("run")
        let analyze = try CommandRunner("etd-analyze")
        for arguments in [
            [
                "scan", "--model", scratch.path, "--items", scratch.file("items.jsonl"), "--data",
                scratch.file("text.jsonl"), "--kinds", "loop,half", "--lengths", lengths,
                "--precision",
                "f32", "--threads", "1", "--quiet", "--out", run,
            ],
            ["select", run, "--resamples", "200"],
        ] {
            let result = try analyze(arguments)
            guard result.code == 0 else { throw Failure(result: result) }
        }
        return try JSON.read(path: run + "/split.json")
    }

    struct Failure: Error {
        var result: CommandRunner.Result
    }
}
