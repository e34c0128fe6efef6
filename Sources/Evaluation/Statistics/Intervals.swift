/// A figure with the limits of its 95 % interval.
public struct Interval: Sendable, Equatable {
    public var value: Double
    public var low: Double
    public var high: Double

    public init(value: Double, low: Double, high: Double) {
        self.value = value
        self.low = low
        self.high = high
    }
}

/// Items of one subtask that were right, of all of them.
public struct Share: Sendable, Equatable {
    public var right: Int
    public var items: Int

    public init(right: Int, items: Int) {
        self.right = right
        self.items = items
    }

    public var value: Double { Double(right) / Double(items) }

    /// The normal distribution's 97.5 % quantile.
    static let z = 1.959963984540054

    /// The 95 % score interval (Wilson 1927), without continuity correction.
    /// - Precondition: There are items.
    public var wilson: Interval {
        let (n, p, z) = (Double(items), value, Self.z)
        let scale = 1 / (1 + z * z / n)
        let middle = (p + z * z / (2 * n)) * scale
        let half = z * scale * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot()
        return Interval(value: p, low: max(0, middle - half), high: min(1, middle + half))
    }
}

/// Intervals of averages over strata.
public enum StratifiedInterval {
    /// The mean of the strata's shares, each with the same weight. The interval combines the strata's
    /// Wilson limits l_s and u_s by the method of variance estimates recovery (Zou and Donner 2008):
    /// low = p - sqrt(Σ w² (p_s - l_s)²), high = p + sqrt(Σ w² (u_s - p_s)²), w = 1 / S. With one
    /// stratum it is Wilson's, and it stays within 0 to 1.
    /// - Precondition: There are strata, and each has items.
    public static func macro(_ strata: [Share]) -> Interval {
        let weight = 1 / Double(strata.count)
        let limits = strata.map(\.wilson)
        let value = limits.reduce(0) { $0 + $1.value } * weight
        func spread(_ distance: (Interval) -> Double) -> Double {
            limits.reduce(0) { $0 + distance($1) * distance($1) }.squareRoot() * weight
        }
        return Interval(
            value: value, low: value - spread { $0.value - $0.low },
            high: value + spread { $0.high - $0.value })
    }
}
