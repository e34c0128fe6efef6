// The fused lens and the layer geometry against plain f64 loops over the states a tap records, on the
// tiny checkpoints: odd vocabulary, several blocks, excluded BOS.

import Analysis
import Checkpoints
import Corpus
import Files
import Foundation
import Models
import Plans
import Records
import TestSupport
import Testing

final class StateRecorder: Tap {
    /// [boundary][position][d]
    var states: [[[Float]]] = []

    func wants(_ site: Site) -> Bool { site == .resid }

    func observe(_ activation: Activation) {
        if states.count <= activation.index { states.append([]) }
        for position in activation.positions {
            states[activation.index].append(
                Array(UnsafeBufferPointer(start: activation.row(position), count: activation.width))
            )
        }
    }
}

/// A document longer than one block of positions, from a fixed recurrence.
private func document(_ length: Int, vocabulary: Int, added: Int = 0) -> Document {
    var value = 7
    let tokens = (0..<length).map { _ -> Int32 in
        value = (value * 1_103_515_245 + 12_345) % 2_147_483_648
        return Int32(value / 65_536 % vocabulary)
    }
    return Document(tokens: tokens, addedTokens: added)
}

private func angle(_ a: [Float], _ b: [Float]) -> (distance: Double, cosine: Double) {
    var dot = 0.0
    var first = 0.0
    var second = 0.0
    for (x, y) in zip(a, b) {
        dot += Double(x) * Double(y)
        first += Double(x) * Double(x)
        second += Double(y) * Double(y)
    }
    let cosine = min(1, max(-1, dot / (first * second).squareRoot()))
    return (acos(cosine) / .pi, cosine)
}

@Suite struct LensTests {
    static func model(_ name: String) throws -> Transformer {
        try Transformer.load(Checkpoint.open(Locations.golden("models/\(name)").path))
    }

