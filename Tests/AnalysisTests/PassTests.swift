// Walks the registry of measuring passes: what each declares is what it measures, and what it measures follows
// again from its values by document. Then what single passes promise, against plain loops over states that
// a tap records, and attention against transformers' own weights (Tests/Goldens/activations).

import Analysis
import Checkpoints
import Corpus
import Foundation
import Models
import Plans
import Records
import TestSupport
import Testing

@Suite struct PassTests {
    private static let names = MeasuringPass.all.map(\.name)

    private func model(_ name: String = "llama-gqa") throws -> Transformer {
        try Transformer.load(Checkpoint.open(Locations.golden("models/\(name)").path))
    }

    private func documents(_ count: Int, length: Int, vocabulary: Int32 = 131) -> [Document] {
        var random = SeededRandom(17)
        return (0..<count).map { number in
            Document(
                tokens: (0..<length + number % 3).map { _ in
                    Int32(truncatingIfNeeded: random.next() >> 33) % vocabulary
                })
        }
    }

    @Test func theRegistryIsWhole() {
        let declared = MeasuringPass.all.map(\.declaration)
        #expect(Set(Self.names).count == Self.names.count)
        let metrics = declared.flatMap(\.metrics)
        #expect(Set(metrics.map(\.name)).count == metrics.count)
        for metric in metrics {
            #expect(metric.name.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "_" })
            for text in [metric.title, metric.explanation, metric.formula, metric.high] {
                #expect(!text.isEmpty, "\(metric.name)")
            }
            #expect(!metric.source.text.isEmpty, "\(metric.name)")
        }
        let figures = declared.sections.flatMap(\.figures)
        #expect(Set(figures.map(\.id)).count == figures.count)
        for figure in figures {
            for metric in figure.metrics { #expect(metrics.contains(metric), "\(figure.id)") }
        }
        for pass in declared {
            #expect(!pass.sections.isEmpty, "\(pass.name) draws nothing")
            #expect(!pass.summary.isEmpty)
        }
    }

    @Test(arguments: names)
    func aPassMeasuresWhatItDeclares(_ name: String) throws {
        let pass = try #require(MeasuringPass.named(name))
        let documents = documents(3, length: 12)
        let result = try Probe(model: model(), passes: [pass]).run(documents)
        func names(_ place: Metric.Place) -> [String] {
            pass.declaration.metrics.filter { $0.place == place }.flatMap(\.withTwin).map(\.name)
        }
        for layer in result.layers { #expect(Array(layer.metrics.keys) == names(.layer)) }
        for boundary in result.boundaries {
            #expect(Array(boundary.metrics.keys) == names(.boundary))
        }
        #expect(result.boundaries.isEmpty == names(.boundary).isEmpty)
        #expect(result.evidence.sha256.count == 3)
        // Every mean follows from the values by document.
        for table in result.evidence.tables where !table.name.hasSuffix("_heads") {
            for place in 0..<table.places {
                var mean = DocumentMean()
                for document in 0..<3 {
                    let index = document * table.places + place
                    let sum = table.sums[index]
                    let count =
                        table.counts?[index] ?? Double(result.evidence.tokens[document])
                    if !sum.isNaN { mean.add(sum: sum, count: count) }
                }
                let written =
                    table.place == .layer
                    ? result.layers[place].metrics[table.name]
                    : result.boundaries[place].metrics[table.name]
                #expect(mean.estimate == written, "\(table.name) at \(place)")
            }
        }
    }

    /// Every position, then fewer: the same readings, fewer of them.
    @Test(arguments: [PositionSelection.last, .every(5)])
    func theLensReadsChosenPositions(_ selection: PositionSelection) throws {
        let model = try model()
        let documents = documents(4, length: 37)
        let boundaries = model.configuration.layerCount + 1
        var expected = [[Double]](repeating: [], count: boundaries)
        var entropies: [Double] = []
        for document in documents {
            let chosen = Set(
                selection.positions(in: 0..<document.tokens.count, of: document.tokens.count))
            let tap = LensTap(model: model, boundaries: boundaries) { position, readings in
                guard chosen.contains(position) else { return }
                for (boundary, reading) in readings.enumerated() {
                    expected[boundary].append(reading.klToFinal)
                }
                entropies.append(readings[1].entropy)
            }
            tap.begin(document, index: 0)
            try Session(model: model, capacity: document.tokens.count)
                .run(document.tokens, taps: [tap])
        }
        var options = ProbeOptions()
        options.lensPositions = selection
        let result = try Probe(model: model, passes: [.lens], options: options).run(documents)
        for boundary in 0..<boundaries {
            let mean = try #require(result.boundaries[boundary].metrics["kl_to_final"]?.mean)
            let plain = expected[boundary].reduce(0, +) / Double(expected[boundary].count)
            #expect(abs(mean - plain) < 1e-9, "\(boundary)")
        }
        let entropy = try #require(result.boundaries[1].metrics["entropy"]?.mean)
        #expect(abs(entropy - entropies.reduce(0, +) / Double(entropies.count)) < 1e-9)
        if selection == .last {
            // Nothing follows the last token.
            #expect(result.boundaries[1].metrics["cross_entropy"]?.mean == nil)
        }
        #expect(result.selfChecks.count == 2)
    }

    @Test func aRunStopsWhenTheMetricIsKnownWellEnough() throws {
        let model = try model()
        let documents = documents(60, length: 9)
        let name = Metric.klToFinal.name
        func largest(_ result: Probe.Result) -> Double {
            result.boundaries.compactMap { $0.metrics[name]?.standardError }.max() ?? .nan
        }
        let thirty = try Probe(model: model, passes: [.lens]).run(Array(documents.prefix(30)))
        let twenty = try Probe(model: model, passes: [.lens]).run(Array(documents.prefix(20)))
        #expect(largest(twenty) > largest(thirty))
        for positions in [PositionSelection.all, .every(1)] {
            var options = ProbeOptions()
            options.lensPositions = positions
            options.until = StandardErrorBound(
                metric: name, bound: (largest(thirty) + largest(twenty)) / 2)
            let stopped = try Probe(model: model, passes: [.lens], options: options)
                .run(documents)
            #expect(stopped.documents == 30)
            #expect(stopped.metBound == true)
            #expect(stopped.boundaries.map(\.metrics) == thirty.boundaries.map(\.metrics))
            #expect(stopped.evidence.tokens.count == 30)
            options.until?.bound = 1e-9
            let all = try Probe(model: model, passes: [.lens], options: options).run(documents)
            #expect(all.documents == 60 && all.metBound == false)
        }
    }

    @Test func aLoopedModelIsMeasuredByExecutedLayer() throws {
        let model = try model()
        let documents = documents(2, length: 15)
        let passes = MeasuringPass.all
        let base = try Probe(model: model, passes: passes).run(documents)
        func run(_ iterations: Int) throws -> Probe.Result {
            let plan = try LayerPlan.split(
                encoder: 1, think: 2, decoder: 1, iterations: iterations, layers: 4)
            return try Probe(model: model, plan: plan, passes: passes).run(documents)
        }
        let once = try run(1)
        #expect(once.layers.map(\.metrics) == base.layers.map(\.metrics))
        #expect(once.boundaries.map(\.metrics) == base.boundaries.map(\.metrics))
        let looped = try run(3)
        #expect(looped.layers.map { $0.step?.layer } == [0, 1, 2, 1, 2, 1, 2, 3])
        #expect(looped.layers.map { $0.step?.iteration } == [nil, 1, 1, 2, 2, 3, 3, nil])
        #expect(looped.boundaries.count == 9 && looped.boundaries[0].step == nil)
        // Up to the end of the first pass nothing is different but what compares with the output.
        for step in 0..<3 {
            #expect(looped.layers[step].metrics == base.layers[step].metrics)
            #expect(
                looped.boundaries[step].metrics["entropy"]
                    == base.boundaries[step].metrics["entropy"])
        }
        #expect(looped.layers[3].metrics != base.layers[3].metrics)
        #expect(looped.matrices.first { $0.name == "cka" }?.values.count == 9)
    }

    @Test func blocksTurnAsFarAsTheirStatesSay() throws {
        let model = try model("gemma3")
        let documents = documents(3, length: 21)
        let result = try Probe(model: model, passes: [.blocks, .angular]).run(documents)
        let found = try #require(result.evidence.pairs)
        #expect(found.values.count == 3 * found.pairs.count)
        for (number, document) in documents.enumerated() {
            let recorder = StateRecorder()
            try Session(model: model, capacity: document.tokens.count)
                .run(document.tokens, taps: [recorder])
            for (index, pair) in found.pairs.enumerated() {
                let a = try #require(recorder.states[pair.0].last).map(Double.init)
                let b = try #require(recorder.states[pair.1].last).map(Double.init)
                let dot = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
                let squares =
                    a.reduce(0) { $0 + $1 * $1 } * b.reduce(0) { $0 + $1 * $1 }
                let expected = acos(max(-1, min(1, dot / squares.squareRoot()))) / .pi
                #expect(
                    abs(found.values[number * found.pairs.count + index] - expected) < 1e-9)
            }
        }
        let matrix = try #require(result.matrices.first?.values)
        for layer in result.layers {
            let own = layer.metrics["angular_distance_last"]?.mean
            #expect(matrix[layer.index][layer.index + 1] == own)
        }
    }

