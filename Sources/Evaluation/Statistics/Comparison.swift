/// One task of two results, item by item.
public struct Comparison: Sendable, Equatable {
    public var name: String
    public var format: Benchmark.Format
    public var metric: Benchmark.Metric
    public var items: Int
    public var a: Interval
    public var b: Interval
    /// B - A, with the paired bootstrap's interval.
    public var difference: Interval
    /// Items that B alone has right, and A alone; nil for F1.
    public var gained: Int?
    public var lost: Int?
    /// nil for F1.
    public var mcnemar: Double?
    /// Benjamini and Hochberg's over all rows.
    public var q: Double?
    /// nil for a single item.
    public var detectable: Double?
    /// Pairs that would show the effect asked for; nil without one.
    public var needed: Int?

    /// What pairs by task, format and id, a row per task and format in the order of `a`.
    /// - Parameter effect: a difference of means that `needed` is reckoned for.
    public static func all(
        _ a: [EvaluatedItem], _ b: [EvaluatedItem], effect: Double? = nil
    ) -> [Comparison] {
        struct Key: Hashable {
            var task: String
            var format: Benchmark.Format
            var id: String
        }
        let other = Dictionary(
            b.map { (Key(task: $0.task, format: $0.format, id: $0.id), $0) },
            uniquingKeysWith: { first, _ in first })
        var pairs: [String: [(EvaluatedItem, EvaluatedItem)]] = [:]
        var order: [(row: String, task: String, format: Benchmark.Format)] = []
        for item in a {
            guard let match = other[Key(task: item.task, format: item.format, id: item.id)] else {
                continue
            }
            let row = "\(item.task) \(item.format.rawValue)"
            if pairs[row] == nil { order.append((row, item.task, item.format)) }
            pairs[row, default: []].append((item, match))
        }
        var rows = order.map {
            row($0.task, $0.format, pairs[$0.row] ?? [], effect: effect)
        }
        let q = PairedTests.benjaminiHochberg(rows.map(\.mcnemar))
        for index in rows.indices { rows[index].q = q[index] }
        return rows
    }

    private static func row(
        _ task: String, _ format: Benchmark.Format, _ pairs: [(EvaluatedItem, EvaluatedItem)],
        effect: Double?
    ) -> Comparison {
        let benchmark = BenchmarkRegistry.named(task)
        let averaging = benchmark?.averaging ?? .items
        let isShare = pairs.allSatisfy { $0.0.isShare && $0.1.isShare }
        let differences = pairs.map { $1.score - $0.score }
        let gained = isShare ? differences.count { $0 > 0 } : nil
        let lost = isShare ? differences.count { $0 < 0 } : nil
        var mcnemar: Double?
        if let gained, let lost { mcnemar = PairedTests.mcnemar(gained: gained, lost: lost) }
        return Comparison(
            name: task, format: format,
            metric: benchmark?.primaryMetric(format) ?? (isShare ? .exactMatch : .f1),
            items: pairs.count,
            a: ScoredItem.interval(pairs.map { ScoredItem($0.0, score: $0.0.score) }, averaging),
            b: ScoredItem.interval(pairs.map { ScoredItem($0.1, score: $0.1.score) }, averaging),
            difference: Bootstrap.interval(
                zip(pairs, differences).map { pair, difference in
                    Bootstrap.Item(
                        value: difference,
                        stratum: averaging == .subtasks ? pair.0.subtask ?? "" : "",
                        cluster: pair.0.cluster)
                }),
            gained: gained, lost: lost, mcnemar: mcnemar, q: nil,
            detectable: PairedTests.minimumDetectableEffect(differences),
            needed: effect.flatMap { PairedTests.itemsNeeded(differences, effect: $0) })
    }
}
