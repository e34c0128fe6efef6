import Plans

/// Cuts boundaries into three contiguous stages, exactly, by dynamic programming over all pairs of borders.
///
/// The cost of a stage is the sum of squared distances from its mean, of features with mean 0 and variance 1
/// over all boundaries (Fisher 1958, grouping for maximum homogeneity); or of a map of likeness s, the mean over
/// its pairs of 1 - s, times its boundaries. With borders a and b the encoder has a layers, the think block
/// b - a, the decoder L - b.
struct Stages {
    var split: Split
    /// Cost of three stages, of the best two, and of one.
    var cost: Double
    var twoStages: Double
    var oneStage: Double

    /// The share of the cost of one stage that the third stage takes away beyond the second.
    var gain: Double { oneStage > 0 ? (twoStages - cost) / oneStage : 0 }

    /// - Parameter features: [features][boundaries], all finite.
    /// - Returns: nil for fewer than five boundaries, or features that do not vary.
    static func of(features: [[Double]]) -> Stages? {
        guard let count = features.first?.count else { return nil }
        var rows: [[Double]] = []
        for feature in features where feature.allSatisfy(\.isFinite) {
            let mean = feature.reduce(0, +) / Double(count)
            let squares = feature.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
            guard squares > 1e-24 * mean * mean * Double(count), squares > 0 else { continue }
            let deviation = (squares / Double(count)).squareRoot()
            rows.append(feature.map { ($0 - mean) / deviation })
        }
        guard !rows.isEmpty else { return nil }
        // Sums and sums of squares up to each boundary.
        let sums = rows.map { row in row.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) } }
        let squares = rows.map { row in
            row.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1 * $1) }
        }
        return best(boundaries: count) { range in
            rows.indices.reduce(0) { total, row in
                let sum = sums[row][range.upperBound] - sums[row][range.lowerBound]
                let square = squares[row][range.upperBound] - squares[row][range.lowerBound]
                return total + square - sum * sum / Double(range.count)
            }
        }
    }

    /// - Parameter likeness: of all pairs of boundaries, 1 for the same.
    static func of(likeness: [[Double]]) -> Stages? {
        guard likeness.allSatisfy({ $0.allSatisfy(\.isFinite) }) else { return nil }
        return best(boundaries: likeness.count) { range in
            guard range.count > 1 else { return 0 }
            var sum = 0.0
            for i in range {
                for j in range where j > i { sum += 1 - likeness[i][j] }
            }
            return 2 * sum / Double(range.count - 1)
        }
    }

    /// A think block has two layers at least, encoder and decoder one.
    private static func best(boundaries: Int, _ cost: (Range<Int>) -> Double) -> Stages? {
        let layers = boundaries - 1
        guard layers >= 4 else { return nil }
        var found: (a: Int, b: Int, cost: Double)?
        var two = Double.infinity
        for a in 1..<layers {
            two = min(two, cost(0..<a) + cost(a..<boundaries))
            guard a + 2 < layers else { continue }
            for b in a + 2..<layers {
                let total = cost(0..<a) + cost(a..<b) + cost(b..<boundaries)
                if total < found?.cost ?? .infinity { found = (a, b, total) }
            }
        }
        let one = cost(0..<boundaries)
        guard one > 0 else { return nil }
        return found.map { found in
            Stages(
                split: Split(encoder: found.a, think: found.b - found.a, decoder: layers - found.b),
                cost: found.cost, twoStages: two, oneStage: one)
        }
    }
}
