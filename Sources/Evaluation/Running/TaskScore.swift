/// A figure of one task, format and metric, with its 95 % interval.
public struct TaskScore: Sendable, Equatable {
    public var name: String
    public var group: String
    public var format: Benchmark.Format
    public var metric: Benchmark.Metric
    public var interval: Interval
    public var items: Int
    public var truncated: Int
    /// Whether the metric is OLMES's for the format.
    public var isPrimary: Bool

    public init(
        name: String, group: String, format: Benchmark.Format, metric: Benchmark.Metric,
        interval: Interval, items: Int, truncated: Int, isPrimary: Bool
    ) {
        self.name = name
        self.group = group
        self.format = format
        self.metric = metric
        self.interval = interval
        self.items = items
        self.truncated = truncated
        self.isPrimary = isPrimary
    }

    /// The scores of a benchmark's items, a row per format and metric.
    public static func all(_ benchmark: Benchmark, _ items: [EvaluatedItem]) -> [TaskScore] {
        benchmark.formats.flatMap { format -> [TaskScore] in
            let own = items.filter { $0.task == benchmark.name && $0.format == format }
            guard !own.isEmpty else { return [] }
            let primary = benchmark.primaryMetric(format)
            let metrics: [Benchmark.Metric]
            switch format {
            case .cloze:
                metrics =
                    [.raw, .perCharacter, .perToken]
                    + (own.allSatisfy { !$0.unconditional.isEmpty } ? [.unconditional] : [])
            case .letters: metrics = [.raw]
            case .generation: metrics = [primary]
            }
            return metrics.map { metric in
                let scored = own.map { item -> ScoredItem in
                    let score =
                        format == .generation
                        ? item.score : item.choice(metric) == item.gold.intValue ? 1 : 0
                    return ScoredItem(item, score: score)
                }
                return TaskScore(
                    name: benchmark.name, group: benchmark.group.rawValue, format: format,
                    metric: metric, interval: ScoredItem.interval(scored, benchmark.averaging),
                    items: own.count, truncated: own.count(where: \.isTruncated),
                    isPrimary: metric == primary)
            }
        }
    }
}

/// An item's score with what its interval needs.
struct ScoredItem {
    var score: Double
    var isShare: Bool
    var stratum: String
    var cluster: String

    init(_ item: EvaluatedItem, score: Double) {
        self.score = score
        isShare = item.isShare
        stratum = item.subtask ?? ""
        cluster = item.cluster
    }

    /// Wilson's interval for a share, the combined one for a mean over subtasks, the bootstrap's for F1.
    /// - Precondition: There are items.
    static func interval(_ items: [ScoredItem], _ averaging: Benchmark.Averaging) -> Interval {
        guard items.allSatisfy(\.isShare) else {
            return Bootstrap.interval(
                items.map {
                    Bootstrap.Item(
                        value: $0.score, stratum: averaging == .subtasks ? $0.stratum : "",
                        cluster: $0.cluster)
                })
        }
        func share(_ items: [ScoredItem]) -> Share {
            Share(right: items.count { $0.score == 1 }, items: items.count)
        }
        guard averaging == .subtasks else { return share(items).wilson }
        let own = Dictionary(grouping: items, by: \.stratum)
        return StratifiedInterval.macro(
            OrderedNames(items.map(\.stratum)).names.compactMap { own[$0].map(share) })
    }
}
