// Key/value caches: a text that goes on, is rewound, forked or runs beside others has the bytes of the
// same text run anew by itself.

import Checkpoints
import Foundation
import Models
import Plans
import TestSupport
import Testing

@Suite struct CacheTests {
    /// Families without and with sliding windows, learned positions and parallel residuals.
    static let models = ["llama-gqa", "gemma3", "gpt2", "pythia", "olmo3", "mistral"]
        .map(GoldenModel.init(name:))

    /// A length that is `count` of 96 positions, in a model of the goldens' shortest context too.
    private static func scaled(_ count: Int, _ model: Transformer) -> Int {
        max(1, count * min(96, model.configuration.contextLength) / 96)
    }

    private static func text(_ count: Int, _ seed: UInt64) -> [Int32] {
        var random = SeededRandom(seed)
        return (0..<count).map { _ in Int32.random(in: 0..<131, using: &random) }
    }

    /// Final states of the whole text in one block, a row for each position.
    private static func alone(
        _ model: Transformer, _ plan: LayerPlan, _ tokens: [Int32]
    ) throws -> [[UInt32]] {
        let runner = BlockRunner(model: model)
        try runner.run([.init(tokens, cache: try KeyValueCache(model: model, plan: plan))])
        return rows(runner, 0..<tokens.count)
    }

    private static func rows(_ runner: BlockRunner, _ range: Range<Int>) -> [[UInt32]] {
        let width = runner.model.configuration.hiddenSize
        return range.map { row in
            (0..<width).map { runner.states[row * width + $0].bitPattern }
        }
    }

    @Test(arguments: models)
    func aTextInPiecesIsTheText(_ golden: GoldenModel) throws {
        let model = try golden.load()
        let plan = try RunnerTests.looped(model)
        let count = Self.scaled(90, model)
        let middle = Self.scaled(40, model)
        let tokens = Self.text(count, 1)
        let whole = try Self.alone(model, plan, tokens)
        let runner = BlockRunner(model: model)
        let cache = try KeyValueCache(model: model, plan: plan)
        for piece in [0..<1, 1..<2, 2..<middle, middle..<middle + 1, middle + 1..<count] {
            try runner.run([.init(tokens[piece], cache: cache)])
            #expect(Self.rows(runner, 0..<piece.count) == Array(whole[piece]), "\(piece)")
        }
        #expect(cache.length == count)
    }

    @Test(arguments: models)
    func rewoundAndForkedCachesEqualFreshOnes(_ golden: GoldenModel) throws {
        let model = try golden.load()
        let plan = try RunnerTests.looped(model)
        let (held, more) = (Self.scaled(60, model), Self.scaled(25, model))
        let first = Self.text(held, 2)
        let runner = BlockRunner(model: model)
        let cache = try KeyValueCache(model: model, plan: plan, keepsAll: true)
        try runner.run([.init(first, cache: cache)])
        for length in [held - 1, held / 2, 17, 16, 1, 0] {
            let fork = cache.fork()
            fork.rewind(to: length)
            let other = Array(first[..<length]) + Self.text(more, UInt64(length))
            let whole = try Self.alone(model, plan, other)
            try runner.run([.init(other[length...], cache: fork)])
            #expect(Self.rows(runner, 0..<more) == Array(whole[length...]), "after \(length)")
        }
        // None of the forks wrote into what they shared.
        let next = Self.text(4, 3)
        try runner.run([.init(next, cache: cache)])
        let whole = try Self.alone(model, plan, first + next)
        #expect(Self.rows(runner, 0..<4) == Array(whole[held...]))
    }

    @Test(arguments: models)
    func textsThatRunTogetherRunAsAlone(_ golden: GoldenModel) throws {
        let model = try golden.load()
        let plan = try RunnerTests.looped(model)
        let runner = BlockRunner(model: model)
        let texts = [1, 33, 7, 90, 16].map { Self.text(Self.scaled($0, model), UInt64($0)) }
        let caches = try texts.map { _ in try KeyValueCache(model: model, plan: plan) }
        try runner.run(zip(texts, caches).map { .init($0, cache: $1) })
        var start = 0
        for text in texts {
            let found = Self.rows(runner, start..<start + text.count)
            #expect(try found == Self.alone(model, plan, text), "\(text.count) tokens")
            start += text.count
        }
        // One token each, as decoding does.
        let next = texts.indices.map { Self.text(1, UInt64(100 + $0)) }
        try runner.run(zip(next, caches).map { .init($0, cache: $1) })
        for (index, text) in texts.enumerated() {
            let whole = try Self.alone(model, plan, text + next[index])
            #expect(Self.rows(runner, index..<index + 1) == [whole[text.count]])
        }
    }

