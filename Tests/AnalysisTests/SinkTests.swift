// Attention sinks: which positions are left out, and the twins of means over positions against plain f64
// loops over recorded states, on a checkpoint with one huge embedding. What the geometry makes of sinks is
// in GeometryTests, against numpy.

import Analysis
import Checkpoints
import Corpus
import Foundation
import Models
import Plans
import Records
import TestSupport
import Testing

@Suite struct SinkTests {
    /// A token whose embedding is 300 times as long as before.
    private static let huge: Int32 = 77

    private static func model() throws -> (Transformer, ScratchDirectory) {
        var checkpoint = try EditableCheckpoint(Locations.golden("models/llama-gqa"))
        let name = "model.embed_tokens.weight"
        var tensor = try #require(checkpoint.tensors[name])
        #expect(tensor.type == "F32")
        let width = tensor.shape[1]
        tensor.bytes.withUnsafeMutableBytes { bytes in
            let values = bytes.bindMemory(to: Float.self)
            for column in 0..<width { values[Int(huge) * width + column] *= 300 }
        }
        checkpoint.tensors[name] = tensor
        let folder = try checkpoint.write()
        return (try Transformer.load(Checkpoint.open(folder.path)), folder)
    }

    private static func documents(added: Int) -> [Document] {
        func tokens(_ count: Int, _ seed: UInt64) -> [Int32] {
            var random = SeededRandom(seed)
            return (0..<count).map { _ in Int32.random(in: 0..<Self.huge, using: &random) }
        }
        var first = tokens(60, 1)
        first[17] = huge
        first[41] = huge
        return [
            Document(tokens: first, addedTokens: added),
            Document(tokens: tokens(33, 2), addedTokens: added),
            Document(tokens: [5], addedTokens: added),
        ]
    }

    @Test(arguments: [0, 1])
    func twinsAreMeansOverTheOtherPositions(added: Int) throws {
        let (model, folder) = try Self.model()
        defer { withExtendedLifetime(folder) {} }
        let documents = Self.documents(added: added)
        let result = try Probe(model: model).run(documents)
        let sinks = try #require(result.sinks)
        #expect(
            sinks
                == SinksRecord(
                    policy: .drop, positions: 94 - 3 * added, first: added == 0 ? 3 : 0, massive: 2)
        )

