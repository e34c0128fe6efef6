// Adaptive depth: every policy and family against a reference that runs one token and one layer at a time,
// rules against their formulas written out, and blocks, batches, forks and rewinds against one another bit
// by bit. bf16 is not looked at.

import Files
import Foundation
import Inference
import Models
import Plans
import TestSupport
import Testing

/// Halts each token after a pass that its position alone decides.
private final class ScriptedHalter: Halter {
    static func passes(_ position: Int, of maximum: Int) -> Int {
        1 + (position * position * 5 + position * 3 + position / 4) % maximum
    }

    private let maximum: Int

    init(maximum: Int) { self.maximum = maximum }
    func begin(rows: Int) {}
    func halts(_ rows: PassRows) -> [Bool] {
        rows.positions.map { rows.pass >= Self.passes($0, of: maximum) }
    }
}

extension ThinkRunner {
    /// Runs a whole text, `lengths` tokens at a time and then the rest as it fits.
    /// - Returns: the final states [tokens, d] and the passes.
    fileprivate func run(
        _ tokens: [Int32], _ cache: KeyValueCache, blocks lengths: [Int] = [],
        textLength: Int? = nil
    ) throws -> (states: [Float], passes: [Int]) {
        var states: [Float] = []
        var passes: [Int] = []
        let width = runner.model.configuration.hiddenSize
        var rest = tokens[...]
        var lengths = lengths[...]
        while !rest.isEmpty {
            let part = rest.prefix(min(lengths.popFirst() ?? .max, rowsPerText))
            rest = rest.dropFirst(part.count)
            passes += try run([.init(part, cache: cache, textLength: textLength)])
            states += UnsafeBufferPointer(start: self.runner.states, count: part.count * width)
        }
        return (states, passes)
    }
}

/// Every family's block of all layers but the first and the last.
private func split(_ model: Transformer) -> Split {
    Split(encoder: 1, think: model.configuration.layerCount - 2, decoder: 1)
}

private func scripted(
    _ model: Transformer, _ policy: KeyValuePolicy, maximum: Int = 3, rows: Int = 512
) throws -> ThinkRunner {
    let rule = try HaltingRule("change<0")
    return try ThinkRunner(
        runner: BlockRunner(model: model, rows: rows),
        thinking: Thinking(split(model), maximum: maximum, rule: rule, policy: policy),
        halter: ScriptedHalter(maximum: maximum))
}

@Suite struct DepthTests {
    @Test(arguments: TinyCheckpoint.all, KeyValuePolicy.allCases)
    func theLoopIsTheReference(_ golden: TinyCheckpoint, _ policy: KeyValuePolicy) throws {
        let model = try golden.load()
        let count = min(18, model.configuration.contextLength)
        let tokens = randomTokens(count, 5)
        let reference = DepthReference(
            model, split(model), maximum: 3, policy: policy, textLength: count
        ) { pass, position, _, _ in pass >= ScriptedHalter.passes(position, of: 3) }
        try reference.run(tokens)
        let runner = try scripted(model, policy)
        // Keys of frequencies that depend on the text's length stand for one length only.
        let blocks = model.configuration.rotaryDependsOnLength ? [] : [7, 1, 1, 4, 1]
        let found = try runner.run(
            tokens, runner.cache(), blocks: blocks, textLength: count)
        #expect(found.passes == reference.passes)
        let expected = reference.states.flatMap { $0.map(Double.init) }
        let size = expected.map(abs).max() ?? 0
        #expect(largestDifference(found.states, expected) < 2e-5 * max(1, size))
    }

    /// Policies differ, so agreeing with the reference says something.
    @Test func policiesGiveDifferentStates() throws {
        let model = try TinyCheckpoint(name: "llama-gqa").load()
        let tokens = randomTokens(18, 5)
        var seen: [[Float]] = []
        for policy in KeyValuePolicy.allCases {
            let runner = try scripted(model, policy)
            seen.append(try runner.run(tokens, runner.cache()).states)
        }
        for first in seen.indices {
            for second in seen.indices where first < second {
                #expect(largestDifference(seen[first], seen[second].map(Double.init)) > 1e-4)
            }
        }
    }

