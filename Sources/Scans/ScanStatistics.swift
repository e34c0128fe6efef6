/// Means and their standard errors.
public enum ScanStatistics {
    /// The mean, and its standard error sd/√n; nil for fewer than two values. NaN makes both NaN.
    public static func mean(_ values: [Double]) -> (mean: Double, error: Double?) {
        guard !values.isEmpty else { return (.nan, nil) }
        let count = Double(values.count)
        let mean = values.reduce(0, +) / count
        guard values.count > 1 else { return (mean, nil) }
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        return (mean, (squares / (count - 1) / count).squareRoot())
    }

    /// Σ sums / Σ counts with the standard error of a ratio of sums over documents (Cochran 1977,
    /// 6.4): √(D/(D-1) Σ (s_d - r n_d)²) / Σ n_d; nil for one document.
    public static func ratio(
        _ sums: [Double], per counts: [Int]
    ) -> (mean: Double, error: Double?) {
        let total = Double(counts.reduce(0, +))
        guard total > 0 else { return (.nan, nil) }
        let ratio = sums.reduce(0, +) / total
        guard sums.count > 1 else { return (ratio, nil) }
        let documents = Double(sums.count)
        let squares = zip(sums, counts).reduce(0) { sum, pair in
            let rest = pair.0 - ratio * Double(pair.1)
            return sum + rest * rest
        }
        return (ratio, (documents / (documents - 1) * squares).squareRoot() / total)
    }

    /// a and b of the least-squares line y = a + b·x; b is 0 where x does not vary.
    public static func line(_ y: [Double], over x: [Double]) -> (intercept: Double, slope: Double) {
        let count = Double(x.count)
        let meanX = x.reduce(0, +) / count
        let meanY = y.reduce(0, +) / count
        var (xx, xy) = (0.0, 0.0)
        for (x, y) in zip(x, y) {
            xx += (x - meanX) * (x - meanX)
            xy += (x - meanX) * (y - meanY)
        }
        let slope = xx > 0 ? xy / xx : 0
        return (meanY - slope * meanX, slope)
    }
}
