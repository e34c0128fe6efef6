import Files
import Foundation
import Models
import Plans
import Tensors

/// Runs requests together: of any lengths, plans and stop rules. They join and leave at any step.
///
/// Rows of requests that share a plan go through one block, and prompts that begin alike are computed
/// once: a request forks the cache of another one that has run the same beginning. At f32 a request has
/// the bytes that it has alone. Not for use from several threads at once.
public final class Scheduler {
    public struct Limits: Sendable {
        /// Bytes of keys and values of all requests that run; three quarters of the memory that is
        /// available when nil.
        public var cacheBytes: Int?
        /// Requests that run at once.
        public var requests: Int

        public init(cacheBytes: Int? = nil, requests: Int = 64) {
            self.cacheBytes = cacheBytes
            self.requests = requests
        }
    }

    /// A shorter common beginning is not worth a fork.
    private static let leastShared = 16
    /// Finished requests whose caches are kept for others to fork, at most.
    private static let mostKept = 4

    private let model: Transformer
    private let router: Router?
    private let detokenizer: Detokenizer?
    private let runner: BlockRunner
    private let cacheBytes: Int
    private let mostActive: Int
    /// One for each way to think that has been asked for.
    private var thinkers: [ThinkRunner] = []
    private var count = 0
    private var queue: [Lane] = []
    private var active: [Lane] = []
    /// The oldest first.
    private var kept: [Lane] = []
    private var logits = FloatBuffer(count: 0)
    /// Positions that ran through the layers, for those who count.
    public private(set) var positionsRun = 0
    /// Sees the logits [V] that a request's next token is chosen from.
    package var onLogits: ((_ index: Int, UnsafeBufferPointer<Float>) -> Void)?

    /// - Parameter router: the checkpoint's, for requests whose depth it decides.
    public init(
        model: Transformer, router: Router? = nil, detokenizer: Detokenizer? = nil,
        limits: Limits = Limits()
    ) {
        self.model = model
        self.router = router
        self.detokenizer = detokenizer
        runner = BlockRunner(model: model, rows: BlockRunner.blockLength)
        cacheBytes = limits.cacheBytes ?? AvailableMemory.bytes.map { $0 / 4 * 3 } ?? .max
        mostActive = min(max(1, limits.requests), BlockRunner.blockLength)
    }

    public var isIdle: Bool { queue.isEmpty && active.isEmpty }
    /// Requests that run now.
    public var activeCount: Int { active.count }
    /// Bytes that the keys and values of running and kept requests can come to.
    public var reckonedBytes: Int { (active + kept).reduce(0) { $0 + $1.reckoned } }
    /// Bytes that they have come to; pages that requests share count for each.
    public var cacheByteCount: Int {
        (active + kept).reduce(0) { $0 + ($1.cache?.byteCount ?? 0) }
    }

    /// Puts a request into the queue. Nothing is allocated.
    /// - Returns: its index: 0 for the first.
    /// - Throws: `InferenceError`, also where the request alone is beyond the memory for caches.
    public func submit(_ request: GenerationRequest) throws(InferenceError) -> Int {
        let (reckoned, limit) = try check(request)
        queue.append(
            Lane(
                request, index: count, reckoned: reckoned, limit: limit, detokenizer: detokenizer))
        count += 1
        return count - 1
    }

    /// Whether `submit` would take the request.
    /// - Returns: the bytes of its keys and values, and its most new tokens.
    @discardableResult
    public func check(
        _ request: GenerationRequest
    ) throws(InferenceError) -> (bytes: Int, newTokens: Int) {
        let c = model.configuration
        guard !request.tokens.isEmpty else { throw .emptyPrompt }
        for (position, id) in request.tokens.enumerated()
        where id < 0 || id >= c.vocabularySize {
            throw .tokenOutOfRange(id: id, position: position, vocabularySize: c.vocabularySize)
        }
        guard request.tokens.count <= c.contextLength else {
            throw .promptTooLong(tokens: request.tokens.count, context: c.contextLength)
        }
        guard request.stop.maximumTokens >= 1 else {
            throw .maximumTokens(request.stop.maximumTokens)
        }
        for string in request.stop.strings {
            guard !string.isEmpty else { throw .emptyStop }
            guard detokenizer != nil else { throw .stopWithoutText(string) }
        }
        try request.sampling.check()
        for step in request.plan.steps where step.layer >= c.layerCount {
            let problem = PlanError.layerBeyondModel(layer: step.layer, layers: c.layerCount)
            throw .pass(.invalidPlan(problem: "\(problem)"))
        }
        if let rule = request.thinking?.rule {
            do {
                _ = try rule.halter(for: model, router: router)
            } catch {
                throw .pass(error)
            }
        }
        // The last token of a text is chosen, and does not run.
        let limit = min(request.stop.maximumTokens, c.contextLength - request.tokens.count + 1)
        let bytes = Self.bytes(
            model, plan: request.plan, thinking: request.thinking,
            positions: request.tokens.count + limit - 1)
        guard bytes <= cacheBytes else { throw .cacheMemory(needed: bytes, limit: cacheBytes) }
        return (bytes, limit)
    }

