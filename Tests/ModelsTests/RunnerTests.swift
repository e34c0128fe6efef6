// What the block runner promises beyond a forward pass: bytes that do not depend on how a text is cut,
// on what runs beside it, on where a pass stopped and went on, and on who looks. The pass itself is
// compared with transformers in GoldenModelTests.swift. Not covered: bf16, whose contract is the same.

import Checkpoints
import Foundation
import Models
import Plans
import Tensors
import TestSupport
import Testing

@Suite struct RunnerTests {
    /// One golden of each family and each kind of rotary embedding or norm.
    static let families = GoldenModel.all

    static func texts(_ golden: GoldenModel) throws -> (clean: [Int32], corrupt: [Int32]) {
        let (facts, _) = try golden.expected()
        let clean = GoldenModel.tokens(facts, 1)
        return (clean, clean.map { ($0 + 17) % 131 })
    }

    /// The plan with a loop that every tiny model has room for.
    static func looped(_ model: Transformer) throws -> LayerPlan {
        let layers = model.configuration.layerCount
        return try Split(encoder: 1, think: layers - 2, decoder: 1).plan(iterations: 2)
    }

    private static func finalStates(
        _ model: Transformer, _ session: Session, _ tokens: [Int32],
        taps: [any Tap] = [], interventions: [any Intervention] = []
    ) throws -> [UInt32] {
        var states: [UInt32] = []
        try session.run(tokens, taps: taps, interventions: interventions) { positions, rows in
            states += UnsafeBufferPointer(
                start: rows, count: positions.count * model.configuration.hiddenSize
            ).map(\.bitPattern)
        }
        return states
    }

    // MARK: Stopping and going on

    @Test(arguments: families)
    func aPassGoesOnFromSavedStatesAtEveryBoundary(_ golden: GoldenModel) throws {
        let model = try golden.load()
        let (tokens, _) = try Self.texts(golden)
        let plan = try Self.looped(model)
        let whole = try Self.finalStates(
            model, Session(model: model, plan: plan, capacity: tokens.count), tokens)
        let width = model.configuration.hiddenSize
        for boundary in 0...plan.steps.count {
            let runner = BlockRunner(model: model)
            let first = try KeyValueCache(model: model, plan: plan)
            try runner.run([.init(tokens, cache: first)], steps: 0..<boundary)
            let saved = Array(
                UnsafeBufferPointer(start: runner.states, count: tokens.count * width))
            let other = BlockRunner(model: model)
            let second = try KeyValueCache(model: model, plan: plan)
            try other.run(
                [.init(tokens, cache: second)], steps: boundary..<plan.steps.count, from: saved)
            let found = UnsafeBufferPointer(start: other.states, count: tokens.count * width)
            #expect(found.map(\.bitPattern) == whole, "\(golden) at boundary \(boundary)")
        }
    }

