import Plans

/// How the think block runs, where that is more than so many passes in a row.
public struct Thinking: Sendable, Equatable {
    public enum Mode: Sendable, Equatable {
        /// Each token as many passes as its rule says.
        case adaptive(HaltingRule, KeyValuePolicy)
        case damped(Damping)
    }

    public let split: Split
    /// The most passes; of a damped block the number of times that it is evaluated.
    public let passes: Int
    public let mode: Mode
    /// Every pass written out: its steps are those of the cache.
    public let plan: LayerPlan

    /// - Parameter maximum: the most passes of a token.
    /// - Throws: `PlanError`.
    public init(
        _ split: Split, maximum: Int, rule: HaltingRule, policy: KeyValuePolicy
    ) throws(PlanError) {
        self.split = split
        passes = maximum
        mode = .adaptive(rule, policy)
        plan = try split.plan(iterations: maximum)
    }

    /// - Throws: `PlanError`.
    public init(_ split: Split, damping: Damping) throws(PlanError) {
        self.split = split
        let count = damping.substeps.multipliedReportingOverflow(by: damping.method.slopes.count)
        guard !count.overflow else { throw .tooManySteps(nil) }
        passes = count.partialValue
        mode = .damped(damping)
        plan = try split.plan(iterations: passes)
    }

    public var policy: KeyValuePolicy? {
        if case .adaptive(_, let policy) = mode { policy } else { nil }
    }

    public var rule: HaltingRule? {
        if case .adaptive(let rule, _) = mode { rule } else { nil }
    }

    /// Steps of the plan.
    var encoder: Range<Int> { 0..<split.encoder }
    var decoder: Range<Int> { plan.steps.count - split.decoder..<plan.steps.count }

    /// Steps of the plan.
    /// - Parameter number: from 1.
    func pass(_ number: Int) -> Range<Int> {
        let first = split.encoder + (number - 1) * split.think
        return first..<first + split.think
    }

    /// Steps that some tokens do not run.
    package var deeper: Range<Int> {
        policy == nil
            ? decoder.lowerBound..<decoder.lowerBound : pass(1).upperBound..<decoder.lowerBound
    }

    /// Slots that can come to hold keys, by step.
    package var keptSteps: [Int] {
        plan.steps.indices.filter { policy != .shared || !deeper.contains($0) }
    }
}

/// The think block as steps of a solver for dx/dt = g(x) - x, where g is one run of the block.
public struct Damping: Sendable, Hashable {
    public enum Method: String, Sendable, CaseIterable {
        case euler, heun, rk4

        /// How far along the slope before it each slope is taken, and its weight up to a factor.
        var slopes: [(stretch: Float, weight: Float)] {
            switch self {
            case .euler: [(0, 1)]
            case .heun: [(0, 1), (1, 1)]
            case .rk4: [(0, 1), (0.5, 2), (0.5, 2), (1, 1)]
            }
        }
    }

    public var method: Method
    /// 1 or more.
    public var substeps: Int
    /// The size of a step: 1 makes Euler's steps plain passes, 1/substeps goes as far as one pass would
    /// (arXiv 2605.23872).
    public var factor: Float

    /// - Parameter factor: above 0, at most 1; 1/substeps when nil.
    public init(_ method: Method, substeps: Int, factor: Float? = nil) {
        self.method = method
        self.substeps = substeps
        self.factor = factor ?? 1 / Float(substeps)
    }
}

/// What a cache remembers of tokens that ran different numbers of passes.
struct DepthRecord {
    let thinking: Thinking
    let policy: KeyValuePolicy
    /// d.
    private let width: Int
    /// Of every position.
    private(set) var passes: [Int] = []
    /// For `skip`: the positions that ran each pass, from the first on.
    private var ran: [[Int]]
    /// For `recompute`: the states [positions, d] that the think block left.
    private(set) var states: [Float] = []

    /// nil where all tokens run all passes.
    init?(_ thinking: Thinking, width: Int) {
        guard let policy = thinking.policy else { return nil }
        self.thinking = thinking
        self.policy = policy
        self.width = width
        ran = Array(repeating: [], count: policy == .skip ? thinking.passes : 0)
    }

    /// Positions that have a key in a step's slot, where those are not all from the first on.
    func keyed(step: Int) -> [Int]? {
        guard policy == .skip, thinking.deeper.contains(step) else { return nil }
        return ran[(step - thinking.split.encoder) / thinking.split.think]
    }

    /// - Parameters:
    ///   - block: passes of each new token.
    ///   - states: what the think block left of them, [rows, d].
    mutating func append(_ block: ArraySlice<Int>, states: UnsafePointer<Float>) {
        for (offset, count) in block.enumerated() where policy == .skip {
            for pass in 0..<count { ran[pass].append(passes.count + offset) }
        }
        passes += block
        if policy == .recompute {
            self.states += UnsafeBufferPointer(start: states, count: block.count * width)
        }
    }

    mutating func rewind(to length: Int) {
        guard length < passes.count else { return }
        passes.removeSubrange(length...)
        for index in ran.indices { ran[index].removeSubrange(ran[index].lowerBound(of: length)...) }
        if policy == .recompute { states.removeSubrange((length * width)...) }
    }
}
