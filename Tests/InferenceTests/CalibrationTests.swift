// Learn-then-Test: p-values against sums written out, and the promise against simulated texts whose tokens
// go together. Real models are not looked at.

import Foundation
import Statistics
import TestSupport
import Testing

@Suite struct CalibrationTests {
    @Test func pValuesAreTheirFormula() {
        func choose(_ n: Int, _ k: Int) -> Double {
            (0..<k).reduce(1.0) { $0 * Double(n - $1) / Double($1 + 1) }
        }
        var random = SeededRandom(1)
        for n in [1, 5, 30, 60] {
            for epsilon in [0.01, 0.1, 0.5] {
                for most in [0.0, 0.05, 0.3, 1.0] {
                    let losses = (0..<n).map { _ in
                        most == 0 ? 0 : Double.random(in: 0...most, using: &random)
                    }
                    let risk = min(losses.reduce(0, +) / Double(n), epsilon)
                    let low = risk == 0 ? 0 : risk * log(risk / epsilon)
                    let entropy = low + (1 - risk) * log((1 - risk) / (1 - epsilon))
                    let count = Int((losses.reduce(0, +) - 1e-9).rounded(.up))
                    let tail = (0...max(0, count)).reduce(0.0) {
                        $0 + choose(n, $1) * pow(epsilon, Double($1))
                            * pow(1 - epsilon, Double(n - $1))
                    }
                    let expected = min(1, exp(-Double(n) * entropy), M_E * tail)
                    let found = LearnThenTest.pValue(losses, epsilon: epsilon)
                    #expect(abs(found - expected) < 1e-9 * max(1, expected), "\(n) \(epsilon)")
                }
            }
        }
    }

    @Test func tooFewSequencesPassNothing() {
        #expect(LearnThenTest.leastSequences(epsilon: 0.01, delta: 0.05) == 299)
        for (epsilon, delta) in [(0.01, 0.05), (0.05, 0.05), (0.1, 0.1)] {
            let least = LearnThenTest.leastSequences(epsilon: epsilon, delta: delta)
            func p(_ n: Int) -> Double {
                LearnThenTest.pValue(Array(repeating: 0, count: n), epsilon: epsilon)
            }
            #expect(p(least) <= delta && p(least - 1) > delta)
        }
        #expect(LearnThenTest.pValue([], epsilon: 0.1) == 1)
    }

    @Test func testingEndsAtTheFirstFailure() {
        var asked = 0
        let good = Array(repeating: 0.0, count: 300)
        let bad = Array(repeating: 1.0, count: 300)
        let result = LearnThenTest.fixedSequence(epsilon: 0.05, delta: 0.05) {
            asked += 1
            return asked == 3 ? bad : good
        }
        #expect(asked == 3 && result.passed == 2 && result.p.count == 3)
    }

    /// Texts of 20 tokens that mostly differ from full depth together: a text is easy or hard as a whole.
    /// Thresholds have risks around ε; the one that is chosen may exceed it in a share δ of the samples.
    /// The same test with tokens as its unit breaks the promise.
    @Test(.timeLimit(.minutes(2)))
    func thePromiseHoldsWhereTokensGoTogether() {
        let (epsilon, delta) = (0.1, 0.1)
        let (samples, texts, tokens) = (1500, 80, 20)
        // The last two are above ε, by as little as makes it likely to miss.
        let risks = [0.0, 0.02, 0.05, 0.08, 0.105, 0.15, 0.3]
        var random = SeededRandom(7)
        var violations = 0
        var violationsByToken = 0
        var early = 0
        for _ in 0..<samples {
            // How hard each text is, the same for all thresholds: a stricter one differs where a laxer
            // one does.
            let hardness = (0..<texts).map { _ in Double.random(in: 0..<1, using: &random) }
            func losses(_ risk: Double) -> [Double] {
                hardness.map { hard in
                    let differs = hard < risk ? 0.9 : 0.1 * risk / (1 - risk)
                    return Double(
                        (0..<tokens).count { _ in
                            Double.random(in: 0..<1, using: &random) < differs
                        }) / Double(tokens)
                }
            }
            func chosen(byToken: Bool) -> Double {
                var left = risks[...]
                let (_, passed) = LearnThenTest.fixedSequence(epsilon: epsilon, delta: delta) {
                    guard let risk = left.popFirst() else { return nil }
                    let byText = losses(risk)
                    guard byToken else { return byText }
                    return byText.flatMap { loss in
                        let differing = Int((loss * Double(tokens)).rounded())
                        return (0..<tokens).map { $0 < differing ? 1.0 : 0.0 }
                    }
                }
                return passed == 0 ? 0 : risks[passed - 1]
            }
            // The mean loss of a threshold with this share of hard texts: r·0.9 + (1 - r)·0.1·r/(1 - r).
            let sequence = chosen(byToken: false)
            if sequence > epsilon { violations += 1 }
            if sequence > 0 { early += 1 }
            if chosen(byToken: true) > epsilon { violationsByToken += 1 }
        }
        let allowed = delta + 2 * (delta * (1 - delta) / Double(samples)).squareRoot()
        let rate = Double(violations) / Double(samples)
        #expect(rate <= allowed, "violated in \(rate)")
        #expect(early > samples / 2, "nothing is ever won")
        let byToken = Double(violationsByToken) / Double(samples)
        #expect(byToken > 1.5 * delta, "tokens as the unit: \(byToken)")
    }
}
