// Decoding with caches: against full recomputation with our own pass (which GoldenModelTests compares
// with transformers), against transformers' generate, and alone against in a batch. bf16 is compared with itself alone.

import Files
import Foundation
import Inference
import Models
import Plans
import Tensors
import TestSupport
import Testing

@Suite struct GenerationTests {
    @Test(arguments: TinyCheckpoint.all, 1...5)
    func cachedDecodingIsFullRecomputation(_ golden: TinyCheckpoint, iterations: Int) throws {
        let model = try golden.load()
        let plan = try looped(model, iterations)
        let context = model.configuration.contextLength
        let prompt = randomTokens(min(9, context / 2), UInt64(iterations))
        let count = min(64, context - prompt.count + 1)
        let scheduler = Scheduler(model: model)
        let log = LogitLog(scheduler)
        let found = try scheduler.generate([
            .init(tokens: prompt, plan: plan, stop: .init(maximumTokens: 64))
        ])[0]
        try #require(found.tokens.count == count)
        #expect(found.finishReason == .length)
        #expect(found.passes == Array(repeating: iterations, count: count))
        var text = prompt
        for (step, token) in found.tokens.enumerated() {
            let logits = try recomputed(model, plan, text)
            #expect(bits(logits) == log.rows[0]?[step], "step \(step)")
            #expect(token == greatest(logits), "step \(step)")
            text.append(token)
        }
    }

    @Test func greedyTokensAreTransformers() throws {
        let golden = try JSON.read(path: Locations.golden("inference/sampling.json").path)
        let cases = try #require(golden["greedy"]?.arrayValue)
        #expect(cases.count == 18)
        for entry in cases {
            func ids(_ key: String) -> [Int32] {
                (entry[key]?.arrayValue ?? []).compactMap { $0.intValue.map(Int32.init) }
            }
            let name = try #require(entry["model"]?.stringValue)
            let model = try TinyCheckpoint(name: name).load()
            let found = try Scheduler(model: model).generate([
                .init(
                    tokens: ids("prompt"),
                    plan: .identity(layers: model.configuration.layerCount),
                    stop: .init(maximumTokens: 20),
                    sampling: .init(
                        temperature: 0,
                        repetitionPenalty: entry["repetition_penalty"]?.doubleValue))
            ])[0]
            #expect(found.tokens == ids("tokens"), "\(name)")
        }
    }

    /// What a cache indexed by layer would give: the second pass finds the first one's keys. The test
    /// makes that cache by hand and shows that its logits differ, so sharing slots could not pass
    /// `cachedDecodingIsFullRecomputation`.
    @Test func passesThatShareASlotGiveOtherLogits() throws {
        let model = try TinyCheckpoint(name: "llama-gqa").load()
        let layers = model.configuration.layerCount
        let prompt = randomTokens(12, 1)
        let next = randomTokens(1, 2)
        let plan = try looped(model, 2)
        let right = try recomputed(model, plan, prompt + next)
        // The prompt's keys of pass 1 serve both passes.
        let base = try KeyValueCache(model: model, plan: .identity(layers: layers))
        let runner = BlockRunner(model: model)
        try runner.run([.init(prompt, cache: base)])
        let width = model.configuration.hiddenSize
        var state = [Float](repeating: 0, count: width)
        try runner.run([.init(next, cache: base.fork())], steps: 0..<layers - 1)
        state.withUnsafeMutableBufferPointer {
            _ = $0.update(from: UnsafeBufferPointer(start: runner.states, count: width))
        }
        try runner.run([.init(next, cache: base.fork())], steps: 1..<layers, from: state)
        var shared = [Float](repeating: 0, count: model.configuration.vocabularySize)
        try model.logits(of: runner.states, rows: 1, into: &shared)
        #expect(largestDifference(shared, right.map(Double.init)) > 1e-3)
    }

    // MARK: Batches

    @Test(arguments: ["llama-gqa", "gemma3", "gpt2", "pythia", "olmo3", "mistral", "llama-dynamic"])
    func aBatchGivesWhatEachRequestGivesAlone(name: String) throws {
        try compareBatchWithAlone(TinyCheckpoint(name: name).load())
    }

    @Test(
        .enabled(if: Arithmetic.bf16.isAvailable, "this CPU does not multiply bf16"),
        arguments: ["llama-gqa", "gemma3", "pythia"])
    func soItDoesInBF16(name: String) throws {
        try compareBatchWithAlone(TinyCheckpoint(name: name).load(.bf16))
    }

    private func compareBatchWithAlone(_ model: Transformer) throws {
        let context = model.configuration.contextLength
        var requests: [GenerationRequest] = []
        for index in 0..<9 {
            let length = max(1, [1, 40, 3, 17, 90, 2, 60, 8, 25][index] * min(96, context) / 100)
            let sampling: SamplingOptions =
                index % 3 == 2
                ? .init(temperature: 0.9, topK: 20, repetitionPenalty: 1.1, seed: UInt64(index))
                : .greedy
            requests.append(
                .init(
                    tokens: randomTokens(length, UInt64(index)),
                    plan: try looped(model, index % 3 + 1),
                    stop: .init(maximumTokens: 3 + index * 2, tokens: index == 3 ? [7] : []),
                    sampling: sampling, likeliest: index % 2 == 0 ? 3 : nil))
        }
        // Three at a time: requests join when others leave.
        for limit in [3, 64] {
            let scheduler = Scheduler(model: model, limits: .init(requests: limit))
            let log = LogitLog(scheduler)
            let together = try scheduler.generate(requests)
            for (index, request) in requests.enumerated() {
                let alone = Scheduler(model: model)
                let own = LogitLog(alone)
                #expect(try alone.generate([request])[0] == together[index], "\(index)")
                #expect(own.rows[0] == log.rows[index], "\(index)")
            }
        }
    }

