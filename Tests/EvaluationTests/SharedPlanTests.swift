// Depths that share what they have in common give the bytes of each plan alone.

import Evaluation
import Files
import Foundation
import Models
import Plans
import TestSupport
import Testing

@Suite struct SharedPlanTests {
    private func scores(
        _ scoring: any PlanScoring, _ requests: [ScoreRequest], wanted: [Int]
    ) throws -> [[Scorer.Score?]] {
        var found = [[Scorer.Score?]](
            repeating: Array(repeating: nil, count: requests.count), count: scoring.plans.count)
        try scoring.score(requests, plans: wanted) { plan, request, score in
            #expect(found[plan][request] == nil)
            found[plan][request] = score
        }
        return found
    }

    @Test(arguments: ScoredModel.some) func everyDepthHasItsOwnBytes(_ model: ScoredModel) throws {
        let transformer = try model.load()
        let layers = transformer.configuration.layerCount
        // Two texts that begin alike, as questions behind the same examples do, one alone, and one token.
        let (one, two) = (try model.tokens(0), try model.tokens(1))
        let requests = [
            ScoreRequest(tokens: one, firstScored: one.count - 2),
            ScoreRequest(
                tokens: Array(one.dropLast(2)) + two.suffix(3), firstScored: one.count - 2),
            ScoreRequest(tokens: two, firstScored: 1),
            ScoreRequest(tokens: Array(one.prefix(2)), firstScored: 1),
        ]
        // Encoder, think block and decoder of every shape, an empty decoder and an empty encoder among them; the
        // base model; and a plan that is no split.
        var plans = [LayerPlan.identity(layers: layers)]
        for encoder in 0..<layers {
            for think in 1...layers - encoder {
                for iterations in [2, 3, 5] where encoder + think + iterations < layers + 5 {
                    plans.append(
                        try .split(
                            encoder: encoder, think: think, decoder: layers - encoder - think,
                            iterations: iterations, layers: layers))
                }
            }
        }
        plans.append(try LayerPlan(layers: [0, 0]))
        let alone = plans.map { Scorer(model: transformer, plan: $0) }
        let shared = SharedPlanScorer(model: transformer, plans: plans)
        for wanted in [Array(plans.indices), [0], [1, plans.count - 1], [0, 2]] {
            let found = try scores(shared, requests, wanted: wanted)
            for plan in plans.indices {
                for (index, request) in requests.enumerated() {
                    let expected = wanted.contains(plan) ? try alone[plan].score(request) : nil
                    #expect(found[plan][index] == expected, "\(plans[plan].notation) \(index)")
                }
            }
        }
    }
}