    @Test(arguments: ["llama-gqa", "gemma3", "gpt2", "olmo3"], KeyValuePolicy.allCases)
    func blocksBatchesForksAndRewindsChangeNothing(name: String, _ policy: KeyValuePolicy) throws {
        let model = try TinyCheckpoint(name: name).load()
        let length = min(40, model.configuration.contextLength)
        let texts = (0..<3).map { randomTokens(length - $0 * 3, UInt64($0)) }
        // The reference of this test: each text alone, in one block where the policy allows one.
        let runner = try scripted(model, policy)
        let alone = try texts.map { try runner.run($0, runner.cache()) }
        // Small blocks, also in memory for 5 rows, so that what is put off is longer than a block.
        for (rows, blocks) in [(512, [3, 1, 1, 9, 1]), (5, []), (1, [])] {
            let other = try scripted(model, policy, rows: rows)
            let found = try other.run(texts[0], other.cache(), blocks: blocks)
            #expect(bits(found.states) == bits(alone[0].states), "blocks of \(rows)")
            #expect(found.passes == alone[0].passes)
        }
        // Three texts token by token in one block each.
        let caches = try texts.map { _ in try runner.cache() }
        let width = model.configuration.hiddenSize
        for position in 0..<texts[2].count {
            let passes = try runner.run(
                zip(texts, caches).map { .init([$0[position]], cache: $1) })
            for text in texts.indices {
                let row = UnsafeBufferPointer(
                    start: runner.runner.states + text * width, count: width)
                let own = alone[text].states[position * width..<(position + 1) * width]
                #expect(bits(Array(row)) == bits(Array(own)), "text \(text) at \(position)")
                #expect(passes[text] == alone[text].passes[position])
            }
        }
        // A fork goes its own way, a rewound cache as if nothing had been.
        let trunk = try runner.cache()
        _ = try runner.run(Array(texts[0].prefix(20)), trunk)
        let fork = trunk.fork()
        _ = try runner.run(randomTokens(9, 77), trunk)
        let forked = try runner.run(Array(texts[0].dropFirst(20)), fork)
        #expect(bits(forked.states) == bits(Array(alone[0].states.dropFirst(20 * width))))
        try #require(trunk.canRewind(to: 11))
        trunk.rewind(to: 11)
        let rewound = try runner.run(Array(texts[0].dropFirst(11)), trunk)
        #expect(bits(rewound.states) == bits(Array(alone[0].states.dropFirst(11 * width))))
    }

    /// Texts longer than pages and windows: pages are dropped while other passes lie behind.
    @Test(arguments: ["gemma3", "mistral"], KeyValuePolicy.allCases)
    func longTextsWithWindows(name: String, _ policy: KeyValuePolicy) throws {
        var golden = try EditableCheckpoint(Locations.golden("models/\(name)"))
        golden.config["max_position_embeddings"] = 2000
        let folder = try golden.write()
        let model = try Transformer.load(.open(folder.path))
        let tokens = randomTokens(policy == .shared ? 300 : 900, 3)
        let whole = try scripted(model, policy)
        let first = try whole.run(tokens, whole.cache(keepsAll: true))
        let parts = try scripted(model, policy, rows: 37)
        let second = try parts.run(tokens, parts.cache())
        #expect(bits(first.states) == bits(second.states))
        // One token stays shallow for long, so that the deep slot lags by more than a window.
        let rule = try HaltingRule("change<0")
        let lagging = try ThinkRunner(
            runner: BlockRunner(model: model),
            thinking: Thinking(split(model), maximum: 3, rule: rule, policy: policy),
            halter: LateHalter())
        let late = try lagging.run(tokens, lagging.cache(keepsAll: true))
        let small = try ThinkRunner(
            runner: BlockRunner(model: model, rows: 50), thinking: lagging.thinking,
            halter: LateHalter())
        let lateInParts = try small.run(tokens, small.cache())
        #expect(late.passes.contains(3) && late.passes == lateInParts.passes)
        #expect(bits(late.states) == bits(lateInParts.states))
    }

    /// All tokens halt at once but every 280th.
    private final class LateHalter: Halter {
        func begin(rows: Int) {}
        func halts(_ rows: PassRows) -> [Bool] { rows.positions.map { $0 % 280 != 279 } }
    }

