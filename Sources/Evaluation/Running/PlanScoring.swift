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

/// Runs what plans have in common once: depths of one split share the encoder and the passes before them. The
/// base model shares with whichever split comes first.
public final class SharedPlanScorer: PlanScoring {
    public let plans: [LayerPlan]
    private let model: Transformer
    private let thinking: [Thinking?]
    private let router: Router?
    /// Plans of one split; a plan that is none stands alone.
    private var groups: [Group]

    private struct Group {
        var split: Split?
        /// Places in `plans`, and how often each runs the think block.
        var members: [(plan: Int, iterations: Int)]
        var scorer: (wanted: [Int], scorer: Scorer)?
    }

    /// - Parameters:
    ///   - thinking: of each plan, where its tokens think on their own account or in damped steps; such a plan
    ///     shares nothing. Empty: none does.
    ///   - router: the model's, for rules that ask it.
    public init(
        model: Transformer, plans: [LayerPlan], thinking: [Thinking?] = [], router: Router? = nil
    ) {
        self.model = model
        self.plans = plans
        self.thinking = thinking.isEmpty ? plans.map { _ in nil } : thinking
        self.router = router
        var groups: [Group] = []
        var base: [Int] = []
        for (index, plan) in plans.enumerated() {
            if self.thinking[index] != nil {
                groups.append(Group(split: nil, members: [(index, 1)]))
            } else if plan == .identity(layers: model.configuration.layerCount) {
                base.append(index)
            } else if let (split, iterations) = plan.split {
                if let place = groups.firstIndex(where: { $0.split == split }) {
                    groups[place].members.append((index, iterations))
                } else {
                    groups.append(Group(split: split, members: [(index, iterations)]))
                }
            } else {
                groups.append(Group(split: nil, members: [(index, 1)]))
            }
        }
        if let place = groups.firstIndex(where: { $0.split != nil }) {
            groups[place].members += base.map { ($0, 1) }
        } else {
            groups += base.map { Group(split: nil, members: [($0, 1)]) }
        }
        self.groups = groups
    }

    public func score(
        _ requests: [ScoreRequest], plans wanted: [Int],
        onScore: (_ plan: Int, _ request: Int, Scorer.Score) -> Void
    ) throws(ModelError) {
        for place in groups.indices {
            let members = groups[place].members.filter { wanted.contains($0.plan) }
            guard !members.isEmpty else { continue }
            let scorer = try scorer(place, members)
            if thinking[members[0].plan] != nil {
                try scorer.score(requests) { request, score in
                    onScore(members[0].plan, request, score)
                }
                continue
            }
            let depths = Set(members.map(\.iterations)).sorted()
            try scorer.scoreDepths(requests) { request, scores in
                for member in members {
                    let depth = members.count == 1 ? 0 : depths.firstIndex(of: member.iterations)
                    if let depth { onScore(member.plan, request, scores[depth]) }
                }
            }
        }
    }

    /// That of the last call, where the same plans are wanted.
    private func scorer(
        _ place: Int, _ members: [(plan: Int, iterations: Int)]
    ) throws(ModelError) -> Scorer {
        let wanted = members.map(\.plan)
        if let known = groups[place].scorer, known.wanted == wanted { return known.scorer }
        let made: Scorer
        if let thinking = thinking[members[0].plan] {
            made = try Scorer(model: model, thinking: thinking, router: router)
        } else if members.count > 1, let split = groups[place].split {
            do {
                let tree = try DepthTree(
                    split: split, iterations: Set(members.map(\.iterations)), model: model)
                made = Scorer(model: model, tree: tree)
            } catch {
                throw .invalidPlan(problem: "\(error)")
            }
        } else {
            made = Scorer(model: model, plan: plans[members[0].plan])
        }
        groups[place].scorer = (wanted, made)
        return made
    }
}
