import Checkpoints
import Files
import Foundation
import Models
import OrderedCollections
import Records
import Tensors

/// What a checkpoint, a run or a split file holds: as text for people and as JSON for programs.
public struct Inspection {
    /// Titled facts in the order shown.
    public struct Section {
        var title: String
        var facts: [(name: String, value: JSON)]
    }

    var sections: [Section]

    /// - Parameter check: reads every weight of a checkpoint and fails on NaN or Inf.
    public init(_ argument: String, check: Bool, hashed: Bool) throws {
        var isDirectory: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: argument, isDirectory: &isDirectory)
        if exists, isDirectory.boolValue,
            FileManager.default.fileExists(atPath: argument + "/" + RunDirectory.layers)
        {
            sections = try Self.run(argument)
        } else if exists, argument.hasSuffix(".json") {
            sections = try Self.record(argument)
        } else {
            sections = try Self.checkpoint(argument, check: check, hashed: hashed)
        }
    }

    public var json: JSON {
        .object(
            .init(
                uniqueKeysWithValues: sections.map { section in
                    (
                        section.title,
                        JSON.object(
                            .init(uniqueKeysWithValues: section.facts.map { ($0.name, $0.value) }))
                    )
                }))
    }

    public var text: String {
        sections.map { section in
            let width = section.facts.map(\.name.count).max() ?? 0
            let lines = section.facts.map { fact -> String in
                let name = fact.name.padding(toLength: width, withPad: " ", startingAt: 0)
                let value = Self.plain(fact.value)
                return "  \(name)  \(value)"
            }
            return ([section.title] + lines).joined(separator: "\n") + "\n"
        }.joined(separator: "\n")
    }

    private static func plain(_ value: JSON) -> String {
        switch value {
        case .string(let text): text
        case .null: "–"
        case .array(let values) where values.isEmpty: "none"
        case .array(let values): values.map(plain).joined(separator: "; ")
        default: value.text(indent: 0)
        }
    }

    // MARK: A checkpoint

    private static func checkpoint(
        _ argument: String, check: Bool, hashed: Bool
    ) throws -> [Section] {
        let loaded = try ModelSource(argument).open()
        let checkpoint = loaded.checkpoint
        let model = loaded.model
        let c = model.configuration
        var facts: [(String, JSON)] = [
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
            ("norm", .string("\(c.normPlacement.rawValue), epsilon \(c.normEpsilon)")),
            ("qk_norm", .string(c.queryKeyNorm.rawValue)),
            ("activation", .string(c.activation.rawValue)),
            ("tied_embeddings", .bool(c.tiedEmbeddings)),
            ("embedding_scale", .number(Double(c.embeddingScale))),
            ("attention_scale", .number(Double(c.attentionScale))),
            ("attention", .array(attention(c))),
            ("assumed", .array(c.assumptions.map(JSON.string))),
            ("fingerprint", .string(checkpoint.fingerprint)),
        ]
        if !model.ignoredTensors.isEmpty {
            facts.append(("ignored_tensors", .number(model.ignoredTensors.count)))
        }
        if hashed {
            for (path, hash) in try checkpoint.sha256OfFiles().sorted(by: { $0.key < $1.key }) {
                facts.append(("sha256 of \(path)", .string(hash)))
            }
        }
        if check {
            let damaged = checkpoint.tensors.values.filter { $0.firstNonFinite() != nil }
            guard damaged.isEmpty else {
                throw CommandError.nonFiniteWeights(
                    path: checkpoint.path, tensors: damaged.map(\.name))
            }
            facts.append(("checked", "every weight is finite"))
        }
        return [
            Section(title: "model", facts: facts),
            Section(title: "tokenizer", facts: try tokenizer(loaded)),
            Section(title: "parameters by part", facts: parts(checkpoint)),
            Section(title: "tensors by type", facts: types(checkpoint)),
        ]
    }

    /// Runs of layers that attend alike, such as "layers 0-4: window 512, rotary base 10000".
    private static func attention(_ c: ModelConfiguration) -> [JSON] {
        var kinds: OrderedDictionary<String, [Int]> = [:]
        for (layer, attention) in c.attention.enumerated() {
            let window = attention.window.map { "window \($0)" } ?? "full"
            let positions = attention.rotary.map { "rotary \($0.summary)" } ?? "learned positions"
            kinds["\(window), \(positions)", default: []].append(layer)
        }
        return kinds.map { kind, layers in
            let which =
                layers.count == c.layerCount
                ? "all layers" : "layers " + layers.map(String.init).joined(separator: ",")
            return .string("\(which): \(kind)")
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

    /// Parameters of the embedding, of each kind of weight over all layers, and of the rest.
    private static func parts(_ checkpoint: Checkpoint) -> [(String, JSON)] {
        var parts: OrderedDictionary<String, Int> = [:]
        for tensor in checkpoint.tensors.values {
            // "model.layers.12.mlp.up_proj.weight" counts as "model.layers.*.mlp.up_proj.weight".
            let name = tensor.name.split(separator: ".").map { Int($0) == nil ? $0 : "*" }
                .joined(separator: ".")
            parts[name, default: 0] += tensor.count
        }
        return parts.map { ($0.key, .number($0.value)) }
    }

    private static func types(_ checkpoint: Checkpoint) -> [(String, JSON)] {
        var types: OrderedDictionary<String, (tensors: Int, bytes: Int)> = [:]
        for tensor in checkpoint.tensors.values {
            types["\(tensor.type)", default: (0, 0)].tensors += 1
            types["\(tensor.type)", default: (0, 0)].bytes += tensor.bytes.count
        }
        return types.map {
            ($0.key, .string("\($0.value.tensors) tensors, \($0.value.bytes) bytes"))
        }
    }

    // MARK: Runs and split files

    private static func run(_ path: String) throws -> [Section] {
        let layers = try LayersRecord.read(path: "\(path)/\(RunDirectory.layers)")
        var sections = [Section(title: "run", facts: facts(layers))]
        let split = "\(path)/\(RunDirectory.split)"
        if FileManager.default.fileExists(atPath: split) { sections += try record(split) }
        return sections
    }

    private static func facts(_ layers: LayersRecord) -> [(String, JSON)] {
        [
            ("model", .string(layers.model.path)),
            ("architecture", .string(layers.model.architecture)),
            ("layers", .number(layers.model.layers)),
            ("fingerprint", .string(layers.model.fingerprint)),
            ("data", .string(layers.data.path)),
            ("documents", .number(layers.data.documents)),
            ("tokens", .number(layers.data.tokens)),
            ("sequence_length", .number(layers.data.sequenceLength)),
            ("bos", .string(layers.data.bos)),
            ("precision", .string(layers.precision)),
            (
                "metrics",
                .array(
                    (layers.layers.first.map { $0.metrics.keys.sorted() } ?? []).map(JSON.string))
            ),
            ("boundaries", .number(layers.boundaries.count)),
        ]
    }

    private static func record(_ path: String) throws -> [Section] {
        switch try JSON.read(path: path)["schema"]?.stringValue {
        case LayersRecord.schema:
            return [Section(title: "run", facts: facts(try LayersRecord.read(path: path)))]
        case RunRecord.schema:
            let run = try RunRecord.read(path: path)
            return [
                Section(
                    title: "how the run was made",
                    facts: [
                        ("arguments", .string(run.arguments.joined(separator: " "))),
                        ("created", .string(run.created)), ("tokens", .number(run.tokens)),
                        ("threads", .number(run.threads)),
                        ("blas_core_type", .string(run.blasCoreType)),
                        ("peak_rss_bytes", .number(run.peakResidentBytes)),
                        ("total_s", .number(run.timings.total)),
                    ])
            ]
        case SplitRecord.schema:
            let split = try SplitRecord.read(path: path)
            return [
                Section(
                    title: "split",
                    facts: [
                        ("notation", .text(split.split?.notation)),
                        ("abstained", .text(split.abstention)),
                        ("method", .string(split.method)),
                        ("confidence", .number(split.confidence)),
                        ("layers", .number(split.layers)),
                        ("fingerprint", .string(split.fingerprint)),
                        (
                            "alternatives",
                            .array(split.alternatives.map { .string($0.split.notation) })
                        ),
                    ])
            ]
        default:
            throw FileError.invalid(
                path: path,
                problem: "not a file of this project's: its schema is none of etd-layers/v1, "
                    + "etd-split/v1, etd-run/v1")
        }
    }
}