    @Test(arguments: models)
    func branchesRunAsTextsAndLeaveNothing(_ golden: GoldenModel) throws {
        let model = try golden.load()
        let plan = try RunnerTests.looped(model)
        let runner = BlockRunner(model: model)
        let cache = try KeyValueCache(model: model, plan: plan)
        let (held, border) = (Self.scaled(40, model), Self.scaled(25, model))
        let shared = Self.text(held, 4)
        try runner.run([.init(shared[..<border], cache: cache)])
        let branches = [3, 1, 20].map { Self.text(Self.scaled($0, model), UInt64(200 + $0)) }
        try runner.run(
            [.init(shared[border...], cache: cache)] + branches.map { .branch($0) })
        var start = held - border
        for branch in branches {
            let whole = try Self.alone(model, plan, shared + branch)
            #expect(Self.rows(runner, start..<start + branch.count) == Array(whole[held...]))
            start += branch.count
        }
        #expect(cache.length == held)
        let next = Self.text(5, 5)
        try runner.run([.init(next, cache: cache)])
        let whole = try Self.alone(model, plan, shared + next)
        #expect(Self.rows(runner, 0..<5) == Array(whole[held...]))
    }

    /// What a cache indexed by layer gets wrong: with two passes in one slot the second pass finds the
    /// first one's keys.
    @Test func twoPassesDoNotShareASlot() throws {
        let model = try GoldenModel(name: "llama-gqa").load()
        let plan = try RunnerTests.looped(model)
        let cache = try KeyValueCache(model: model, plan: plan)
        try BlockRunner(model: model).run([.init(Self.text(20, 6), cache: cache)])
        let single = try KeyValueCache(model: model)
        try BlockRunner(model: model).run([.init(Self.text(20, 6), cache: single)])
        #expect(
            cache.byteCount * model.configuration.layerCount
                == single.byteCount * plan.steps.count)
        #expect(plan.steps.count > model.configuration.layerCount)
    }

    /// A model whose layers all have a window of 8 keeps one page, however long the text is.
    @Test func slidingLayersHoldTheirWindow() throws {
        var checkpoint = try EditableCheckpoint(Locations.golden("models/mistral"))
        checkpoint.config["sliding_window"] = 8
        checkpoint.config["max_position_embeddings"] = 2048
        let folder = try checkpoint.write()
        let model = try Transformer.load(Checkpoint.open(folder.path))
        #expect(model.layers.allSatisfy { $0.attention.window == 8 })
        let tokens = Self.text(1100, 7)
        let windowed = try KeyValueCache(model: model)
        let all = try KeyValueCache(model: model, keepsAll: true)
        let (one, other) = (BlockRunner(model: model), BlockRunner(model: model))
        for start in stride(from: 0, to: tokens.count, by: 100) {
            try one.run([.init(tokens[start..<start + 100], cache: windowed)])
            try other.run([.init(tokens[start..<start + 100], cache: all)])
            #expect(Self.rows(one, 0..<100) == Self.rows(other, 0..<100))
        }
        #expect(windowed.byteCount * 3 < all.byteCount)
        #expect(all.canRewind(to: 3) && !windowed.canRewind(to: 3))
        #expect(windowed.canRewind(to: 1095) && windowed.canRewind(to: 0))
    }

    @Test func capacityAndContextAreChecked() throws {
        let model = try GoldenModel(name: "llama-gqa").load()
        let cache = try KeyValueCache(model: model, capacity: 5)
        let runner = BlockRunner(model: model)
        #expect(throws: ModelError.tooLong(tokens: 6, context: 5)) {
            try runner.run([.init(Self.text(6, 1), cache: cache)])
        }
        #expect(cache.length == 0)
        #expect(throws: ModelError.tooLong(tokens: 129, context: 128)) {
            try KeyValueCache(model: model, capacity: 129)
        }
    }
}