    @Test func haltedRowsCostNothing() throws {
        let model = try TinyCheckpoint(name: "llama-gqa").load()
        let tokens = randomTokens(30, 2)
        for policy in KeyValuePolicy.allCases {
            let runner = try scripted(model, policy)
            let cache = try runner.cache()
            let passes = try runner.run(tokens, cache).passes
            #expect(runner.passRows == passes.reduce(0, +), "\(policy)")
        }
        // What nobody looks at is never computed: a text that stays shallow has no deep keys.
        let shallow = try ThinkRunner(
            runner: BlockRunner(model: model),
            thinking: Thinking(
                split(model), maximum: 10, rule: HaltingRule("change<1000"), policy: .recompute),
            router: nil)
        let cache = try shallow.cache()
        #expect(try shallow.run(tokens, cache).passes == Array(repeating: 1, count: 30))
        let base = try KeyValueCache(model: model)
        try BlockRunner(model: model).run([.init(tokens, cache: base)])
        let states = 30 * model.configuration.hiddenSize * 4
        #expect(cache.byteCount == base.byteCount + states)
    }

    @Test(arguments: TinyCheckpoint.all)
    func fullDepthIsThePlainLoop(_ golden: TinyCheckpoint) throws {
        let model = try golden.load()
        let tokens = randomTokens(min(20, model.configuration.contextLength), 4)
        for maximum in [1, 3] {
            let expected = try recomputed(model, looped(model, maximum), tokens)
            for policy in KeyValuePolicy.allCases where policy != .shared {
                let runner = try ThinkRunner(
                    runner: BlockRunner(model: model),
                    thinking: Thinking(
                        split(model), maximum: maximum, rule: HaltingRule("change<0"),
                        policy: policy), router: nil)
                let found = try runner.run(tokens, runner.cache(), textLength: tokens.count)
                var logits = [Float](repeating: 0, count: expected.count)
                let width = model.configuration.hiddenSize
                try model.logits(
                    of: Array(found.states.suffix(width)), rows: 1, into: &logits)
                #expect(bits(logits) == bits(expected), "\(maximum) \(policy)")
                #expect(found.passes == Array(repeating: maximum, count: tokens.count))
            }
        }
    }

    // MARK: Rules

    @Test(arguments: ["llama-gqa", "gemma3", "pythia", "olmo2-gqa"])
    func rulesAreTheirFormulas(name: String) throws {
        let model = try TinyCheckpoint(name: name).load()
        let c = model.configuration
        let tokens = randomTokens(16, 9)
        var random = SeededRandom(4)
        let router = Router(
            weight: (0..<c.hiddenSize).map { _ in Float.random(in: -1...1, using: &random) / 8 },
            bias: -0.4, epsilon: 0.1)
        func probabilities(_ state: [Float]) throws -> [Double] {
            var logits = [Float](repeating: 0, count: c.vocabularySize)
            try model.logits(of: state, rows: 1, into: &logits)
            let total = logits.reduce(0) { $0 + exp(Double($1)) }
            return logits.map { exp(Double($0)) / total }
        }
        /// What is compared with the threshold, and whether above it (or below) halts.
        var sum = 0.0
        let values: [String: ([Float], [Float], Int) throws -> Double] = [
            "router": { _, after, pass in
                if pass == 1 { sum = 0 }
                let score = zip(router.weight, after).reduce(Double(router.bias)) {
                    $0 + Double($1.0) * Double($1.1)
                }
                sum += 1 / (1 + exp(-score))
                return 1 - sum
            },
            "change": { before, after, _ in
                let moved = zip(before, after).reduce(0) {
                    $0 + pow(Double($1.1) - Double($1.0), 2)
                }
                return (moved / before.reduce(0) { $0 + Double($1) * Double($1) }).squareRoot()
            },
            "lens-kl": { before, after, _ in
                zip(try probabilities(after), try probabilities(before)).reduce(0) {
                    $0 + $1.0 * log($1.0 / $1.1)
                }
            },
            "lens-top1": { before, after, _ in
                let (p, q) = (try probabilities(after), try probabilities(before))
                let best = p.indices.max { p[$0] < p[$1] } ?? 0
                let stays = q.indices.max { q[$0] < q[$1] } == best
                let next = p.indices.filter { $0 != best }.map { p[$0] }.max() ?? 0
                // Below any threshold where the token changes, written so that small halts.
                return stays ? -(p[best] - next) : 1
            },
        ]
        for (kind, value) in values {
            // The median of what the first pass shows: some tokens halt there, some do not.
            var seen: [Double] = []
            let scout = DepthReference(
                model, split(model), maximum: 3, policy: .last, textLength: tokens.count
            ) { pass, _, before, after in
                let found = try value(before, after, pass)
                if pass == 1, found < 1 || kind != "lens-top1" { seen.append(found) }
                return false
            }
            try scout.run(tokens)
            seen.sort()
            try #require(seen.count > 1, "\(kind) has nothing to decide")
            let middle = (seen[seen.count / 2] + seen[seen.count / 2 - 1]) / 2
            let threshold = kind == "lens-top1" ? max(0, -middle) : middle
            let bound = kind == "lens-top1" ? -threshold : middle
            let sign = kind == "router" || kind == "lens-top1" ? ":" : "<"
            let rule = try HaltingRule("\(kind)\(sign)\(threshold)")
            var closest = Double.infinity
            let reference = DepthReference(
                model, split(model), maximum: 4, policy: .last, textLength: tokens.count
            ) { pass, _, before, after in
                let found = try value(before, after, pass)
                closest = min(closest, abs(found - bound) / max(abs(bound), 1e-9))
                return kind == "router" || kind == "lens-top1" ? found <= bound : found < bound
            }
            try reference.run(tokens)
            // Nothing is so close that rounding decides.
            #expect(closest > 1e-5, "\(kind)")
            let runner = try ThinkRunner(
                runner: BlockRunner(model: model),
                thinking: Thinking(split(model), maximum: 4, rule: rule, policy: .last),
                router: router)
            let found = try runner.run(tokens, runner.cache(), blocks: [9, 1, 1])
            #expect(found.passes == reference.passes, "\(rule.notation)")
            #expect(Set(found.passes).count > 1, "\(rule.notation) decides nothing here")
        }
    }

