import Foundation

/// Learn-then-Test (Angelopoulos et al., arXiv 2110.01052): which settings keep a risk at most ε with
/// probability 1 - δ over the sample, whatever the distribution.
///
/// Losses are in [0, 1] and independent of one another: one for a text, since the tokens of a text are
/// not.
public enum LearnThenTest {
    /// The Hoeffding-Bentkus p-value of "the risk is above ε":
    /// min(exp(-n·h(min(R, ε), ε)), e·P(Bin(n, ε) ≤ ⌈nR⌉)) with
    /// h(a, b) = a·ln(a/b) + (1 - a)·ln((1 - a)/(1 - b)), the risk R being the mean loss.
    /// - Precondition: losses from 0 to 1, ε between 0 and 1.
    public static func pValue(_ losses: [Double], epsilon: Double) -> Double {
        precondition(epsilon > 0 && epsilon < 1 && losses.allSatisfy { 0...1 ~= $0 })
        guard !losses.isEmpty else { return 1 }
        let n = Double(losses.count)
        let sum = losses.reduce(0, +)
        let risk = min(sum / n, epsilon)
        func part(_ a: Double, _ b: Double) -> Double { a == 0 ? 0 : a * log(a / b) }
        let entropy = part(risk, epsilon) + part(1 - risk, 1 - epsilon)
        let hoeffding = exp(-n * entropy)
        // A sum that is whole but for rounding is whole.
        let count = Int((sum - 1e-9).rounded(.up))
        let bentkus = exp(1 + logBinomialTail(max(0, count), of: losses.count, epsilon))
        return min(1, hoeffding, bentkus)
    }

    /// ln P(Bin(n, p) ≤ k).
    static func logBinomialTail(_ k: Int, of n: Int, _ p: Double) -> Double {
        guard k < n else { return 0 }
        func term(_ i: Int) -> Double {
            lgamma(Double(n) + 1) - lgamma(Double(i) + 1) - lgamma(Double(n - i) + 1)
                + Double(i) * log(p) + Double(n - i) * log1p(-p)
        }
        let terms = (0...k).map(term)
        let most = terms.max() ?? 0
        return min(0, most + log(terms.reduce(0) { $0 + exp($1 - most) }))
    }

    /// Tests settings in a fixed order until one fails: at level δ each, and yet at level δ together.
    /// - Parameter next: losses of the next setting; nil after the last.
    /// - Returns: the p-values of all that were tested, and how many of them passed.
    public static func fixedSequence(
        epsilon: Double, delta: Double, next: () throws -> [Double]?
    ) rethrows -> (p: [Double], passed: Int) {
        var values: [Double] = []
        while let losses = try next() {
            values.append(pValue(losses, epsilon: epsilon))
            guard let p = values.last, p <= delta else { return (values, values.count - 1) }
        }
        return (values, values.count)
    }

    /// The fewest sequences with which anything can pass: (1 - ε)^n ≤ δ.
    public static func leastSequences(epsilon: Double, delta: Double) -> Int {
        Int((log(delta) / log1p(-epsilon)).rounded(.up))
    }
}
