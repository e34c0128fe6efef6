// The cache map against passes whose keys and values are replaced one position at a time, and the policy
// shared against a plain loop where both are the same. bf16 is not looked at.

import Corpus
import Foundation
import Models
import Plans
import Scans
import TestSupport
import Testing

@Suite struct CacheMapTests {
    private func split(_ model: Transformer) -> Split {
        Split(encoder: 1, think: 2, decoder: model.configuration.layerCount - 3)
    }

    private func measured(
        _ model: Transformer, _ documents: [Document], iterations: Int
    ) throws -> [CacheMap.Change?: CacheMap.Values] {
        var map = try CacheMap(model: model, split: split(model), iterations: iterations)
        var found: [CacheMap.Change?: CacheMap.Values] = [:]
        var order: [CacheMap.Change?] = []
        try map.run(documents) {
            found[$0] = $1
            order.append($0)
        }
        #expect(order == [nil] + map.changes.map { $0 })
        return found
    }

    private func losses(
        _ model: Transformer, _ tokens: [Int32], _ plan: LayerPlan,
        _ interventions: [any Intervention] = []
    ) throws -> (losses: [Double], margins: [Double]) {
        let session = try Session(model: model, plan: plan, capacity: tokens.count)
        let (rows, vocabulary) = (tokens.count - 1, model.configuration.vocabularySize)
        var logits = [Float](repeating: 0, count: rows * vocabulary)
        try session.run(tokens, interventions: interventions) { _, states throws(ModelError) in
            try model.logits(of: states, rows: rows, into: &logits)
        }
        var found: (losses: [Double], margins: [Double]) = ([], [])
        for row in 0..<rows {
            let line = logits[row * vocabulary..<(row + 1) * vocabulary].map(Double.init)
            let own = line[Int(tokens[row + 1])]
            found.losses.append(log(line.reduce(0) { $0 + exp($1) }) - own)
            let others = line.enumerated().filter { $0.offset != Int(tokens[row + 1]) }
            found.margins.append(own - (others.map(\.element).max() ?? 0))
        }
        return found
    }

    @Test(arguments: ["llama-gqa", "olmo2-gqa"])
    func changesAreReplacementsWrittenOut(name: String) throws {
        let model = try ScanGolden.named(name).model()
        let plan = try split(model).plan(iterations: 3)
        var random = SeededRandom(3)
        let documents = (0..<2).map { _ in
            Document(tokens: (0..<9).map { _ in Int32.random(in: 3..<131, using: &random) })
        }
        let found = try measured(model, documents, iterations: 3)
        for (text, document) in documents.enumerated() {
            let tokens = document.tokens
            let recorder = StateRecorder([.key, .value])
            let session = try Session(model: model, plan: plan, capacity: tokens.count)
            try session.run(tokens, taps: [recorder])
            for (change, values) in found {
                var edits: [any Intervention] = []
                if let change, change.source == nil { continue }
                if let change, let source = change.source {
                    for (step, made) in plan.steps.enumerated() {
                        guard made.iteration != nil, change.layer ?? made.layer == made.layer
                        else { continue }
                        for site in [Site.key, .value] {
                            let passes = (0..<3).map { pass in
                                recorder.saved.values(
                                    plan.place(site, step: 1 + pass * 2 + made.layer - 1)) ?? []
                            }
                            let given: [Float] =
                                switch source {
                                case .first: passes[0]
                                case .last: passes[2]
                                case .mean:
                                    passes[0].indices.map {
                                        (passes[0][$0] + passes[1][$0] + passes[2][$0]) / 3
                                    }
                                }
                            let width = given.count / tokens.count
                            for position in tokens.indices {
                                edits.append(
                                    SiteEdit(
                                        .replace(
                                            Array(given[position * width..<(position + 1) * width])
                                        ), at: site, positions: position..<position + 1
                                    ) { $0.step == step })
                            }
                        }
                    }
                }
                let expected = try losses(model, tokens, plan, edits)
                for (a, b) in [
                    (values.losses[text], expected.losses),
                    (values.margins[text], expected.margins),
                ] {
                    try #require(a.count == b.count)
                    for (x, y) in zip(a, b) {
                        #expect(abs(x - y) < 1e-5, "\(String(describing: change))")
                    }
                }
            }
        }
        // They are changes.
        let base = found[nil]?.losses
        for (change, values) in found where change != nil { #expect(values.losses != base) }
    }

    @Test func bytesAreSlots() throws {
        let model = try ScanGolden.named("llama-gqa").model()
        let c = model.configuration
        let map = try CacheMap(model: model, split: split(model), iterations: 3)
        let slot = 2 * c.keyValueHeadCount * c.headDimension * 4
        #expect(map.bytes(nil) == 8 * slot)
        #expect(map.bytes(.init(source: .last, layer: 1)) == 6 * slot)
        #expect(map.bytes(.init(source: nil, layer: nil)) == 4 * slot)
        #expect(throws: ModelError.self) {
            try CacheMap(
                model: model, split: Split(encoder: 1, think: 2, decoder: 9), iterations: 2)
        }
    }
}
