import Checkpoints
import Export
import Files
import Foundation
import Models
import Plans
import TestSupport
import Testing

/// A tiny golden checkpoint, opened as a Hugging Face folder or as its GGUF twin.
struct Source: CustomTestStringConvertible, Sendable {
    let name: String
    var isGGUF = false
    var testDescription: String { name + (isGGUF ? " (GGUF)" : "") }

    var path: String {
        Locations.golden("models/\(name)" + (isGGUF ? "/model.gguf" : "")).path
    }

    private static let names: [String] = {
        let names = try? FileManager.default.contentsOfDirectory(
            atPath: Locations.golden("models").path)
        return (names ?? []).sorted().filter {
            Paths.kind(Locations.golden("models/\($0)/expected.json").path) == .file
        }
    }()

    static let folders = names.map { Source(name: $0) }
    static let ggufs = names.map { Source(name: $0, isGGUF: true) }
        .filter { Paths.kind($0.path) == .file }

    func expected() throws -> JSON {
        try JSON.read(path: Locations.golden("models/\(name)/expected.json").path)
    }

    /// The looped plan that transformers' goldens are of.
    func looped() throws -> (split: Split, iterations: Int) {
        let text = try expected()["looped"]?["notation"]?.stringValue ?? ""
        let notation = try SplitNotation(text)
        return (notation.split, notation.iterations ?? 0)
    }

    func job(_ split: Split? = nil, _ iterations: Int? = nil) throws -> ExportJob {
        let checkpoint = try Checkpoint.open(path)
        let looped = try looped()
        return try ExportJob(
            checkpoint: checkpoint,
            configuration: Transformer.load(checkpoint).configuration,
            split: split ?? looped.split, iterations: iterations ?? looped.iterations,
            createdBy: "a test")
    }

    func tokens(_ sequence: Int) throws -> [Int32] {
        (try expected()["tokens"]?.arrayValue?[sequence].arrayValue ?? [])
            .compactMap { $0.intValue.map(Int32.init) }
    }
}

/// Logits [T, V] of one text.
func logits(_ model: Transformer, _ tokens: [Int32], plan: LayerPlan? = nil) throws -> [Float] {
    let session = try Session(model: model, plan: plan, capacity: tokens.count)
    var all: [Float] = []
    try session.run(tokens) { positions, states throws(ModelError) in
        var block = [Float](
            repeating: 0, count: positions.count * model.configuration.vocabularySize)
        try model.logits(of: states, rows: positions.count, into: &block)
        all += block
    }
    return all
}

func open(_ path: String) throws -> Transformer { try Transformer.load(Checkpoint.open(path)) }
