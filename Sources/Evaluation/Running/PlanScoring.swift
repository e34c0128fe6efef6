import Models
import Plans

/// Scores requests under several layer plans. The seam between what is asked and how it is run: an
/// implementation may run what plans have in common once.
public protocol PlanScoring: AnyObject {
    /// The plans it was made for.
    var plans: [LayerPlan] { get }

    /// - Parameters:
    ///   - wanted: indices of `plans`.
    ///   - onScore: called once for each wanted plan and each request, in any order, with the plan's index
    ///     and the request's.
    /// - Throws: `ModelError.tooLong`, `.tokenOutOfRange`, `.nonFinite`.
    func score(
        _ requests: [ScoreRequest], plans wanted: [Int],
        onScore: (_ plan: Int, _ request: Int, Scorer.Score) -> Void
    ) throws(ModelError)
}

/// Runs each plan from its first layer.
public final class SeparatePlanScorer: PlanScoring {
    public let plans: [LayerPlan]
    private let scorers: [Scorer]

    public init(model: Transformer, plans: [LayerPlan]) {
        self.plans = plans
        scorers = plans.map { Scorer(model: model, plan: $0) }
    }

    public func score(
        _ requests: [ScoreRequest], plans wanted: [Int],
        onScore: (_ plan: Int, _ request: Int, Scorer.Score) -> Void
    ) throws(ModelError) {
        for plan in wanted {
            try scorers[plan].score(requests) { onScore(plan, $0, $1) }
        }
    }
}