    @Test func rulesAreReadAndWritten() throws {
        for text in ["router", "router:0.05", "change<0.01", "lens-kl<1e-05", "lens-top1:0.5"] {
            #expect(try HaltingRule(text).notation == text)
        }
        for text in [
            "", "change", "change:0.1", "change<", "change<nan", "change<0x1", "change<-1",
            "router:2",
            "lens-top1<0.5", "lens-top1:3", "chang<0.1", "lens-kl<inf",
        ] {
            #expect(throws: ModelError.self, "\(text)") { try HaltingRule(text) }
        }
        for kind in HaltingRule.kinds {
            for threshold in kind.thresholds {
                let rule = HaltingRule(kind, threshold: threshold)
                #expect(try HaltingRule(rule.notation) == rule)
            }
        }
        let model = try TinyCheckpoint(name: "llama-gqa").load()
        #expect(throws: ModelError.self) {
            try HaltingRule("router").halter(for: model, router: nil)
        }
    }

    @Test func routersAreReadWithTheirCheckpoint() throws {
        var golden = try EditableCheckpoint(Locations.golden("models/llama-gqa"))
        let width = try #require(golden.config["hidden_size"]?.intValue)
        func read(_ golden: EditableCheckpoint) throws -> Router? {
            let folder = try golden.write()
            return try Router(.open(folder.path), width: width)
        }
        #expect(try read(golden) == nil)
        let weight = (0..<width).map { Float($0) / 8 }
        golden.tensors[Router.weightName] = .init(shape: [1, width], values: weight)
        #expect(throws: ModelError.self) { try read(golden) }
        golden.tensors[Router.biasName] = .init(shape: [1], values: [-2])
        #expect(try read(golden) == Router(weight: weight, bias: -2))
        golden.config["etd"] = ["router": ["epsilon": 0.05]]
        #expect(try read(golden)?.epsilon == 0.05)
        golden.config["etd"] = ["router": ["epsilon": 2]]
        #expect(throws: ModelError.self) { try read(golden) }
        golden.config["etd"] = nil
        golden.tensors[Router.weightName] = .init(
            shape: [1, width + 1], values: weight + [1])
        #expect(throws: ModelError.self) { try read(golden) }
    }
}

