// Windows of layers skipped and repeated: what transformers' layers give in another order, what `score`
// gives for the same plan, and that nothing depends on how the work is shared.

import Checkpoints
import Corpus
import Evaluation
import Files
import Foundation
import Models
import Plans
import Scans
import TestSupport
import Testing

@Suite struct ScanTests {
    @Test func goldensAreThere() {
        #expect(ScanGolden.all.count >= 18)
        #expect(ScanGolden.all.allSatisfy { $0.windows.count == 55 && $0.items.count == 2 })
    }

    @Test(arguments: ScanGolden.all)
    func everyKindEqualsTransformers(_ golden: ScanGolden) throws {
        let rows = golden.windows
        let result = try Scan.run(golden.job(rows.map(\.window)), model: golden.model())
        let tokens = Double(golden.text.tokens.count - 1)
        for (index, row) in rows.enumerated() {
            for (item, margin) in row.margins.enumerated() {
                let ours = try #require(result.margins[index][item])
                #expect(abs(ours - margin) < 1e-4, "\(row.window), item \(item)")
            }
            let nll = try #require(result.nll[index][0])
            #expect(abs(nll - row.nll) / tokens < 1e-4, "\(row.window)")
        }
        let base = golden.json["base"]
        #expect(
            zip(result.baseMargins, base?["margins"]?.arrayValue ?? []).allSatisfy {
                abs($0 - ($1.doubleValue ?? .nan)) < 1e-4
            })
    }

    /// Skips and loops are plans, so that `score` says the same to the last bit; here with texts that no
    /// block of rows holds.
    @Test(arguments: ["llama-gqa", "gemma3", "qwen2-sliding"])
    func skipsAndLoopsAreScoresPlans(_ name: String) throws {
        var checkpoint = try EditableCheckpoint(Locations.golden("models/\(name)"))
        checkpoint.config["max_position_embeddings"] = 2048
        let folder = try checkpoint.write()
        let model = try Transformer.load(Checkpoint.open(folder.path))
        let vocabulary = model.configuration.vocabularySize
        let layers = model.configuration.layerCount
        var random = SeededRandom(5)
        let long = (0..<1300).map { _ in Int32.random(in: 0..<Int32(vocabulary), using: &random) }
        var items = randomItems(40, vocabulary: vocabulary, seed: 3)
        // A context of more than a block, branches behind it.
        items[7] = ScanItem(
            options: [[1, 2], [2, 3, 4]].map {
                ScoreRequest(tokens: Array(long[..<700]) + $0, firstScored: 700)
            }, gold: 0)
        let windows = [
            ScanWindow(kind: .skip, start: 1, length: 1),
            ScanWindow(kind: .skip, start: 0, length: layers),
            ScanWindow(kind: .loop, start: 0, length: 2, iterations: 2),
            ScanWindow(kind: .loop, start: 0, length: 2, iterations: 3),
        ]
        let plans = [
            try LayerPlan(layers: [0] + Array(2..<layers)), try LayerPlan(layers: []),
            try LayerPlan.split(
                encoder: 0, think: 2, decoder: layers - 2, iterations: 2, layers: layers),
            try LayerPlan.split(
                encoder: 0, think: 2, decoder: layers - 2, iterations: 3, layers: layers),
        ]
        let documents = [Document(tokens: long), Document(tokens: Array(long[..<30]))]
        let result = try Scan.run(
            .init(windows: windows, items: items, documents: documents, races: false, seed: 0),
            model: model)
        for (index, plan) in plans.enumerated() {
            let scorer = Scorer(model: model, plan: plan)
            for (place, item) in items.enumerated() {
                let scores = try item.options.map { try scorer.score($0).sum }
                #expect(result.margins[index][place] == item.margin(scores), "\(place)")
            }
            for (place, document) in documents.enumerated() {
                let request = ScoreRequest(tokens: document.tokens, firstScored: 1)
                #expect(try result.nll[index][place] == -scorer.score(request).sum)
            }
        }
    }

    /// What text shows beside the loss, against transformers.
    @Test(arguments: ScanGolden.all) func effectsEqualTransformers(_ golden: ScanGolden) throws {
        let model = try golden.model()
        let layers = model.configuration.layerCount
        let dynamics = golden.json["dynamics"]?.arrayValue ?? []
        let loops = dynamics.map {
            ScanWindow(
                kind: .loop, start: $0["start"]?.intValue ?? 0, length: $0["length"]?.intValue ?? 0,
                iterations: 2)
        }
        let skips = (0..<layers).map { ScanWindow(kind: .skip, start: $0, length: 1) }
        let result = try Scan.run(
            .init(
                windows: skips + loops, items: [], documents: [golden.text], races: false, seed: 0,
                dynamics: 4, skipEffect: true), model: model)
        #expect(loops.count == 2)
        let found = try #require(result.dynamics)
        for (index, expected) in dynamics.enumerated() {
            let change = found.change[index * 4..<index * 4 + 4]
            let cosine = found.cosine[index * 3..<index * 3 + 3]
            for (one, other) in zip(change, expected["change"]?.arrayValue ?? []) {
                let value = other.doubleValue ?? .nan
                #expect(abs(one - value) < 1e-4 * max(1, value))
            }
            for (one, other) in zip(cosine, expected["cosine"]?.arrayValue ?? []) {
                #expect(abs(one - (other.doubleValue ?? .nan)) < 1e-4)
            }
        }
        let effect = try #require(result.skipEffect)
        for (skipped, row) in (golden.json["skip_effect"]?.arrayValue ?? []).enumerated() {
            for (later, value) in (row["later"]?.arrayValue ?? []).enumerated() {
                let own = effect.contributions[skipped * layers + later]
                if let value = value.doubleValue {
                    #expect(abs(own - value) < 1e-4 * max(1, value))
                } else {
                    #expect(own.isNaN)
                }
            }
            #expect(abs(effect.output[skipped] - (row["output"]?.doubleValue ?? .nan)) < 1e-5)
        }
    }

    /// Items with the same long beginning run it once, and have the values of each alone.
    @Test func commonBeginningsAreShared() throws {
        let golden = try ScanGolden.named("llama-deep")
        let model = try golden.model()
        let vocabulary = model.configuration.vocabularySize
        let head = Array(randomItems(9, vocabulary: vocabulary, seed: 3)[0].options[0].tokens)
        let long = Array(repeating: head, count: 14).flatMap(\.self)
        let items = randomItems(6, vocabulary: vocabulary, seed: 5).map { item in
            ScanItem(
                options: item.options.map {
                    ScoreRequest(
                        tokens: long + $0.tokens, firstScored: long.count + $0.firstScored)
                }, gold: item.gold, task: "t")
        }
        let windows = [ScanWindow(kind: .skip, start: 1, length: 2)]
        func run(_ items: [ScanItem]) throws -> Scan.Result {
            try Scan.run(
                .init(windows: windows, items: items, documents: [], races: false, seed: 0),
                model: model)
        }
        let together = try run(items)
        var executions = 0
        for (index, item) in items.enumerated() {
            let alone = try run([item])
            executions += alone.executions
            #expect(alone.baseMargins[0] == together.baseMargins[index])
            #expect(alone.margins[0][0] == together.margins[0][index])
            #expect(alone.logOdds[0][0] == together.logOdds[0][index])
        }
        #expect(Double(together.executions) < 0.5 * Double(executions))
    }

    /// log p/(1 - p) of the gold option's share, written out.
    @Test func logOddsAreThoseOfTheShare() {
        let item = ScanItem(options: [], gold: 1)
        let logs = [-2.0, -1.5, -4.0]
        let share = exp(-1.5) / logs.reduce(0) { $0 + exp($1) }
        #expect(abs(item.logOdds(logs) - log(share / (1 - share))) < 1e-12)
        #expect(item.logOdds([-1, .nan, -2]).isNaN)
    }

    @Test func identityLayersShowExactlyNothing() throws {
        var checkpoint = try EditableCheckpoint(Locations.golden("models/llama-gqa"))
        for name in checkpoint.tensors.keys
        where name.contains("layers.1.")
            && (name.contains("o_proj.weight") || name.contains("down_proj.weight"))
        {
            let bytes = checkpoint.tensors[name]?.bytes.count ?? 0
            checkpoint.tensors[name]?.bytes = [UInt8](repeating: 0, count: bytes)
        }
        let folder = try checkpoint.write()
        let model = try Transformer.load(Checkpoint.open(folder.path))
        let golden = try ScanGolden.named("llama-gqa")
        let windows = try ScanWindow.grid(
            kinds: ScanKind.allCases, lengths: [1], ranges: [], iterations: [1, 2, 5],
            layers: model.configuration.layerCount)
        let result = try Scan.run(golden.job(windows), model: model)
        for (index, window) in windows.enumerated() {
            let isNothing =
                result.margins[index] == result.baseMargins && result.nll[index] == result.baseNLL
            #expect(
                isNothing
                    == (window.start == 1
                        || window.iterations == 1 && ScanKind.usual.contains(window.kind)),
                "\(window)")
        }
        let rows = result.rows.filter { $0.start == 1 }
        #expect(rows.count == 16)
        #expect(rows.allSatisfy { $0.change.margin.mean == 0 && $0.change.nll.mean == 0 })
    }

    /// T positions: L layers for the model as it is, L for its states at every boundary, and for each
    /// window only what lies behind the states that are there.
    @Test func sharedStatesAreComputedOnce() throws {
        let golden = try ScanGolden.named("llama-deep")
        let model = try golden.model()
        let layers = model.configuration.layerCount
        let positions = golden.text.tokens.count - 1
        func executions(_ kinds: [ScanKind], _ iterations: [Int]) throws -> (Int, Int) {
            let windows = try ScanWindow.grid(
                kinds: kinds, lengths: [2], ranges: [], iterations: iterations, layers: layers)
            let result = try Scan.run(
                .init(
                    windows: windows, items: [], documents: [golden.text], races: false, seed: 0),
                model: model)
            return (result.executions / positions, result.naiveExecutions / positions)
        }
        let tails = (0...layers - 2).reduce(0) { $0 + layers - 2 - $1 }
        let places = layers - 1
        let skip = try executions([.skip], [])
        #expect(skip == (2 * layers + tails, layers + places * (layers - 2)))
        // Two more passes of the window for k = 2 and 3 together, and a tail for each.
        let loop = try executions([.loop], [2, 3])
        #expect(loop.0 == 2 * layers + 2 * tails + places * 4)
        #expect(loop.1 == layers + places * (2 * layers + 2 + 4))
        // The first half step starts from the loop's second pass.
        let half = try executions([.loop, .half], [2])
        #expect(half.0 == 2 * layers + 2 * tails + places * 2)
    }

    /// A layer's output is scaled until states overflow in some items under a window and in none without.
    @Test func whatOverflowsLeavesItsNeighboursAlone() throws {
        let original = try EditableCheckpoint(Locations.golden("models/llama-gqa"))
        let name = try #require(
            original.tensors.keys.first {
                $0.contains("layers.2.") && $0.contains("down_proj.weight")
            })
        let tensor = try #require(original.tensors[name])
        #expect(tensor.type == "F32")
        let values = stride(from: 0, to: tensor.bytes.count, by: 4).map { start in
            Float(
                bitPattern: (0..<4).reduce(0) { $0 | UInt32(tensor.bytes[start + $1]) << (8 * $1) })
        }
        let windows = [ScanWindow(kind: .skip, start: 1, length: 1)]
        var found = false
        var scale: Float = 2e36
        while !found, scale < 2e38 {
            scale *= 1.04
            var checkpoint = original
            checkpoint.tensors[name] = .init(shape: tensor.shape, values: values.map { $0 * scale })
            let folder = try checkpoint.write()
            let model = try Transformer.load(Checkpoint.open(folder.path))
            let items = randomItems(12, vocabulary: model.configuration.vocabularySize, seed: 2)
            func run(_ items: [ScanItem]) throws -> Scan.Result {
                try Scan.run(
                    .init(windows: windows, items: items, documents: [], races: false, seed: 0),
                    model: model)
            }
            guard let all = try? run(items) else { continue }
            let margins = all.margins[0].compactMap(\.self)
            let overflows = margins.count(where: \.isNaN)
            guard (1..<12).contains(overflows) else { continue }
            found = true
            #expect(margins.count == 12)
            for (index, item) in items.enumerated() {
                let alone = try #require(try run([item]).margins[0][0])
                #expect(alone == margins[index] || alone.isNaN && margins[index].isNaN)
            }
            #expect(all.rows[0].values.margin.mean == nil && all.rows[0].items == 12)
        }
        #expect(found)
    }

    @Test(
        arguments: [
            ([9], [], [2]), ([0], [], [2]), ([], [0...9], [2]), ([1], [], [0]), ([], [], [2]),
        ] as [([Int], [ClosedRange<Int>], [Int])])
    func badWindowsAreRefused(_ lengths: [Int], _ ranges: [ClosedRange<Int>], _ iterations: [Int]) {
        #expect(throws: ScanError.self) {
            try ScanWindow.grid(
                kinds: ScanKind.allCases, lengths: lengths, ranges: ranges,
                iterations: iterations, layers: 4)
        }
    }
}
