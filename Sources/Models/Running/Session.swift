import Plans

/// One text on its way through a model: a runner, and the cache of what has run.
///
/// Not for use from several threads at once.
public final class Session {
    public let runner: BlockRunner
    public let cache: KeyValueCache

    public var model: Transformer { runner.model }
    public var plan: LayerPlan { cache.plan }
    /// The most positions one text may have.
    public var capacity: Int { cache.capacity }
    /// Positions run since the last `reset`.
    public var position: Int { cache.length }

    /// - Parameters:
    ///   - capacity: the most positions of a text; the model's context when nil.
    ///   - keepsAll: as `KeyValueCache.keepsAll`.
    ///   - blockRows: the most rows of a block; more than `capacity` where several texts share one.
    /// - Throws: `ModelError.tooLong` if `capacity` exceeds the model's context, `.invalidPlan` if the
    ///   plan names a layer the model lacks, `.memory` if keys and values of `capacity` positions do not
    ///   fit.
    public init(
        model: Transformer, plan: LayerPlan? = nil, capacity: Int? = nil, keepsAll: Bool = false,
        blockRows: Int? = nil
    ) throws(ModelError) {
        if let capacity {
            let layers = model.configuration.layerCount
            try PlanMemory.check(
                model.configuration, steps: plan?.steps.count ?? layers, positions: capacity)
        }
        cache = try KeyValueCache(
            model: model, plan: plan, capacity: capacity, keepsAll: keepsAll)
        runner = BlockRunner(model: model, rows: blockRows ?? cache.capacity)
    }

    /// Starts a new text.
    public func reset() { cache.rewind(to: 0) }

    /// Forgets the positions from `length` on (`KeyValueCache.rewind`).
    public func rewind(to length: Int) { cache.rewind(to: length) }

    /// Runs `tokens` at the positions after those already run, block by block.
    ///
    /// - Parameter onBlock: called after each block with its positions and the raw final states
    ///   [block, d], valid only during the call.
    /// - Throws: as `BlockRunner.run`.
    public func run(
        _ tokens: [Int32], taps: [any Tap] = [], interventions: [any Intervention] = [],
        onBlock: (Range<Int>, UnsafePointer<Float>) throws(ModelError) -> Void = { _, _ in }
    ) throws(ModelError) {
        let length = position + tokens.count
        guard length <= capacity else { throw .tooLong(tokens: length, context: capacity) }
        try model.check(tokens, from: position)
        var start = 0
        while start < tokens.count {
            let end = min(start + BlockRunner.blockLength, tokens.count)
            let positions = position..<position + end - start
            try runner.run(
                [.init(tokens[start..<end], cache: cache, textLength: length)], taps: taps,
                interventions: interventions)
            try onBlock(positions, runner.states)
            start = end
        }
    }
}