    /// Lengths of states and the share of their largest coordinate, over the states that a tap records; the
    /// twins leave out the first position.
    @Test func normsAreThoseOfTheStates() throws {
        let model = try model()
        let document = documents(1, length: 14)[0]
        let recorder = StateRecorder()
        try Session(model: model, capacity: document.tokens.count)
            .run(document.tokens, taps: [recorder])
        let result = try Probe(model: model, passes: [.norms]).run([document])
        #expect(result.boundaries.count == recorder.states.count)
        for (boundary, rows) in recorder.states.enumerated() {
            let squares = rows.map { $0.map { Double($0) * Double($0) } }
            let lengths = squares.map { $0.reduce(0, +).squareRoot() }
            let shares = squares.map { ($0.max() ?? 0) / $0.reduce(0, +) }
            for (name, values) in [("state_norm", lengths), ("largest_coordinate_share", shares)] {
                for (ending, kept) in [("", values), ("_nosink", Array(values.dropFirst()))] {
                    let mean = try #require(
                        result.boundaries[boundary].metrics[name + ending]?.mean)
                    let expected = kept.reduce(0, +) / Double(kept.count)
                    #expect(abs(mean - expected) < 1e-9 * max(1, expected), "\(name)\(ending)")
                }
            }
        }
    }

    @Test(arguments: ["llama-gqa", "olmo2-gqa", "mistral"])
    func attentionEqualsTransformersWeights(_ name: String) throws {
        let model = try model(name)
        let expected = try TensorFixture(Locations.golden("activations/\(name).safetensors"))
            .floats("attn_pattern")
        let (steps, heads, count) = (expected.shape[0], expected.shape[1], expected.shape[2])
        // The golden is of the text's first tokens.
        let tokens = try Array(TensorFixture.tokens(name).prefix(count))
        #expect(tokens.count == count)
        let result = try Probe(model: model, passes: [.attention]).run([Document(tokens: tokens)])
        for layer in 0..<steps {
            var (entropies, shares) = ([Double](), [Double]())
            for head in 0..<heads {
                var (entropy, share) = (0.0, 0.0)
                for row in 0..<count {
                    let start = ((layer * heads + head) * count + row) * count
                    let weights = expected.values[start..<start + count].map(Double.init)
                    entropy -= weights.reduce(0) { $1 > 0 ? $0 + $1 * log($1) : $0 }
                    share += weights[0]
                }
                entropies.append(entropy / Double(count))
                shares.append(share / Double(count))
            }
            for (metric, values) in [
                ("attention_entropy", entropies), ("first_position_share", shares),
            ] {
                let found = try #require(result.layers[layer].heads[metric])
                #expect(found.count == heads)
                for (a, b) in zip(found, values) { #expect(abs((a ?? .nan) - b) < 1e-5) }
                let mean = try #require(result.layers[layer].metrics[metric]?.mean)
                #expect(abs(mean - values.reduce(0, +) / Double(heads)) < 1e-5)
            }
        }
    }

    /// Leaving out a block is as if its documents had not been there.
    @Test func jackknifeBlocksLeaveTheirDocumentsOut() throws {
        let model = try model()
        let documents = documents(40, length: 26)
        var options = ProbeOptions()
        options.makesEvidence = true
        let result = try Probe(model: model, passes: [.geometry], options: options).run(documents)
        let found = Dictionary(
            uniqueKeysWithValues: result.evidence.jackknife.map { ($0.name, $0.values) })
        for block in [0, 7, 19] {
            let rest = documents.enumerated().filter { $0.offset / 2 != block }.map(\.element)
            let alone = try Probe(model: model, passes: [.geometry]).run(rest)
            for name in ["effective_rank", "participation_ratio"] {
                let values = try #require(found[name]?[block])
                for boundary in values.indices {
                    let expected = try #require(alone.boundaries[boundary].metrics[name]?.mean)
                    #expect(abs(values[boundary] - expected) < 1e-4 * expected, "\(name)")
                }
            }
        }
        // CKA's batches of 256 tokens begin in few of the blocks; without one of the others nothing changes.
        let cka = try #require(found["cka"])
        let all = try #require(result.matrices.first { $0.name == "cka" }?.values)
        let triangle = (0..<5).flatMap { row in (0..<row).map { all[row][$0] ?? .nan } }
        let unchanged = cka.count { values in
            zip(values, triangle).allSatisfy { abs($0 - $1) < 1e-12 }
        }
        #expect(unchanged > 10 && unchanged < 20)
        // What does not fit is left out with its reason, before anything is taken.
        let missing = #expect(throws: MomentBlocks.Missing.self) {
            try MomentBlocks(boundaries: 33, width: 8192)
        }
        #expect(missing?.problem.contains("MiB, more than 4096") == true)
        // Too few documents for blocks.
        let few = try Probe(model: model, passes: [.geometry], options: options)
            .run(Array(documents.prefix(19)))
        #expect(few.evidence.jackknife.isEmpty)
    }
}

