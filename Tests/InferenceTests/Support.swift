import Checkpoints
import Files
import Foundation
import Inference
import Models
import Plans
import Tensors
import TestSupport
import Testing

/// A tiny checkpoint of Tests/Goldens/models.
struct TinyCheckpoint: CustomTestStringConvertible, Sendable {
    let name: String
    var testDescription: String { name }

    static let all: [TinyCheckpoint] = {
        let folder = Locations.golden("models").path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().map(TinyCheckpoint.init(name:)).filter {
            FileManager.default.fileExists(
                atPath: Locations.golden("models/\($0.name)/expected.json").path)
        }
    }()

    func load(_ arithmetic: Arithmetic = .f32) throws -> Transformer {
        try Transformer.load(
            Checkpoint.open(Locations.golden("models/\(name)").path), arithmetic: arithmetic)
    }
}

func randomTokens(_ count: Int, _ seed: UInt64) -> [Int32] {
    var random = SeededRandom(seed)
    return (0..<count).map { _ in Int32.random(in: 3..<131, using: &random) }
}

/// The plan whose block is all layers but the first and the last.
func looped(_ model: Transformer, _ iterations: Int) throws -> LayerPlan {
    let layers = model.configuration.layerCount
    return try Split(encoder: 1, think: layers - 2, decoder: 1).plan(iterations: iterations)
}

/// Logits [V] after the last of `tokens`, of one pass over all of them with a new cache.
func recomputed(_ model: Transformer, _ plan: LayerPlan, _ tokens: [Int32]) throws -> [Float] {
    let session = try Session(model: model, plan: plan, capacity: tokens.count)
    let width = model.configuration.hiddenSize
    var last = [Float](repeating: 0, count: model.configuration.vocabularySize)
    try session.run(tokens) { positions, states throws(ModelError) in
        try model.logits(of: states + (positions.count - 1) * width, rows: 1, into: &last)
    }
    return last
}

/// The first of the greatest values.
func greatest(_ values: [Float]) -> Int32 {
    Int32(values.indices.reduce(0) { values[$1] > values[$0] ? $1 : $0 })
}

/// Logits that each token of each request was chosen from.
final class LogitLog {
    var rows: [Int: [[UInt32]]] = [:]

    init(_ scheduler: Scheduler) {
        scheduler.onLogits = { [unowned self] index, row in
            rows[index, default: []].append(row.map(\.bitPattern))
        }
    }
}

/// Every id is one byte.
let bytewise = Detokenizer(
    text: { String(decoding: $0.map { UInt8(truncatingIfNeeded: $0) }, as: UTF8.self) })