    /// The most bytes of keys and values that a text of `positions` has while it runs: whole pages, for a
    /// sliding layer those that its window and one block reach. Where tokens differ in depth, a slot of a
    /// deeper pass can come to make up for a whole text at once.
    static func bytes(
        _ model: Transformer, plan: LayerPlan, thinking: Thinking?, positions: Int
    ) -> Int {
        let c = model.configuration
        // Pages of 256 positions; the last one has a power of two of them, at least 16.
        var last = 16
        while last < positions % 256 { last *= 2 }
        let whole = positions / 256 * 256 + (positions % 256 == 0 ? 0 : last)
        var sum = 0
        for step in thinking?.keptSteps ?? Array(plan.steps.indices) {
            let window = model.layers[plan.steps[step].layer].attention.window
            let reach = window.map { (($0 + BlockRunner.blockLength) / 256 + 2) * 256 }
            let isDeeper = thinking?.deeper.contains(step) ?? false
            sum += isDeeper ? whole : min(whole, reach ?? whole)
        }
        let states = thinking?.policy == .recompute ? positions * c.hiddenSize * 4 : 0
        let pages = [sum, 2, c.keyValueHeadCount, c.headDimension, 4].checkedProduct ?? .max
        let (total, overflow) = pages.addingReportingOverflow(states)
        return overflow ? .max : total
    }

    // MARK: - A step

    /// One token for each request that has its prompt behind it, and a part of the prompts of others.
    ///
    /// - Parameters:
    ///   - onText: called with a request's index and the text that it can hand out.
    ///   - onFinish: called with a request's index and what it came to.
    /// - Throws: `InferenceError.pass`: what is not finished then will not be.
    public func step(
        onText: (Int, String) -> Void = { _, _ in }, onFinish: (Int, Generation) -> Void
    ) throws(InferenceError) {
        do {
            try admit()
            var kinds: [Lane] = []
            for lane in active where !kinds.contains(where: lane.runsLike) { kinds.append(lane) }
            for kind in kinds {
                let lanes = active.filter(kind.runsLike)
                if model.configuration.rotaryDependsOnLength {
                    for lane in lanes { try runAnew(lane, onText) }
                } else {
                    try run(lanes, onText)
                }
            }
        } catch {
            throw .pass(error)
        }
        for lane in active where lane.isFinished {
            onFinish(lane.index, lane.result)
            // Where frequencies depend on the text's length, no two texts begin with the same states.
            if !model.configuration.rotaryDependsOnLength { kept.append(lane) }
        }
        active.removeAll(where: \.isFinished)
        kept.removeFirst(max(0, kept.count - Self.mostKept))
    }

    /// All requests, each in its place.
    /// - Throws: `InferenceError`; nothing runs unless all can.
    public func generate(
        _ requests: [GenerationRequest], onText: (Int, String) -> Void = { _, _ in }
    ) throws(InferenceError) -> [Generation] {
        precondition(isIdle, "requests are on their way")
        for request in requests { try check(request) }
        let first = count
        for request in requests { _ = try submit(request) }
        var results = [Generation](repeating: Generation(), count: requests.count)
        while !isIdle {
            try step(onText: { onText($0 - first, $1) }, onFinish: { results[$0 - first] = $1 })
        }
        return results
    }

    /// Lets requests in, in their order, while there is room.
    private func admit() throws(ModelError) {
        while let lane = queue.first, active.count < mostActive {
            let donor = donor(for: lane)
            // What it begins with is being computed.
            if let donor, donor.shared > donor.lane.cache?.length ?? 0 { return }
            let fork = donor.map { $0.lane.cache?.fork() } ?? nil
            while !kept.isEmpty, reckonedBytes > cacheBytes - lane.reckoned {
                kept.removeFirst().cache = nil
            }
            guard reckonedBytes <= cacheBytes - lane.reckoned else { return }
            if let fork, let donor {
                fork.rewind(to: donor.shared)
                lane.cache = fork
            } else {
                lane.cache = try cache(for: lane)
            }
            queue.removeFirst()
            active.append(lane)
        }
    }

    private func cache(for lane: Lane) throws(ModelError) -> KeyValueCache {
        try KeyValueCache(
            model: model, plan: lane.request.plan, thinking: lane.request.thinking)
    }

