import Foundation
import Tensors

/// Means of several values over items, with intervals for each and a band for all of them.
///
/// Pointwise: bootstrap-t (Efron and Tibshirani 1993, 12.5), which stays right where values are skewed.
/// Simultaneous: mean ± c · standard error, c being the 95 % quantile over resamples of the greatest
/// studentised deviation at any place (Westfall and Young 1993). Items of one group are resampled together;
/// the standard error is that of a ratio of sums over groups (Cochran 1977, 6.4).
public struct MeanBand: Sendable, Equatable {
    public static let resamples = 2000

    public var means: [Double]
    /// 0 where nothing varies.
    public var errors: [Double]
    /// Pointwise 95 % intervals.
    public var low: [Double]
    public var high: [Double]
    /// c of the band for all places.
    public var critical: Double
    public var bandLow: [Double] { zip(means, errors).map { $0 - critical * $1 } }
    public var bandHigh: [Double] { zip(means, errors).map { $0 + critical * $1 } }
    /// By place, two-sided, for all places together: the share of resamples whose greatest deviation
    /// anywhere is at least this place's.
    public var pValues: [Double]
    /// Upper end of a one-sided 95 % band for all places: mean + c₁ · standard error.
    public var upperBound: [Double]

    /// - Parameters:
    ///   - values: [items][places], all finite.
    ///   - groups: of each item; nil where every item stands alone.
    ///   - seed: draws the resamples.
    ///   - resamples: how many.
    public init(
        _ values: [[Double]], groups: [Int]? = nil, resamples: Int = Self.resamples, seed: UInt64
    ) {
        let places = values.first?.count ?? 0
        let names = groups ?? Array(values.indices)
        var numbers: [Int: Int] = [:]
        var sums: [Double] = []
        var counts: [Double] = []
        for (item, row) in values.enumerated() {
            let group = numbers[names[item]] ?? counts.count
            if group == counts.count {
                numbers[names[item]] = group
                counts.append(0)
                sums += [Double](repeating: 0, count: places)
            }
            counts[group] += 1
            for place in 0..<places { sums[group * places + place] += row[place] }
        }
        let drawn = counts.count
        let whole = [Int](repeating: 1, count: drawn)
        let (means, errors) = Self.moments(sums, counts, whole, places)
        self.means = means
        self.errors = errors

        var random = SplitMix64(seed: seed)
        var deviations = [[Double]](repeating: [], count: places)
        var greatest: [Double] = []
        var greatestAbove: [Double] = []
        for _ in 0..<resamples {
            var times = [Int](repeating: 0, count: drawn)
            for _ in 0..<drawn { times[random.below(drawn)] += 1 }
            let (own, spread) = Self.moments(sums, counts, times, places)
            var most = 0.0
            var above = -Double.infinity
            for place in 0..<places where errors[place] > 0 {
                // A resample of one value many times has no spread: its deviation is without bound.
                let difference = own[place] - means[place]
                let deviation =
                    spread[place] > 0
                    ? difference / spread[place]
                    : difference == 0 ? 0 : difference > 0 ? .infinity : -.infinity
                deviations[place].append(deviation)
                most = max(most, abs(deviation))
                above = max(above, -deviation)
            }
            greatest.append(most)
            greatestAbove.append(above)
        }
        greatest.sort()
        greatestAbove.sort()
        critical = Self.quantile(greatest, 0.95)
        let criticalAbove = Self.quantile(greatestAbove, 0.95)
        low = means
        high = means
        pValues = [Double](repeating: 1, count: places)
        upperBound = means
        for place in 0..<places where errors[place] > 0 {
            let ordered = deviations[place].sorted()
            low[place] = means[place] - Self.quantile(ordered, 0.975) * errors[place]
            high[place] = means[place] - Self.quantile(ordered, 0.025) * errors[place]
            upperBound[place] = means[place] + criticalAbove * errors[place]
            let own = abs(means[place]) / errors[place]
            let reached = greatest.count - Self.firstIndex(of: own, in: greatest)
            pValues[place] = Double(1 + reached) / Double(1 + resamples)
        }
    }

    /// Σ S / Σ n and its standard error over groups, each counted `times`.
    private static func moments(
        _ sums: [Double], _ counts: [Double], _ times: [Int], _ places: Int
    ) -> (means: [Double], errors: [Double]) {
        var total = 0.0
        var means = [Double](repeating: 0, count: places)
        var groups = 0.0
        for (group, count) in times.enumerated() where count > 0 {
            total += Double(count) * counts[group]
            groups += Double(count)
            for place in 0..<places {
                means[place] += Double(count) * sums[group * places + place]
            }
        }
        for place in 0..<places { means[place] /= total }
        var squares = [Double](repeating: 0, count: places)
        for (group, count) in times.enumerated() where count > 0 {
            for place in 0..<places {
                let rest = sums[group * places + place] - means[place] * counts[group]
                squares[place] += Double(count) * rest * rest
            }
        }
        guard groups > 1 else { return (means, squares.map { _ in 0 }) }
        let errors = zip(squares, means).map { square, mean in
            let error = (groups / (groups - 1) * square).squareRoot() / total
            // What rounding leaves of values that are all the same is no spread.
            return error <= 1e-12 * abs(mean) ? 0 : error
        }
        return (means, errors)
    }

    /// The q-quantile of ordered values: the least value that a share q of them does not exceed.
    package static func quantile(_ ordered: [Double], _ q: Double) -> Double {
        guard !ordered.isEmpty else { return .nan }
        let place = Int((q * Double(ordered.count)).rounded(.up)) - 1
        return ordered[min(max(place, 0), ordered.count - 1)]
    }

    /// How many ordered values lie below `value`.
    private static func firstIndex(of value: Double, in ordered: [Double]) -> Int {
        var (low, high) = (0, ordered.count)
        while low < high {
            let middle = (low + high) / 2
            if ordered[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