extension TensorFixture {
    /// The golden model's second text.
    static func tokens(_ name: String) throws -> [Int32] {
        let data = try Data(contentsOf: Locations.golden("models/\(name)/expected.json"))
        let json = try JSONSerialization.jsonObject(with: data) as? [String: Any]
        let texts = json?["tokens"] as? [[Int]]
        return (texts?[1] ?? []).map(Int32.init)
    }
}

@Suite struct ProbeShardTests {
    /// Shards add up to the values of one run, bit for bit, whatever is measured and however they are cut.
    @Test(arguments: [2, 3, 7])
    func shardsGiveOneRun(_ count: Int) throws {
        let model = try Transformer.load(
            Checkpoint.open(Locations.golden("models/gemma3").path))
        var random = SeededRandom(5)
        let documents = (0..<41).map { number in
            Document(
                tokens: (0..<20 + number % 5).map { _ in
                    Int32(truncatingIfNeeded: random.next() >> 33) % 100
                }, addedTokens: number % 2)
        }
        let tokens = documents.reduce(0) { $0 + $1.tokens.count - $1.addedTokens }
        var options = ProbeOptions()
        options.makesEvidence = true
        options.lensPositions = .every(3)
        func run(_ range: Range<Int>, shard: ProbeOptions.Shard?) throws -> Probe.Result {
            options.shard = shard
            return try Probe(model: model, passes: MeasuringPass.all, options: options)
                .run(Array(documents[range]))
        }
        let whole = try run(0..<documents.count, shard: nil)
        #expect(!whole.evidence.jackknife.isEmpty)
        let parts = try (0..<count).map { index in
            let range = index * documents.count / count..<(index + 1) * documents.count / count
            let result = try run(
                range,
                shard: .init(
                    first: range.lowerBound, textDocuments: documents.count, textTokens: tokens))
            return ProbeShards.Part(evidence: result.evidence, kept: result.kept)
        }
        let merged = try ProbeShards(
            parts, layers: model.configuration.layerCount, width: model.configuration.hiddenSize
        ).merged()
        #expect(merged.layers == whole.layers)
        #expect(merged.boundaries == whole.boundaries)
        #expect(merged.matrices.map(\.name) == whole.matrices.map(\.name))
        for (a, b) in zip(merged.matrices, whole.matrices) { #expect(a.values == b.values) }
        #expect(merged.evidence.sha256 == whole.evidence.sha256)
        for (a, b) in zip(merged.evidence.jackknife, whole.evidence.jackknife) {
            #expect(a.name == b.name)
            #expect(
                a.values.flatMap(\.self).map(\.bitPattern)
                    == b.values.flatMap(\.self).map(\.bitPattern), "\(a.name)")
        }
        for (a, b) in zip(merged.evidence.tables, whole.evidence.tables) {
            #expect(a.name == b.name && a.counts == b.counts)
            #expect(a.sums.map(\.bitPattern) == b.sums.map(\.bitPattern), "\(a.name)")
        }
    }
}
