/// Which contestants of a race go on from a round: windows of one kind, compared on the items seen so far.
///
/// A contestant leaves where the mean of its paired differences to the best one lies further below 0 than
/// `dropLimit` standard errors, and at most half of them go on, as in sequential halving (Karnin, Koren and
/// Somekh 2013), but for `leastRacing`: the best of few are not told apart by a round.
public enum RaceRule {
    /// Items of the first round; each round has seen twice as many as the one before.
    public static let firstRound = 16
    /// One-sided, 2.5 %.
    public static let dropLimit = 1.96
    public static let leastRacing = 8
    /// Contestants of a kind that go to confirmation.
    public static let mostConfirmed = 5

    /// Places in `values` of those that go on, best first.
    /// - Parameters:
    ///   - values: [contestants][items]; a contestant with a value that is not finite leaves.
    ///   - field: how many began the round; nil: those of `values`.
    ///   - times: how often each item counts, as a resample draws it; nil: once. [items]
    public static func survivors(
        _ values: [[Double]], field: Int? = nil, times: [Double]? = nil
    ) -> [Int] {
        let items = values.first?.count ?? 0
        let times = times ?? [Double](repeating: 1, count: items)
        let count = times.reduce(0, +)
        guard count > 0 else { return Array(values.indices) }
        func mean(_ value: (Int) -> Double) -> Double {
            var sum = 0.0
            for item in 0..<items where times[item] > 0 { sum += times[item] * value(item) }
            return sum / count
        }
        let means = values.map { own in mean { own[$0] } }
        let ranked = means.indices.filter { means[$0].isFinite }
            .sorted { (-means[$0], $0) < (-means[$1], $1) }
        guard let leader = ranked.first else { return [] }
        let near = ranked.filter { place in
            let difference = means[place] - means[leader]
            guard count > 1 else { return true }
            var squares = 0.0
            for item in 0..<items where times[item] > 0 {
                let own = values[place][item] - values[leader][item] - difference
                squares += times[item] * own * own
            }
            let error = (squares / (count - 1) / count).squareRoot()
            return difference + dropLimit * error >= 0
        }
        return Array(near.prefix(max(leastRacing, (field ?? values.count) / 2)))
    }
}
