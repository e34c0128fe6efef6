import Files

/// Which depth each item needed: what the best possible rule for stopping could gain on one task.
///
/// The oracle of an item is the least number of passes that is right. It chooses on the answer, so it also takes every
/// lucky guess of several tries; `independent` says what it would reach if depths guessed alone.
public struct DepthAudit: Sendable, Equatable {
    public var task: String
    public var format: Benchmark.Format
    /// Passes of the think block, ascending; 1 is the model as it is.
    public var depths: [Int]
    public var items: Int
    /// Items right at each depth.
    public var right: [Int]
    /// Items whose least right depth it is.
    public var least: [Int]
    /// Items wrong at all of them.
    public var never: Int
    /// Items right at a lesser depth and wrong at the greatest.
    public var lost: Int

    /// The share that is right at some depth, with Wilson's interval.
    public var oracle: Interval { Share(right: items - never, items: items).wilson }

    /// 1 - Π (1 - p_k): the oracle's share, were items right at one depth whatever they are at another.
    public var independent: Double {
        1 - right.reduce(1) { $0 * (1 - Double($1) / Double(items)) }
    }

    /// The mean least depth of items that are right at some; nil where none is.
    public var meanLeast: Double? {
        guard never < items else { return nil }
        let sum = zip(depths, least).reduce(0) { $0 + $1.0 * $1.1 }
        return Double(sum) / Double(items - never)
    }

    /// Audits of all tasks and formats whose scores are right or wrong, in the order of the items, over those
    /// that every depth has.
    /// - Parameter runs: items of each depth of one split, the model as it is among them.
    public static func all(_ runs: [(passes: Int, items: [EvaluatedItem])]) -> [DepthAudit] {
        let sorted = runs.sorted { $0.passes < $1.passes }
        guard sorted.count > 1 else { return [] }
        func key(_ item: EvaluatedItem) -> String {
            "\(item.task) \(item.format.rawValue) \(item.id)"
        }
        let known = sorted.map { run in
            Dictionary(run.items.filter(\.isShare).map { (key($0), $0.score == 1) }) { $1 }
        }
        var audits: [DepthAudit] = []
        for item in sorted[0].items where item.isShare {
            let outcomes = known.compactMap { $0[key(item)] }
            guard outcomes.count == sorted.count else { continue }
            let place =
                audits.firstIndex { $0.task == item.task && $0.format == item.format }
                ?? {
                    audits.append(
                        DepthAudit(
                            task: item.task, format: item.format, depths: sorted.map(\.passes),
                            items: 0, right: sorted.map { _ in 0 }, least: sorted.map { _ in 0 },
                            never: 0, lost: 0))
                    return audits.count - 1
                }()
            audits[place].add(outcomes)
        }
        return audits
    }

    private mutating func add(_ outcomes: [Bool]) {
        items += 1
        for (depth, isRight) in outcomes.enumerated() where isRight { right[depth] += 1 }
        if let first = outcomes.firstIndex(of: true) {
            least[first] += 1
            if outcomes.last == false { lost += 1 }
        } else {
            never += 1
        }
    }

    public var json: JSON {
        [
            "task": .string(task), "format": .string(format.rawValue), "items": .number(items),
            "depths": .array(depths.map { .number($0) }),
            "right": .array(right.map { .number($0) }),
            "least_right_depth": .array(least.map { .number($0) }), "never_right": .number(never),
            "lost_at_greatest_depth": .number(lost),
            "oracle": [
                "value": .number(oracle.value), "low": .number(oracle.low),
                "high": .number(oracle.high),
            ],
            "oracle_if_independent": .number(independent),
            "mean_least_depth": .number(meanLeast),
        ]
    }
}