        let layers = model.configuration.layerCount
        // By metric and layer or boundary: S and n of each document.
        var sums: [String: [[(sum: Double, count: Double)]]] = [:]
        func add(_ name: String, _ index: Int, _ values: [Double]) {
            if values.isEmpty { return }
            var rows = sums[name] ?? Array(repeating: [], count: layers + 1)
            rows[index].append((values.reduce(0, +), Double(values.count)))
            sums[name] = rows
        }
        for (number, document) in documents.enumerated() {
            let recorder = StateRecorder()
            try Session(model: model, capacity: 60).run(document.tokens, taps: [recorder])
            let ordinary = (1..<document.tokens.count).filter {
                number > 0 || $0 != 17 && $0 != 41
            }
            for layer in 0..<layers {
                let steps = ordinary.map { position in
                    Step(recorder.states[layer][position], recorder.states[layer + 1][position])
                }
                add("angular_distance_nosink", layer, steps.map { acos($0.cosine) / .pi })
                add("block_influence_nosink", layer, steps.map { 1 - $0.cosine })
                add("contribution_nosink", layer, steps.map(\.contribution))
                add("contribution_cosine_nosink", layer, steps.map(\.contributionCosine))
            }
            for boundary in 0...layers {
                let rows = try ordinary.map { position -> (p: [Double], token: Int32?) in
                    var out = [Float](repeating: 0, count: model.configuration.vocabularySize)
                    try model.logits(
                        of: recorder.states[boundary][position], rows: 1, into: &out)
                    let top = Double(out.max() ?? 0)
                    let sum = log(out.reduce(0) { $0 + exp(Double($1) - top) }) + top
                    return (
                        out.map { Double($0) - sum },
                        position + 1 < document.tokens.count ? document.tokens[position + 1] : nil
                    )
                }
                add(
                    "entropy_nosink", boundary,
                    rows.map { -$0.p.reduce(0) { $0 + exp($1) * $1 } })
                add(
                    "cross_entropy_nosink", boundary,
                    rows.compactMap { row in row.token.map { -row.p[Int($0)] } })
            }
        }
        for (name, rows) in sums {
            for (index, documents) in rows.enumerated() where !documents.isEmpty {
                let metrics =
                    name.hasSuffix("entropy_nosink")
                    ? result.boundaries[index].metrics : result.layers[index].metrics
                let estimate = try #require(metrics[name])
                let total = documents.reduce(0) { $0 + $1.count }
                let mean = documents.reduce(0) { $0 + $1.sum } / total
                let squares = documents.reduce(0) { $0 + pow($1.sum - mean * $1.count, 2) }
                let count = Double(documents.count)
                let error = (count / (count - 1) * squares).squareRoot() / total
                let tolerance = name.hasSuffix("entropy_nosink") ? 2e-5 : 1e-12
                #expect(abs(try #require(estimate.mean) - mean) < tolerance, "\(name) \(index)")
                #expect(
                    abs(try #require(estimate.standardError) - error) < tolerance,
                    "\(name)_se \(index)")
            }
        }
        #expect(sums.count == 6)
    }

    /// What a layer does to a state, in f64.
    private struct Step {
        var cosine, contribution, contributionCosine: Double

        init(_ h: [Float], _ g: [Float]) {
            func dot(_ a: [Double], _ b: [Double]) -> Double {
                zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
            }
            let (h, g) = (h.map(Double.init), g.map(Double.init))
            let u = zip(g, h).map { $0 - $1 }
            cosine = min(1, max(-1, dot(h, g) / (dot(h, h) * dot(g, g)).squareRoot()))
            contribution = (dot(u, u) / dot(h, h)).squareRoot()
            contributionCosine = dot(u, h) / (dot(u, u) * dot(h, h)).squareRoot()
        }
    }

    /// Means over positions are the same whatever the geometry does with sinks; the geometry is not.
    @Test func thePolicyIsTheGeometrysAlone() throws {
        let (model, folder) = try Self.model()
        defer { withExtendedLifetime(folder) {} }
        let documents = Self.documents(added: 0)
        let dropped = try Probe(model: model).run(documents)
        var keeping = ProbeOptions()
        keeping.sinks = .keep
        let kept = try Probe(model: model, options: keeping).run(documents)
        #expect(kept.sinks?.policy == .keep)
        #expect(kept.sinks?.massive == dropped.sinks?.massive)
        let geometry = Set(MeasuringPass.geometry.declaration.metrics.map(\.name))
        for (one, other) in zip(dropped.layers, kept.layers) { #expect(one == other) }
        for (one, other) in zip(dropped.boundaries, kept.boundaries) {
            #expect(
                one.metrics.filter { !geometry.contains($0.key) }
                    == other.metrics.filter { !geometry.contains($0.key) })
            let ranks = try [one, other].map { boundary in
                try #require(boundary.metrics[Metric.effectiveRank.name]?.mean)
            }
            #expect(ranks[0] > 2 * ranks[1], "boundary \(one.index): \(ranks)")
        }
    }

    /// Every third state is 30 medians long: more than may wait for the document's end.
    @Test func noMoreThanTheMostHeldAreMassive() throws {
        let (length, width) = (1024, 4)
        var random = SeededRandom(3)
        var states = random.floats(length * width).map { $0 < 0 ? $0 - 1 : $0 + 1 }
        for position in stride(from: 1, to: length, by: 3) {
            for column in 0..<width { states[position * width + column] *= 30 }
        }
        let document = FedDocument(states: [states], length: length)
        let sinks = SinkFinder(boundaries: 1, longest: length)
        let found = geometry([document], width: width, sinks: sinks)
        #expect(sinks.counts.massive == SinkFinder.mostHeld)
        let place = StatePlace(.resid, index: 0)
        #expect(found.moments.moments[place]?.count == length - 1 - SinkFinder.mostHeld)
        // The first of them, so that the rest does not depend on what comes later.
        #expect(sinks.leftOut.lastIndex(of: true) == 1 + 3 * (SinkFinder.mostHeld - 1))
    }

    /// A state of no length has no multiple.
    @Test func aMedianOfZeroMakesNothingMassive() {
        let (length, width) = (20, 4)
        var states = [Float](repeating: 0, count: length * width)
        states[5 * width] = 1
        let document = FedDocument(states: [states], length: length)
        let sinks = SinkFinder(boundaries: 1, longest: length)
        _ = geometry([document], width: width, sinks: sinks)
        #expect(sinks.counts.first == 1)
        #expect(sinks.counts.massive == 0)
    }
}
