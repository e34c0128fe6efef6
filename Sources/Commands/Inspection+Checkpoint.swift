import Checkpoints
import Files
import Models
import OrderedCollections
import Tensors

// What `inspect` says of a checkpoint.

extension Inspection {
    static func checkpoint(
        _ argument: String, check: Bool, hashed: Bool
    ) throws -> [Section] {
        let loaded = try ModelSource(argument).open()
        let checkpoint = loaded.checkpoint
        let model = loaded.model
        var facts = shape(model, checkpoint)
        if !model.ignoredTensors.isEmpty {
            facts.append(("ignored_tensors", .number(model.ignoredTensors.count)))
        }
        if hashed {
            for (path, hash) in try checkpoint.sha256OfFiles().sorted(by: { $0.key < $1.key }) {
                facts.append(("sha256 of \(path)", .string(hash)))
            }
        }
        if check {
            let damaged = checkpoint.tensors.values.compactMap { tensor in
                tensor.firstNonFinite().map { damage(in: tensor, at: $0) }
            }
            guard damaged.isEmpty else {
                throw CommandError.nonFiniteWeights(path: checkpoint.path, tensors: damaged)
            }
            facts.append(("checked", "every weight is finite"))
        }
        return [
            Section(title: "model", facts: facts),
            Section(title: "rope", facts: rope(model.configuration)),
            Section(title: "tokenizer", facts: try tokenizer(loaded)),
            Section(
                title: "parameters by part",
                facts: model.parametersByPart.filter { $0.count > 0 }.map {
                    ($0.part, .number($0.count))
                }),
            Section(title: "tensors", facts: tensors(checkpoint)),
            Section(title: "tensors by type", facts: types(checkpoint)),
        ]
    }

    /// "lm_head.weight (row 77)", from a row-major place.
    private static func damage(in tensor: StoredTensor, at place: Int) -> String {
        guard tensor.shape.count > 1, let rows = tensor.shape.first, rows > 0 else {
            return "\(tensor.name) (value \(place))"
        }
        return "\(tensor.name) (row \(place / (tensor.count / rows)))"
    }

    private static func shape(
        _ model: Transformer, _ checkpoint: Checkpoint
    ) -> [(String, JSON)] {
        let c = model.configuration
        let biases = [
            ("q, k, v", c.attentionBias), ("attention output", c.attentionOutputBias),
            ("mlp", c.mlpBias), ("norms", c.normBias),
        ].filter(\.1).map { JSON.string($0.0) }
        return [
            ("path", .string(checkpoint.path)),
            ("format", .string(checkpoint.format.rawValue)),
            ("architecture", .string(c.architecture)),
            ("parameters", .number(model.parameterCount)),
            ("layers", .number(c.layerCount)),
            ("hidden_size", .number(c.hiddenSize)),
            ("intermediate_size", .number(c.intermediateSize)),
            ("heads", .number(c.headCount)),
            ("kv_heads", .number(c.keyValueHeadCount)),
            ("head_dim", .number(c.headDimension)),
            ("vocab_size", .number(c.vocabularySize)),
            ("context", .number(c.contextLength)),
            (
                "norm",
                .string(
                    "\(c.normType.rawValue), \(c.normPlacement.rawValue), epsilon \(c.normEpsilon)"
                        + (c.normWeight ? "" : ", without weights"))
            ),
            ("qk_norm", .string(c.queryKeyNorm.rawValue)),
            ("qkv_clip", .number(c.queryKeyValueClip.map(Double.init))),
            ("residual", .string(c.parallelResidual ? "parallel" : "sequential")),
            ("activation", .string(c.activation.rawValue)),
            ("mlp", .string(c.gatedMLP ? "gated" : "plain")),
            ("biases", .array(biases)),
            ("positions", .string(c.learnedPositions ? "learned" : "rotary")),
            ("tied_embeddings", .bool(c.tiedEmbeddings)),
            ("embedding_scale", .number(Double(c.embeddingScale))),
            ("attention_scale", .number(Double(c.attentionScale))),
            ("attention", .array(attention(c))),
            ("assumed", .array(c.assumptions.map(JSON.string))),
            ("fingerprint", .string(checkpoint.fingerprint)),
        ]
    }

    /// "all layers", or "layers 0,1,2".
    private static func which(_ layers: [Int], of c: ModelConfiguration) -> String {
        layers.count == c.layerCount
            ? "all layers" : "layers " + layers.map(String.init).joined(separator: ",")
    }

