import Foundation

/// Two results on the same items.
public enum PairedTests {
    /// McNemar's exact two-sided test: min(1, 2 · P(X ≤ min(gained, lost))), X binomial with
    /// gained + lost trials at 1/2. 1 where nothing changed.
    /// - Parameters:
    ///   - gained: items that only the second result has right.
    ///   - lost: items that only the first has right.
    public static func mcnemar(gained: Int, lost: Int) -> Double {
        let trials = gained + lost
        var tail = 0.0
        for k in 0...min(gained, lost) {
            tail += exp(
                lgamma(Double(trials + 1)) - lgamma(Double(k + 1)) - lgamma(Double(trials - k + 1))
                    - Double(trials) * log(2))
        }
        return min(1, 2 * tail)
    }

    /// z(0.975) + z(0.8): a two-sided test at 5 % finds a difference of this many standard errors with
    /// a power of 80 %.
    static let quantiles = 1.960 + 0.842

    /// The smallest difference of means that n pairs would show with a power of 80 %:
    /// 2.802 · s / √n, s the sample standard deviation of the paired differences (divisor n - 1). nil for
    /// fewer than two pairs.
    public static func minimumDetectableEffect(_ differences: [Double]) -> Double? {
        deviation(differences).map { quantiles * $0 / Double(differences.count).squareRoot() }
    }

    /// How many pairs would show a difference of `effect` with a power of 80 %: (2.802 · s / effect)²,
    /// rounded up. nil for fewer than two pairs; 2 at least.
    public static func itemsNeeded(_ differences: [Double], effect: Double) -> Int? {
        deviation(differences).map {
            let needed = quantiles * $0 / effect
            return max(2, Int(min(1e15, (needed * needed).rounded(.up))))
        }
    }

    private static func deviation(_ values: [Double]) -> Double? {
        guard values.count > 1 else { return nil }
        let mean = values.reduce(0, +) / Double(values.count)
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        return (squares / Double(values.count - 1)).squareRoot()
    }

    /// Benjamini and Hochberg's (1995) adjusted p-values: q at rank i of m is the least of p_j · m / j
    /// over j ≥ i, and at most 1. What is nil stays nil and does not count.
    public static func benjaminiHochberg(_ pValues: [Double?]) -> [Double?] {
        let order = pValues.indices.filter { pValues[$0] != nil }
            .sorted { (pValues[$0] ?? 0) < (pValues[$1] ?? 0) }
        var adjusted = [Double?](repeating: nil, count: pValues.count)
        var least = 1.0
        for (rank, index) in order.enumerated().reversed() {
            least = min(least, (pValues[index] ?? 0) * Double(order.count) / Double(rank + 1))
            adjusted[index] = least
        }
        return adjusted
    }
}