    @Test(arguments: ["llama-gqa", "olmo2-gqa", "gemma3"])
    func readingsEqualAPlainSoftmax(_ name: String) throws {
        let model = try Self.model(name)
        let tokens = document(45, vocabulary: model.configuration.vocabularySize).tokens
        let boundaries = model.configuration.layerCount + 1
        var readings: [[LogitLens.Reading]] = []
        let lens = LensTap(model: model, boundaries: boundaries) { _, row in readings.append(row) }
        let recorder = StateRecorder()
        lens.begin(Document(tokens: tokens), index: 0)
        try Session(model: model, capacity: tokens.count).run(tokens, taps: [lens, recorder])
        #expect(readings.count == tokens.count)

        for position in [0, 1, 22, 44] {
            let logits = try (0..<boundaries).map { boundary -> [Double] in
                var out = [Float](repeating: 0, count: model.configuration.vocabularySize)
                try model.logits(of: recorder.states[boundary][position], rows: 1, into: &out)
                return out.map(Double.init)
            }
            let logs = logits.map { row -> [Double] in
                let sum = log(row.reduce(0) { $0 + exp($1) })
                return row.map { $0 - sum }
            }
            let final = logs[boundaries - 1]
            for boundary in 0..<boundaries {
                let reading = readings[position][boundary]
                let p = logs[boundary]
                let entropy = -p.reduce(0) { $0 + exp($1) * $1 }
                let forward = zip(p, final).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }
                let backward = zip(p, final).reduce(0) { $0 + exp($1.1) * ($1.1 - $1.0) }
                #expect(abs(reading.entropy - entropy) < 2e-5)
                #expect(abs(reading.klToFinal - forward) < 2e-5)
                #expect(abs(reading.klFromFinal - backward) < 2e-5)
                let order = p.indices.sorted { p[$0] != p[$1] ? p[$0] > p[$1] : $0 < $1 }
                #expect(reading.topIDs == order.prefix(5).map(Int32.init))
                for (id, value) in zip(reading.topIDs, reading.topLogProbabilities) {
                    #expect(abs(value - p[Int(id)]) < 2e-5)
                }
                if position + 1 < tokens.count {
                    let cross = try #require(reading.crossEntropy)
                    #expect(abs(cross + p[Int(tokens[position + 1])]) < 2e-5)
                } else {
                    #expect(reading.crossEntropy == nil)
                }
            }
        }
    }

    @Test(arguments: [0, 1])
    func geometryEqualsPlainLoops(added: Int) throws {
        let model = try Self.model("llama-gqa")
        // 128 is the tiny model's context; two documents of different lengths give standard errors.
        let documents = [
            document(100, vocabulary: 131, added: added),
            document(37, vocabulary: 131, added: added),
        ]
        let result = try Probe(model: model).run(documents)
        var sums: [[(sum: Double, count: Double)]] = []
        var lasts: [[Double]] = []
        for document in documents {
            let recorder = StateRecorder()
            try Session(model: model, capacity: 128).run(document.tokens, taps: [recorder])
            let angles = (0..<model.configuration.layerCount).map { layer in
                (added..<document.tokens.count).map {
                    angle(recorder.states[layer][$0], recorder.states[layer + 1][$0]).distance
                }
            }
            sums.append(angles.map { ($0.reduce(0, +), Double($0.count)) })
            lasts.append(angles.map { $0[$0.count - 1] })
        }
        let distances = result.evidence.rows(Metric.angularDistanceLast.name)
        #expect(distances.count == 2)
        for layer in 0..<model.configuration.layerCount {
            let values = sums.map { $0[layer] }
            let total = values.reduce(0) { $0 + $1.count }
            let mean = values.reduce(0) { $0 + $1.sum } / total
            let squares = values.reduce(0) { $0 + pow($1.sum - mean * $1.count, 2) }
            let estimate = try #require(result.layers[layer].metrics[Metric.angularDistance.name])
            #expect(abs(try #require(estimate.mean) - mean) < 1e-12)
            let error = try #require(estimate.standardError)
            #expect(abs(error - (2 * squares).squareRoot() / total) < 1e-12)
            for document in 0..<2 {
                #expect(
                    abs(distances[document][layer] - lasts[document][layer]) < 1e-12)
            }
        }
    }

    @Test func oneDocumentHasNoStandardError() throws {
        let model = try Self.model("llama-gqa")
        let result = try Probe(model: model).run([document(20, vocabulary: 131)])
        let estimate = try #require(result.layers[0].metrics[Metric.contribution.name])
        #expect(estimate.mean != nil)
        #expect(estimate.standardError == nil)
    }

    /// Means of the lens from what transformers computed: its logits at the output, and below it its states
    /// through RMSNorm and the unembedding, written out.
    @Test func meansAreThoseOfTransformersStates() throws {
        let folder = Locations.golden("models/llama-gqa")
        let expected = try TensorFixture(folder.appending(path: "expected.safetensors"))
        let weights = try TensorFixture(folder.appending(path: "model.safetensors"))
        let facts = try JSON.read(path: folder.appending(path: "expected.json").path)
        let tokens = try #require(facts["tokens"]?.arrayValue?[1].arrayValue).map {
            Int32(try #require($0.intValue))
        }
        let states = try expected.floats("states.1").values.map(Double.init)
        let output = try expected.floats("logits.1").values.map(Double.init)
        let norm = try weights.floats("model.norm.weight").values.map(Double.init)
        let unembedding = try weights.floats("model.embed_tokens.weight").values.map(Double.init)
        let (width, vocabulary, count) = (32, 131, tokens.count)

        /// log p of one position at one boundary.
        func logs(_ boundary: Int, _ position: Int) -> [Double] {
            var row = Array(output[position * vocabulary..<(position + 1) * vocabulary])
            if boundary < 4 {
                let start = (boundary * count + position) * width
                let h = states[start..<start + width]
                let scale = 1 / (h.reduce(0) { $0 + $1 * $1 } / Double(width) + 1e-5).squareRoot()
                let normed = zip(h, norm).map { $0 * scale * $1 }
                row = (0..<vocabulary).map { id in
                    (0..<width).reduce(0) { $0 + normed[$1] * unembedding[id * width + $1] }
                }
            }
            let sum = log(row.reduce(0) { $0 + exp($1) })
            return row.map { $0 - sum }
        }
        func top(_ p: [Double]) -> [Int] {
            Array(p.indices.sorted { (-p[$0], $0) < (-p[$1], $1) }.prefix(5))
        }

        let result = try Probe(model: Self.model("llama-gqa")).run([Document(tokens: tokens)])
        #expect(result.selfChecks.count == 2)
        for check in result.selfChecks { #expect(check.value <= check.limit) }
        for boundary in 0...4 {
            var sums: [String: Double] = [:]
            for position in 0..<count {
                let (p, q) = (logs(boundary, position), logs(4, position))
                func add(_ metric: Metric, _ value: Double) {
                    sums[metric.name, default: 0] += value / Double(count)
                }
                add(.entropy, -p.reduce(0) { $0 + exp($1) * $1 })
                add(.klToFinal, zip(p, q).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) })
                add(.klFromFinal, zip(p, q).reduce(0) { $0 + exp($1.1) * ($1.1 - $1.0) })
                add(.top1Agreement, top(p)[0] == top(q)[0] ? 1 : 0)
                add(.top5Agreement, Double(Set(top(p)).intersection(top(q)).count) / 5)
                if position + 1 < count {
                    // Over one position fewer than the others.
                    add(
                        .crossEntropy,
                        -p[Int(tokens[position + 1])] * Double(count) / Double(count - 1))
                }
            }
            #expect(sums.count == Metric.lens.count)
            for (name, sum) in sums {
                let mean = try #require(result.boundaries[boundary].metrics[name]?.mean)
                #expect(abs(mean - sum) < 1e-4, "\(name) at \(boundary): \(mean), \(sum)")
            }
        }
    }

    @Test func passesLimitWhatIsMeasured() throws {
        let model = try Self.model("llama-gqa")
        let result = try Probe(model: model, passes: [.influence]).run([
            document(20, vocabulary: 131)
        ])
        #expect(result.boundaries.isEmpty)
        #expect(
            Set(result.layers[0].metrics.keys) == [
                Metric.blockInfluence.name, Metric.blockInfluence.withoutSinks.name,
            ])
        #expect(result.selfChecks.map(\.name).count == 1)
    }
}