/// Generation with tokens of different depths.
@Suite struct DepthGenerationTests {
    @Test(arguments: ["llama-gqa", "gemma3", "pythia", "llama-dynamic"], KeyValuePolicy.allCases)
    func cachedBatchesAreFullRecomputationAlone(name: String, _ policy: KeyValuePolicy) throws {
        let model = try TinyCheckpoint(name: name).load()
        let threshold = try middlingChange(model)
        let thinking = try Thinking(
            split(model), maximum: 4, rule: HaltingRule("change<\(threshold)"), policy: policy)
        let prompts = (0..<3).map { randomTokens(4 + 13 * $0, UInt64($0)) }
        let requests = prompts.map {
            GenerationRequest(tokens: $0, thinking: thinking, stop: .init(maximumTokens: 12))
        }
        let scheduler = Scheduler(model: model)
        let log = LogitLog(scheduler)
        let results = try scheduler.generate(requests)
        let runner = try ThinkRunner(
            runner: BlockRunner(model: model), thinking: thinking, router: nil)
        var seen: Set<Int> = []
        for (index, result) in results.enumerated() {
            var text = prompts[index]
            for (step, token) in result.tokens.enumerated() {
                let whole = try runner.run(text, runner.cache(), textLength: text.count)
                var logits = [Float](repeating: 0, count: model.configuration.vocabularySize)
                let last = Array(whole.states.suffix(model.configuration.hiddenSize))
                try model.logits(of: last, rows: 1, into: &logits)
                #expect(bits(logits) == log.rows[index]?[step], "\(index) step \(step)")
                #expect(result.passes[step] == whole.passes.last)
                text.append(token)
            }
            seen.formUnion(result.passes)
        }
        #expect(seen.count > 1, "all tokens are as deep")
    }

    /// A threshold that some tokens stay above and some do not.
    private func middlingChange(_ model: Transformer) throws -> Double {
        var changes: [Double] = []
        let tokens = randomTokens(16, 1)
        let reference = DepthReference(
            model, split(model), maximum: 2, policy: .last, textLength: 16
        ) { _, _, before, after in
            let moved = zip(before, after).reduce(0) { $0 + pow(Double($1.1 - $1.0), 2) }
            changes.append((moved / before.reduce(0) { $0 + Double($1 * $1) }).squareRoot())
            return false
        }
        try reference.run(tokens)
        return changes.sorted()[changes.count / 2]
    }

    @Test func promptsThatBeginAlikeAreSharedByOneRuleOnly() throws {
        let model = try TinyCheckpoint(name: "llama-gqa").load()
        let shared = randomTokens(40, 1)
        func request(_ rule: String, _ policy: KeyValuePolicy) throws -> GenerationRequest {
            GenerationRequest(
                tokens: shared + randomTokens(3, 8),
                thinking: try Thinking(
                    split(model), maximum: 3, rule: HaltingRule(rule), policy: policy),
                stop: .init(maximumTokens: 4))
        }
        let same = try ["change<0.5", "change<0.5"].map { try request($0, .recompute) }
        let scheduler = Scheduler(model: model)
        let found = try scheduler.generate(same)
        #expect(scheduler.positionsRun == 43 + 3 + 1 + 3)
        #expect(found[0] == found[1])
        let other = Scheduler(model: model)
        _ = try other.generate([
            same[0], request("change<0.6", .recompute), request("change<0.5", .skip),
        ])
        #expect(other.positionsRun == 3 * (43 + 3))
    }

    @Test func cacheMemoryIsReckonedBefore() throws {
        let model = try TinyCheckpoint(name: "gemma3").load()
        for policy in KeyValuePolicy.allCases {
            let request = GenerationRequest(
                tokens: randomTokens(60, 1),
                thinking: try Thinking(
                    split(model), maximum: 5, rule: HaltingRule("change<0"), policy: policy),
                stop: .init(maximumTokens: 30))
            let scheduler = Scheduler(model: model)
            let bytes = try scheduler.check(request).bytes
            _ = try scheduler.submit(request)
            var most = 0
            while !scheduler.isIdle {
                try scheduler.step { _, _ in }
                most = max(most, scheduler.cacheByteCount)
            }
            #expect(most <= bytes && most > bytes / 2, "\(policy)")
        }
    }

