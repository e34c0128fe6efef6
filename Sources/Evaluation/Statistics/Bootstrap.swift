/// 95 % percentile intervals of means by resampling, the same for the same seed on every machine.
public enum Bootstrap {
    /// What one item contributes.
    public struct Item: Sendable, Equatable {
        /// A score, or a difference of two.
        public var value: Double
        /// Items are drawn within their subtask, and the mean is that of the subtasks' means.
        public var stratum: String
        /// Items that share it are drawn together, as DROP's questions about one passage.
        public var cluster: String

        public init(value: Double, stratum: String = "", cluster: String) {
            self.value = value
            self.stratum = stratum
            self.cluster = cluster
        }
    }

    public static let resamples = 10_000
    public static let seed: UInt64 = 1234

    private struct Stratum {
        /// The sum and the count of each cluster, in order of appearance.
        var sums: [Double] = []
        var counts: [Double] = []
        var places: [String: Int] = [:]

        mutating func add(_ item: Item) {
            let place = places[item.cluster] ?? sums.count
            if place == sums.count {
                places[item.cluster] = place
                sums.append(0)
                counts.append(0)
            }
            sums[place] += item.value
            counts[place] += 1
        }
    }

    /// - Returns: the mean and the 2.5 % and 97.5 % quantiles of `resamples` resampled ones (linear
    ///   interpolation). A resample draws, stratum after stratum in order of appearance, as many clusters
    ///   as the stratum has: cluster number ⌊u · clusters⌋ for the next u of `PythonRandom`.
    /// - Precondition: There are items.
    public static func interval(
        _ items: [Item], resamples: Int = resamples, seed: UInt64 = seed
    ) -> Interval {
        var strata: [Stratum] = []
        var places: [String: Int] = [:]
        for item in items {
            let place = places[item.stratum] ?? strata.count
            if place == strata.count {
                places[item.stratum] = place
                strata.append(Stratum())
            }
            strata[place].add(item)
        }
        let value =
            strata.reduce(0) { $0 + $1.sums.reduce(0, +) / $1.counts.reduce(0, +) }
            / Double(strata.count)
        var random = PythonRandom(seed: seed)
        var means: [Double] = []
        means.reserveCapacity(resamples)
        for _ in 0..<resamples {
            var total = 0.0
            for stratum in strata {
                let clusters = stratum.sums.count
                var (sum, count) = (0.0, 0.0)
                for _ in 0..<clusters {
                    let place = Int(random.random() * Double(clusters))
                    sum += stratum.sums[place]
                    count += stratum.counts[place]
                }
                total += sum / count
            }
            means.append(total / Double(strata.count))
        }
        means.sort()
        return Interval(
            value: value, low: quantile(0.025, of: means), high: quantile(0.975, of: means))
    }

    private static func quantile(_ share: Double, of sorted: [Double]) -> Double {
        let position = share * Double(sorted.count - 1)
        let lower = Int(position)
        let upper = min(lower + 1, sorted.count - 1)
        return sorted[lower] + (sorted[upper] - sorted[lower]) * (position - Double(lower))
    }
}
