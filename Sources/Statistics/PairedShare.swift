import Foundation

/// How the share of right answers changes between two ways to answer the same items, with an interval.
///
/// Wald's interval for paired shares after half an item was added to each of the four cells (Agresti and
/// Min 2005): unlike resampling it holds where few items change, or none.
public struct PairedShare: Sendable, Equatable {
    public var change: Double
    public var low: Double
    public var high: Double

    /// - Parameters:
    ///   - gained: items that only the second way has right.
    ///   - lost: items that only the first has right.
    ///   - comparisons: how many such intervals are to hold together, at 95 % (Bonferroni).
    public init(gained: Int, lost: Int, items: Int, comparisons: Int = 1) {
        let n = Double(items)
        change = items > 0 ? Double(gained - lost) / n : 0
        let (b, c, m) = (Double(gained) + 0.5, Double(lost) + 0.5, n + 2)
        let middle = (b - c) / m
        let error = ((b + c) - (b - c) * (b - c) / m).squareRoot() / m
        let z = NormalDistribution.quantile(1 - 0.025 / Double(max(1, comparisons)))
        low = min(change, middle - z * error)
        high = max(change, middle + z * error)
    }
}

/// The standard normal distribution.
public enum NormalDistribution {
    /// Φ(z).
    public static func share(below z: Double) -> Double { 0.5 * erfc(-z / 2.0.squareRoot()) }

    /// z with Φ(z) = `share`, by bisection; exact to 1e-12 between 1e-12 and 1 - 1e-12.
    public static func quantile(_ share: Double) -> Double {
        var (low, high) = (-8.0, 8.0)
        for _ in 0..<64 {
            let middle = (low + high) / 2
            if self.share(below: middle) < share { low = middle } else { high = middle }
        }
        return (low + high) / 2
    }
}