    @Test func aRouterThatIsMissingIsRefused() throws {
        let model = try TinyCheckpoint(name: "llama-gqa").load()
        let request = GenerationRequest(
            tokens: [5],
            thinking: try Thinking(
                split(model), maximum: 3, rule: HaltingRule("router"), policy: .last),
            stop: .init(maximumTokens: 2))
        #expect(throws: InferenceError.self) { try Scheduler(model: model).submit(request) }
    }

    // MARK: Damping

    @Test(arguments: TinyCheckpoint.all)
    func eulerWithFactorOneIsTheNaiveLoop(_ golden: TinyCheckpoint) throws {
        let model = try golden.load()
        let prompt = randomTokens(min(9, model.configuration.contextLength / 2), 3)
        for substeps in 1...3 {
            let naive = try Scheduler(model: model).generate([
                .init(tokens: prompt, plan: looped(model, substeps), stop: .init(maximumTokens: 9))
            ])
            let scheduler = Scheduler(model: model)
            let log = LogitLog(scheduler)
            let damped = try scheduler.generate([
                .init(
                    tokens: prompt,
                    thinking: Thinking(
                        split(model), damping: Damping(.euler, substeps: substeps, factor: 1)),
                    stop: .init(maximumTokens: 9))
            ])
            #expect(damped == naive)
            let logits = try recomputed(model, looped(model, substeps), prompt)
            #expect(log.rows[0]?[0] == bits(logits))
        }
    }

    /// Against the solvers written out over whole texts, with the block's own passes as g.
    @Test(arguments: ["llama-gqa", "gemma3", "gpt2"], Damping.Method.allCases)
    func solversAreTheirFormulas(name: String, _ method: Damping.Method) throws {
        let model = try TinyCheckpoint(name: name).load()
        let width = model.configuration.hiddenSize
        let tokens = randomTokens(15, 6)
        let s = split(model)
        let block = try LayerPlan(layers: s.thinkRange)
        let blockRunner = BlockRunner(model: model)
        func apply(_ plan: LayerPlan, _ x: [Float]?) throws -> [Float] {
            let cache = try KeyValueCache(model: model, plan: plan)
            if let x {
                try blockRunner.run([.init(tokens, cache: cache)], from: x)
            } else {
                try blockRunner.run([.init(tokens, cache: cache)])
            }
            return Array(UnsafeBufferPointer(start: blockRunner.states, count: 15 * width))
        }
        func slope(_ x: [Float]) throws -> [Float] {
            zip(try apply(block, x), x).map { $0 - $1 }
        }
        func along(_ x: [Float], _ step: Float, _ direction: [Float]) -> [Float] {
            zip(x, direction).map { $0 + step * $1 }
        }
        for (substeps, factor) in [(1, Float(0.5)), (2, 0.5), (3, 1.0 / 3)] {
            var x = try apply(LayerPlan(layers: 0..<s.encoder), nil)
            for _ in 0..<substeps {
                let k1 = try slope(x)
                switch method {
                case .euler: x = along(x, factor, k1)
                case .heun:
                    let k2 = try slope(along(x, factor, k1))
                    x = along(x, factor, zip(k1, k2).map { ($0 + $1) / 2 })
                case .rk4:
                    let k2 = try slope(along(x, factor / 2, k1))
                    let k3 = try slope(along(x, factor / 2, k2))
                    let k4 = try slope(along(x, factor, k3))
                    x = along(
                        x, factor / 6, x.indices.map { k1[$0] + 2 * k2[$0] + 2 * k3[$0] + k4[$0] })
                }
            }
            let expected = try apply(LayerPlan(layers: s.encoder + s.think..<s.layers), x)
            let runner = try ThinkRunner(
                runner: BlockRunner(model: model),
                thinking: Thinking(s, damping: Damping(method, substeps: substeps, factor: factor)),
                router: nil)
            let found = try runner.run(tokens, runner.cache(), blocks: [6, 1, 1])
            let size = expected.map { Double(abs($0)) }.max() ?? 0
            #expect(
                largestDifference(found.states, expected.map(Double.init)) < 2e-5 * max(1, size))
            let evaluations = substeps * [.euler: 1, .heun: 2, .rk4: 4][method, default: 0]
            #expect(found.passes == Array(repeating: evaluations, count: 15))
        }
    }
}