    /// Layers that attend alike, such as "layers 0,1: window 512, rotary base 10000".
    private static func attention(_ c: ModelConfiguration) -> [JSON] {
        var kinds: OrderedDictionary<String, [Int]> = [:]
        for (layer, attention) in c.attention.enumerated() {
            let window = attention.window.map { "window \($0)" } ?? "full"
            let positions = attention.rotary.map { "rotary \($0.summary)" } ?? "learned positions"
            kinds["\(window), \(positions)", default: []].append(layer)
        }
        return kinds.map { .string("\(which($1, of: c)): \($0)") }
    }

    /// The rotary embeddings by the layers that have them.
    private static func rope(_ c: ModelConfiguration) -> [(String, JSON)] {
        var kinds: [(rotary: RotaryParameters, layers: [Int])] = []
        for (layer, attention) in c.attention.enumerated() {
            guard let rotary = attention.rotary else { continue }
            if let known = kinds.firstIndex(where: { $0.rotary == rotary }) {
                kinds[known].layers.append(layer)
            } else {
                kinds.append((rotary, [layer]))
            }
        }
        guard !kinds.isEmpty else { return [("rope", "none: positions are learned")] }
        return kinds.map { kind in
            let rotary = kind.rotary
            var members: JSON.Object = [
                "base": .number(rotary.base), "dimensions": .number(rotary.dimension),
            ]
            func add(_ type: String, _ values: [(String, Double)]) {
                members["scaling"] = .string(type)
                for (name, value) in values { members[name] = .number(value) }
            }
            switch rotary.scaling {
            case .none: add("none", [])
            case .linear(let factor): add("linear", [("factor", factor)])
            case .dynamic(let factor, let context):
                add("dynamic", [("factor", factor), ("context", context)])
            case .llama3(let factor, let low, let high, let original):
                add(
                    "llama3",
                    [
                        ("factor", factor), ("low_freq_factor", low), ("high_freq_factor", high),
                        ("original_context", original),
                    ])
            case .yarn(let yarn):
                add(
                    "yarn",
                    [
                        ("factor", yarn.factor), ("original_context", yarn.originalContext),
                        ("beta_fast", yarn.betaFast), ("beta_slow", yarn.betaSlow),
                        ("attention_factor", rotary.attentionFactor),
                    ])
            case .longrope(_, _, let original):
                add(
                    "longrope",
                    [
                        ("original_context", Double(original)),
                        ("attention_factor", rotary.attentionFactor),
                    ])
            case .divisors: add("rope_freqs.weight", [])
            }
            return (which(kind.layers, of: c), .object(members))
        }
    }

    private static func tokenizer(_ loaded: LoadedModel) throws -> [(String, JSON)] {
        guard let tokenizer = try loaded.tokenizer() else {
            return [("tokenizer", "none: token files and {\"tokens\"} lines work without one")]
        }
        func name(_ id: Int32?) -> JSON {
            id.map { .string("\($0) \(tokenizer.token($0) ?? "")") } ?? .null
        }
        return [
            ("ids", .number(tokenizer.vocabularySize)),
            ("bos", name(tokenizer.bosToken)),
            ("eos", name(tokenizer.eosToken)),
            ("added before a text", .array(tokenizer.prefixTokens.map { name($0) })),
            ("added behind a text", .array(tokenizer.suffixTokens.map { name($0) })),
            ("sha256", .string(try loaded.tokenizerHash())),
        ]
    }

    /// The tensors of all layers together: "model.layers.12.mlp.up_proj.weight" counts as
    /// "model.layers.*.mlp.up_proj.weight". How many have which type, and their parameters.
    private static func tensors(_ checkpoint: Checkpoint) -> [(String, JSON)] {
        var kinds: OrderedDictionary<String, (types: OrderedDictionary<String, Int>, count: Int)> =
            [:]
        for tensor in checkpoint.tensors.values {
            let name = tensor.name.split(separator: ".").map { Int($0) == nil ? $0 : "*" }
                .joined(separator: ".")
            kinds[name, default: ([:], 0)].types["\(tensor.type)", default: 0] += 1
            kinds[name, default: ([:], 0)].count += tensor.count
        }
        return kinds.map { name, kind in
            var members = JSON.Object(
                uniqueKeysWithValues: kind.types.map { ($0.key, JSON.number($0.value)) })
            members["parameters"] = .number(kind.count)
            return (name, .object(members))
        }
    }

    private static func types(_ checkpoint: Checkpoint) -> [(String, JSON)] {
        var types: OrderedDictionary<String, (tensors: Int, bytes: Int)> = [:]
        for tensor in checkpoint.tensors.values {
            types["\(tensor.type)", default: (0, 0)].tensors += 1
            types["\(tensor.type)", default: (0, 0)].bytes += tensor.bytes.count
        }
        return types.map {
            (
                $0.key,
                ["tensors": .number($0.value.tensors), "bytes": .number($0.value.bytes)]
            )
        }
    }
}