    /// What runs a request's think block; nil for a plan as it stands.
    private func thinker(for lane: Lane) throws(ModelError) -> ThinkRunner? {
        guard let thinking = lane.request.thinking else { return nil }
        if let made = thinkers.first(where: { $0.thinking == thinking }) { return made }
        let made = try ThinkRunner(runner: runner, thinking: thinking, router: router)
        thinkers.append(made)
        return made
    }

    /// Seconds that rules of adaptive depth took, and that their passes took with them.
    public var ruleSeconds: (rule: Double, all: Double) {
        thinkers.reduce((0, 0)) { ($0.0 + $1.seconds.rule, $0.1 + $1.seconds.all) }
    }

    /// The request under the same plan that begins most like `lane`, and how many positions they share.
    private func donor(for lane: Lane) -> (lane: Lane, shared: Int)? {
        guard !model.configuration.rotaryDependsOnLength else { return nil }
        var best: (lane: Lane, shared: Int)?
        for other in active + kept where other.runsLike(lane) {
            guard let cache = other.cache else { continue }
            var shared = zip(other.tokens, lane.request.tokens).prefix { $0 == $1 }.count
            // The last token of the prompt runs in any case: the next one is chosen from its logits.
            shared = min(shared, lane.request.tokens.count - 1)
            if other.isFinished { shared = min(shared, cache.length) }
            guard shared >= Self.leastShared, shared > best?.shared ?? 0,
                shared > cache.length || cache.canRewind(to: shared)
            else { continue }
            best = (other, shared)
        }
        return best
    }

    /// One block of requests that share a plan.
    private func run(_ lanes: [Lane], _ onText: (Int, String) -> Void) throws(ModelError) {
        var room = runner.capacity
        var segments: [BlockRunner.Segment] = []
        /// Requests whose next token this block decides, with their rows.
        var deciding: [(lane: Lane, row: Int)] = []
        guard let first = lanes.first else { return }
        let thinker = try thinker(for: first)
        // Those that wait for one token first: a long prompt takes what is left.
        let waiting = lanes.filter { $0.pending.count == 1 }
        for lane in waiting + lanes.filter({ $0.pending.count != 1 }) {
            let part = lane.pending.prefix(min(room, thinker?.rowsPerText ?? room))
            guard !part.isEmpty, let cache = lane.cache else { continue }
            room -= part.count
            segments.append(.init(part, cache: cache))
            if part.count == lane.pending.count {
                deciding.append((lane, runner.capacity - room - 1))
            }
        }
        let passes = try thinker?.run(segments)
        if thinker == nil { try runner.run(segments) }
        positionsRun += runner.capacity - room
        try decide(deciding, passes, onText)
    }

    /// The whole text in a cache of its own. Rotary frequencies that depend on the text's length turn the
    /// keys before by other angles with each token, so none of them can be kept.
    private func runAnew(_ lane: Lane, _ onText: (Int, String) -> Void) throws(ModelError) {
        let cache = try cache(for: lane)
        lane.cache = cache
        let thinker = try thinker(for: lane)
        var row = 0
        var passes: [Int]?
        while !lane.pending.isEmpty {
            let part = lane.pending.prefix(thinker?.rowsPerText ?? runner.capacity)
            let segment = BlockRunner.Segment(
                part, cache: cache, textLength: lane.tokens.count)
            passes = try thinker?.run([segment])
            if thinker == nil { try runner.run([segment]) }
            positionsRun += part.count
            row = part.count - 1
        }
        try decide([(lane, row)], passes, onText)
    }

    /// Chooses the next tokens from the block's final states.
    /// - Parameter passes: of each row; nil where the plan says it.
    private func decide(
        _ deciding: [(lane: Lane, row: Int)], _ passes: [Int]?, _ onText: (Int, String) -> Void
    ) throws(ModelError) {
        guard !deciding.isEmpty else { return }
        let width = model.configuration.hiddenSize
        let vocabulary = model.configuration.vocabularySize
        if logits.count < deciding.count * vocabulary {
            logits = FloatBuffer(count: deciding.count * vocabulary)
        }
        let (logits, states) = (logits, runner.states)
        try ScratchPool.shared.withFloats(deciding.count * width) { gathered throws(ModelError) in
            for (index, item) in deciding.enumerated() {
                (gathered + index * width).update(
                    from: states + item.row * width, count: width)
            }
            try model.logits(of: gathered, rows: deciding.count, into: logits.pointer) {
                deciding[$0].lane.tokens.count - 1
            }
        }
        for (index, item) in deciding.enumerated() {
            let row = UnsafeBufferPointer(
                start: logits.pointer + index * vocabulary, count: vocabulary)
            onLogits?(item.lane.index, row)
            let text = item.lane.take(
                row, passes: passes?[item.row] ?? item.lane.fixedPasses)
            if !text.isEmpty { onText(item.lane.index, text) }
        }
    }
}
