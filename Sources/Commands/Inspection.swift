import Analysis
import Checkpoints
import Files
import Foundation
import Models
import Records

/// What a checkpoint, a dump, a tuned lens, a run or a split file holds: as text for people and as JSON for programs.
public struct Inspection {
    /// Titled facts in the order shown.
    public struct Section {
        var title: String
        var facts: [(name: String, value: JSON)]
    }

    var sections: [Section]

    /// What the JSON file of a run at `path` holds.
    package init(record json: JSON, path: String) throws {
        sections = try Self.record(json, path: path)
    }

    /// What a dump at `path` holds.
    package init(dump path: String, check: Bool) throws {
        sections = try Self.dump(path, check: check)
    }

    /// What a model's configuration says; nothing of a tokenizer or of tensors.
    package init(configuration model: Transformer, of checkpoint: Checkpoint) {
        sections = Self.configuration(model, checkpoint)
    }

    /// - Parameter check: reads every weight of a checkpoint, every value of a dump, and fails on NaN or
    ///   Inf.
    public init(_ argument: String, check: Bool, hashed: Bool) throws {
        var isDirectory: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: argument, isDirectory: &isDirectory)
        if exists, isDirectory.boolValue,
            FileManager.default.fileExists(atPath: argument + "/" + RunDirectory.layers)
        {
            sections = try Self.run(argument)
        } else if !isDirectory.boolValue, Self.isEvidence(argument) {
            sections = try Self.evidence(argument)
        } else if !isDirectory.boolValue, Self.isDump(argument) {
            sections = try Self.dump(argument, check: check)
        } else if exists, !isDirectory.boolValue, argument.hasSuffix(".safetensors"),
            (try? TensorArchive(path: argument))?.metadata["schema"] != nil
        {
            sections = [try Self.lens(argument)]
        } else if exists, argument.hasSuffix(".json") {
            sections = try Self.record(argument)
        } else {
            sections = try Self.checkpoint(argument, check: check, hashed: hashed)
        }
    }

    public var json: JSON {
        Self.object(sections.map { ($0.title, Self.object($0.facts)) })
    }

    /// Names come from files, and a dump's setting may be called as another fact is: the second of a
    /// name is numbered.
    private static func object(_ members: [(name: String, value: JSON)]) -> JSON {
        var object: JSON.Object = [:]
        for (name, value) in members {
            var unique = name
            var number = 1
            while object[unique] != nil {
                number += 1
                unique = "\(name) (\(number))"
            }
            object[unique] = value
        }
        return .object(object)
    }

    /// `json` as a text in which nothing can move a terminal's cursor.
    public var jsonText: String { json.text().visibleJSON + "\n" }

    /// For people, control characters made visible.
    public var text: String {
        sections.map { section in
            let names = section.facts.map(\.name.visible)
            let width = names.map(\.count).max() ?? 0
            let lines = zip(names, section.facts).map { name, fact -> String in
                let name = name.padding(toLength: width, withPad: " ", startingAt: 0)
                return "  \(name)  \(Self.plain(fact.value).visible)"
            }
            return ([section.title.visible] + lines).joined(separator: "\n") + "\n"
        }.joined(separator: "\n")
    }

    private static func plain(_ value: JSON) -> String {
        switch value {
        case .string(let text): text
        case .null: "–"
        case .array(let values) where values.isEmpty: "none"
        case .array(let values): values.map(plain).joined(separator: "; ")
        case .object(let members):
            members.map { "\($0.key) \(plain($0.value))" }.joined(separator: ", ")
        default: value.text(indent: 0)
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

    private static func lens(_ path: String) throws -> Section {
        let header = try TunedLens.Header(path: path)
        return Section(
            title: "tuned lens",
            facts: [
                ("architecture", .string(header.architecture)),
                ("layers", .number(header.layers)), ("hidden_size", .number(header.hiddenSize)),
                ("fingerprint", .string(header.fingerprint)), ("data", .string(header.data)),
                ("tokens", .number(header.tokens)), ("precision", .string(header.precision)),
                ("held_out_tokens", .number(header.heldOutTokens)),
                ("kl_from_final_plain", .array(header.plainKL.map { .number($0) })),
                ("kl_from_final_tuned", .array(header.tunedKL.map { .number($0) })),
                ("not_closer_at", .array(header.failures.map { .number($0) })),
                ("created_by", .string(header.createdBy)),
            ])
    }

    private static func record(_ path: String) throws -> [Section] {
        try record(try JSON.read(path: path), path: path)
    }

    private static func record(_ json: JSON, path: String) throws -> [Section] {
        switch json["schema"]?.stringValue {
        case LayersRecord.schema:
            return [Section(title: "run", facts: facts(try LayersRecord.read(json, path: path)))]
        case RunRecord.schema:
            let run = try RunRecord.read(json, path: path)
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
            let split = try SplitRecord.read(json, path: path)
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