    @Test func aCacheThatLacksAStepIsRefused() throws {
        let golden = GoldenModel(name: "llama-gqa")
        let model = try golden.load()
        let cache = try KeyValueCache(model: model)
        let runner = BlockRunner(model: model)
        try runner.run([.init([1, 2, 3], cache: cache)], steps: 0..<2)
        #expect(throws: ModelError.cacheGap(step: 2, held: 0, position: 3)) {
            try runner.run([.init([4], cache: cache)])
        }
        try runner.run([.init([4], cache: cache)], steps: 0..<2)
        #expect(cache.length == 4)
    }

    // MARK: Interventions

    @Test(arguments: families)
    func cleanStatesInACorruptedRunGiveTheCleanLogits(_ golden: GoldenModel) throws {
        let model = try golden.load()
        let (clean, corrupt) = try Self.texts(golden)
        let plan = try Self.looped(model)
        func run(
            _ tokens: [Int32], taps: [any Tap] = [], interventions: [any Intervention] = []
        ) throws -> [UInt32] {
            let session = try Session(model: model, plan: plan, capacity: tokens.count)
            return try Self.finalStates(
                model, session, tokens, taps: taps, interventions: interventions)
        }
        let recorder = StateRecorder([.resid])
        let expected = try run(clean, taps: [recorder])
        #expect(try run(corrupt) != expected)
        for place in plan.places(.resid) {
            let patch = SiteEdit(.patch(recorder.saved), at: .resid) { $0 == place }
            #expect(
                try run(corrupt, interventions: [patch]) == expected, "\(golden) \(place)")
        }
        // At the last position alone, the first boundary does not make a clean text.
        let partial = SiteEdit(
            .patch(recorder.saved), at: .resid, positions: clean.count - 1..<clean.count
        ) { $0.index == 0 }
        #expect(try run(corrupt, interventions: [partial]) != expected)
    }

    /// With clean contributions, a corrupted run ends in its own embedding plus all of them.
    @Test(arguments: families)
    func cleanContributionsAddUp(_ golden: GoldenModel) throws {
        let model = try golden.load()
        let (clean, corrupt) = try Self.texts(golden)
        let layers = model.configuration.layerCount
        let saved = StateRecorder([.attentionOutput, .mlpOutput])
        _ = try logits(model, clean, taps: [saved])
        let seen = StateRecorder([.resid])
        let session = try Session(model: model, capacity: corrupt.count)
        try session.run(
            corrupt, taps: [seen],
            interventions: [
                SiteEdit(.patch(saved.saved), at: .attentionOutput),
                SiteEdit(.patch(saved.saved), at: .mlpOutput),
            ])
        let plan = LayerPlan.identity(layers: layers)
        var sum = try #require(seen.saved.values(plan.place(.resid, step: nil)))
        for step in 0..<layers {
            for site in [Site.attentionOutput, .mlpOutput] {
                let added = try #require(saved.saved.values(plan.place(site, step: step)))
                for index in sum.indices { sum[index] += added[index] }
            }
            #expect(seen.saved.values(plan.place(.resid, step: step)) == sum)
        }
    }

    /// Attention sees its input through queries, keys and values alone, and mixes by its pattern.
    @Test(arguments: families)
    func cleanQueriesKeysAndValuesGiveTheCleanAttention(_ golden: GoldenModel) throws {
        let model = try golden.load()
        let (clean, corrupt) = try Self.texts(golden)
        func attention(
            _ tokens: [Int32], _ edits: [Site: SavedStates]
        ) throws -> (output: [Float], saved: SavedStates) {
            let recorder = StateRecorder(
                [.query, .key, .value, .attentionPattern, .attentionOutput]
            ) { $0.step == 1 }
            let session = try Session(model: model, capacity: tokens.count)
            try session.run(
                tokens, taps: [recorder],
                interventions: edits.map { site, saved in
                    SiteEdit(.patch(saved), at: site) { $0.step == 1 }
                })
            let place = LayerPlan.identity(layers: model.configuration.layerCount)
                .place(.attentionOutput, step: 1)
            return (try #require(recorder.saved.values(place)), recorder.saved)
        }
        let (expected, saved) = try attention(clean, [:])
        #expect(try attention(corrupt, [:]).output != expected)
        let all = try attention(corrupt, [.query: saved, .key: saved, .value: saved]).output
        #expect(all.map(\.bitPattern) == expected.map(\.bitPattern))
        // The pattern's weights are a whole softmax, those of the pass are blocked: nearly the same.
        let mixed = try attention(corrupt, [.attentionPattern: saved, .value: saved]).output
        #expect(largestDifference(mixed, expected) < 1e-5)
        let half = try attention(corrupt, [.query: saved, .key: saved]).output
        #expect(half != expected)
    }

    @Test func editsWriteWhatTheySay() throws {
        let golden = GoldenModel(name: "llama-gqa")
        let model = try golden.load()
        let (tokens, _) = try Self.texts(golden)
        let width = model.configuration.hiddenSize
        let direction = (0..<width).map { Float($0) / 10 }
        func state(_ operation: SiteEdit.Operation?) throws -> [Float] {
            let recorder = StateRecorder([.residMid]) { $0.step == 1 }
            let session = try Session(model: model, capacity: tokens.count)
            try session.run(
                tokens, taps: [recorder],
                interventions: operation.map {
                    [SiteEdit($0, at: .residMid, positions: 2..<3) { $0.step == 1 }]
                } ?? [])
            let place = LayerPlan.identity(layers: model.configuration.layerCount)
                .place(.residMid, step: 1)
            return try #require(recorder.saved.values(place))
        }
        let plain = try state(nil)
        func expect(_ operation: SiteEdit.Operation, _ body: (Int, Float) -> Float) throws {
            let expected = plain.enumerated().map { index, value in
                index / width == 2 ? body(index % width, value) : value
            }
            #expect(try state(operation) == expected)
        }
        try expect(.zero) { _, _ in 0 }
        try expect(.scale(2)) { 2 * $1 }
        try expect(.add(direction)) { direction[$0] + $1 }
        try expect(.replace(direction)) { index, _ in direction[index] }
        #expect(throws: ModelError.self) { try state(.add([1, 2])) }
        #expect(throws: ModelError.self) { try state(.patch(SavedStates())) }
    }

    @Test func residMidOfAParallelModelCannotBeWritten() throws {
        let model = try GoldenModel(name: "pythia").load()
        let session = try Session(model: model, capacity: 4)
        #expect(throws: ModelError.noSuchSite(site: .residMid, architecture: "gpt_neox")) {
            try session.run([1, 2], interventions: [SiteEdit(.zero, at: .residMid)])
        }
        #expect(session.position == 0)
    }

    @Test(arguments: families)
    func whoLooksChangesNothing(_ golden: GoldenModel) throws {
        let model = try golden.load()
        let (tokens, _) = try Self.texts(golden)
        let sites = Site.allCases.filter {
            $0 != .residMid || !model.configuration.parallelResidual
        }
        func run(_ sites: [Site]) throws -> (bits: [UInt32], saved: [SavedStates]) {
            let taps = sites.map { StateRecorder([$0]) }
            let session = try Session(model: model, capacity: tokens.count)
            let bits = try Self.finalStates(model, session, tokens, taps: taps)
            return (bits, taps.map(\.saved))
        }
        let plain = try run([]).bits
        let forward = try run(sites)
        let backward = try run(sites.reversed())
        #expect(forward.bits == plain && backward.bits == plain)
        let plan = LayerPlan.identity(layers: model.configuration.layerCount)
        for (site, (one, other)) in zip(sites, zip(forward.saved, backward.saved.reversed())) {
            for place in plan.places(site) {
                let values = try #require(one.values(place))
                #expect(other.values(place)?.map(\.bitPattern) == values.map(\.bitPattern))
            }
        }
    }

    /// A state that is not finite stops the pass before any tap sees it, also one that was written.
    @Test func whatIsNotFiniteIsNotShown() throws {
        let model = try GoldenModel(name: "llama-gqa").load()
        let recorder = StateRecorder([.resid])
        let session = try Session(model: model, capacity: 4)
        let edit = SiteEdit(.scale(.infinity), at: .resid) { $0.index == 2 }
        #expect(throws: ModelError.nonFinite(place: "layer 1", position: 0)) {
            try session.run([1, 2], taps: [recorder], interventions: [edit])
        }
        let plan = LayerPlan.identity(layers: model.configuration.layerCount)
        #expect(recorder.saved.values(plan.place(.resid, step: 0)) != nil)
        #expect(recorder.saved.values(plan.place(.resid, step: 1)) == nil)
    }
}
