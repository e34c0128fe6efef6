import Evaluation
import Files
import Foundation
import Reporting

/// `etd eval --compare A B`: two results on the same items.
public struct CompareRun {
    let first: String
    let second: String
    let effect: Double?
    let json: Bool

    public init(first: String, second: String, effect: Double?, json: Bool) {
        self.first = first
        self.second = second
        self.effect = effect
        self.json = json
    }

    /// - Returns: what to print, and notes on items without a partner.
    public func run(style: TerminalStyle) throws -> (text: String, notes: [String]) {
        let a = try EvalFolder.read(first)
        let b = try EvalFolder.read(second)
        let rows = Comparison.all(a.items, b.items, effect: effect)
        guard !rows.isEmpty else {
            throw EvaluationError.noPairs(
                first: first, second: second,
                problem:
                    "0 of \(a.items.count) and \(b.items.count); they were made with other tasks or "
                    + "another --limit")
        }
        let pairs = rows.reduce(0) { $0 + $1.items }
        var notes: [String] = []
        if pairs < a.items.count || pairs < b.items.count {
            notes.append(
                "\(pairs) items pair; left out are \(a.items.count - pairs) of \(first) and "
                    + "\(b.items.count - pairs) of \(second)")
        }
        return (json ? report(rows).text() + "\n" : table(rows, style: style), notes)
    }

    private func report(_ rows: [Comparison]) -> JSON {
        func interval(_ interval: Interval) -> JSON {
            [
                "value": .number(interval.value), "low": .number(interval.low),
                "high": .number(interval.high),
            ]
        }
        return [
            "schema": "etd-comparison/v1", "a": .string(first), "b": .string(second),
            "effect": .number(effect),
            "tasks": .array(
                rows.map { row in
                    [
                        "name": .string(row.name), "format": .string(row.format.rawValue),
                        "metric": .string(row.metric.rawValue), "items": .number(row.items),
                        "a": interval(row.a), "b": interval(row.b),
                        "difference": .number(row.difference.value),
                        "low": .number(row.difference.low), "high": .number(row.difference.high),
                        "gained": .number(row.gained), "lost": .number(row.lost),
                        "mcnemar_p": .number(row.mcnemar), "q": .number(row.q),
                        "mde": .number(row.detectable), "items_needed": .number(row.needed),
                    ]
                }),
        ]
    }

    private func table(_ rows: [Comparison], style: TerminalStyle) -> String {
        func small(_ p: Double?) -> String {
            p.map { $0 < 0.001 ? "<0.001" : EvalTable.fixed($0, digits: 3) } ?? ""
        }
        func signed(_ value: Double) -> String {
            (value > 0 ? "+" : "") + EvalTable.percent(value)
        }
        let table = TerminalTable(
            columns: [
                .init("Task"), .init("Format"), .init("Items", isNumeric: true),
                .init("A", isNumeric: true), .init("B", isNumeric: true),
                .init("B - A", isNumeric: true), .init("Gained", isNumeric: true),
                .init("Lost", isNumeric: true), .init("McNemar p", isNumeric: true),
                .init("q", isNumeric: true), .init("Detectable", isNumeric: true),
            ] + (effect == nil ? [] : [.init("Items needed", isNumeric: true)]),
            rows: rows.map { row in
                let difference = row.difference
                return [
                    row.name, "\(row.format.rawValue) \(row.metric.rawValue)", "\(row.items)",
                    EvalTable.percent(row.a.value), EvalTable.percent(row.b.value),
                    "\(signed(difference.value)) [\(signed(difference.low)), "
                        + "\(signed(difference.high))]",
                    row.gained.map { "\($0)" } ?? "", row.lost.map { "\($0)" } ?? "",
                    small(row.mcnemar), small(row.q),
                    row.detectable.map { EvalTable.percent($0) } ?? "",
                    row.needed.map { "\($0)" } ?? "",
                ]
            })
        var text = "A: \(first)\nB: \(second)\n\n" + table.text(style: style)
        text +=
            "\nIn percent, with 95 % intervals of the paired bootstrap. q: Benjamini-Hochberg over the rows. "
            + "Detectable: the difference that this many items show with a power of 80 %.\n"
        if let effect {
            text +=
                "Items needed: to show a difference of \(EvalTable.percent(effect)) with that power.\n"
        }
        return text
    }
}