    @Test func aRequestJoinsWhileOthersRun() throws {
        let model = try TinyCheckpoint(name: "llama-gqa").load()
        let plan = try looped(model, 2)
        let requests = (0..<3).map {
            GenerationRequest(
                tokens: randomTokens(5 + $0, UInt64($0)), plan: plan,
                stop: .init(maximumTokens: 12))
        }
        let scheduler = Scheduler(model: model)
        var results: [Int: Generation] = [:]
        for request in requests {
            _ = try scheduler.submit(request)
            for _ in 0..<4 { try scheduler.step { results[$0] = $1 } }
        }
        while !scheduler.isIdle { try scheduler.step { results[$0] = $1 } }
        for (index, request) in requests.enumerated() {
            let alone = try Scheduler(model: model).generate([request])[0]
            #expect(results[index] == alone)
        }
    }

    @Test func promptsThatBeginAlikeAreComputedOnce() throws {
        let model = try TinyCheckpoint(name: "llama-gqa").load()
        let plan = try looped(model, 3)
        let shared = randomTokens(40, 1)
        let requests = (0..<5).map {
            GenerationRequest(
                tokens: shared + randomTokens(3, UInt64(10 + $0)), plan: plan,
                stop: .init(maximumTokens: 6))
        }
        let scheduler = Scheduler(model: model)
        let together = try scheduler.generate(requests)
        // The shared 40 once, then each one's 3, and 5 new tokens that run.
        #expect(scheduler.positionsRun == 40 + 5 * (3 + 5))
        for (index, request) in requests.enumerated() {
            #expect(try Scheduler(model: model).generate([request])[0] == together[index])
        }
        // Another plan has other keys.
        let other = Scheduler(model: model)
        let pair = [1, 2].map {
            GenerationRequest(
                tokens: shared, plan: (try? looped(model, $0)) ?? plan,
                stop: .init(maximumTokens: 1))
        }
        _ = try other.generate(pair)
        #expect(other.positionsRun == 80)
    }

    // MARK: Memory

    @Test func cacheMemoryQueuesRequests() throws {
        let model = try TinyCheckpoint(name: "llama-gqa").load()
        let plan = try looped(model, 2)
        let requests = (0..<6).map {
            GenerationRequest(
                tokens: randomTokens(20, UInt64($0)), plan: plan, stop: .init(maximumTokens: 10))
        }
        let free = Scheduler(model: model)
        let each = try free.check(requests[0]).bytes
        let expected = try free.generate(requests)
        let tight = Scheduler(model: model, limits: .init(cacheBytes: each * 2 + each / 2))
        for request in requests { _ = try tight.submit(request) }
        var results: [Int: Generation] = [:]
        var most = 0
        while !tight.isIdle {
            try tight.step { results[$0] = $1 }
            most = max(most, tight.activeCount)
            #expect(tight.reckonedBytes <= each * 2 + each / 2)
            #expect(tight.cacheByteCount <= tight.reckonedBytes)
        }
        #expect(most == 2)
        for index in requests.indices { #expect(results[index] == expected[index]) }
        let small = Scheduler(model: model, limits: .init(cacheBytes: each - 1))
        #expect(throws: InferenceError.cacheMemory(needed: each, limit: each - 1)) {
            try small.submit(requests[0])
        }
        #expect(small.isIdle)
    }

    @Test func badRequestsAreRefused() throws {
        let model = try TinyCheckpoint(name: "llama-gqa").load()
        let plan = LayerPlan.identity(layers: model.configuration.layerCount)
        let scheduler = Scheduler(model: model)
        func submit(
            _ tokens: [Int32], plan: LayerPlan = plan, stop: StopRules = .init(maximumTokens: 4),
            _ sampling: SamplingOptions = .greedy
        ) throws {
            _ = try scheduler.submit(
                .init(tokens: tokens, plan: plan, stop: stop, sampling: sampling))
        }
        #expect(throws: InferenceError.emptyPrompt) { try submit([]) }
        #expect(throws: InferenceError.promptTooLong(tokens: 129, context: 128)) {
            try submit(randomTokens(129, 1))
        }
        #expect(
            throws: InferenceError.tokenOutOfRange(id: 131, position: 1, vocabularySize: 131)
        ) { try submit([5, 131]) }
        #expect(throws: InferenceError.maximumTokens(0)) {
            try submit([5], stop: .init(maximumTokens: 0))
        }
        #expect(throws: InferenceError.stopWithoutText("a")) {
            try submit([5], stop: .init(maximumTokens: 4, strings: ["a"]))
        }
        #expect(throws: InferenceError.emptyStop) {
            try submit([5], stop: .init(maximumTokens: 4, strings: [""]))
        }
        for bad in [
            SamplingOptions(temperature: -1), .init(temperature: .nan),
            .init(temperature: 1, topK: 0), .init(temperature: 1, topP: 0),
            .init(temperature: 1, topP: 1.5), .init(temperature: 1, minP: -0.1),
            .init(temperature: 1, repetitionPenalty: 0),
        ] {
            #expect(throws: InferenceError.self) { try submit([5], bad) }
        }
        let deep = try LayerPlan(layers: [0, 99])
        #expect(throws: InferenceError.self) { try submit([5], plan: deep) }
        #expect(scheduler.isIdle)
        // A prompt as long as the context has a next token, and no more.
        let full = try scheduler.generate([
            .init(tokens: randomTokens(128, 1), plan: plan, stop: .init(maximumTokens: 9))
        ])[0]
        #expect(full.tokens.count == 1 && full.finishReason == .length)
    }
}
