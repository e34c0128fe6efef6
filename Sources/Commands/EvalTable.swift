import Evaluation
import Foundation
import Records
import Reporting

/// The table of `etd eval`: tasks by depth.
public enum EvalTable {
    public static func text(_ records: [ResultsRecord], style: TerminalStyle) -> String {
        guard let first = records.first else { return "" }
        var rows: [[String]] = []
        for task in first.tasks where task.isPrimary {
            rows.append(
                [task.name, task.format, task.metric, "\(task.items)"]
                    + records.map { record in
                        let found = record.tasks.first {
                            $0.name == task.name && $0.format == task.format && $0.isPrimary
                        }
                        return found.map { percent($0.value, $0.low, $0.high) } ?? ""
                    })
        }
        for best in first.olmesMaximum
        where first.tasks.count(where: { $0.name == best.name && $0.isPrimary }) > 1 {
            rows.append(
                [best.name, "OLMES maximum", "", "\(best.items)"]
                    + records.map { record in
                        record.olmesMaximum.first { $0.name == best.name }
                            .map { "\(percent($0.value)) (\($0.format))" } ?? ""
                    })
        }
        let table = TerminalTable(
            columns: [
                .init("Task"), .init("Format"), .init("Metric"), .init("Items", isNumeric: true),
            ] + records.map { .init($0.notation, isNumeric: true) }, rows: rows)
        var text = table.text(style: style)
        let cut = first.tasks.filter { $0.isPrimary && $0.truncated > 0 }
        for task in cut {
            text +=
                "\(task.name) (\(task.format)): \(task.truncated) items lost the start of their context\n"
        }
        for setting in first.settings {
            for note in setting.notes { text += "\(setting.name): \(note)\n" }
        }
        return text
    }

    static func percent(_ value: Double) -> String { fixed(100 * value) }

    static func percent(_ value: Double, _ low: Double, _ high: Double) -> String {
        "\(percent(value)) [\(percent(low)), \(percent(high))]"
    }

    static func fixed(_ value: Double, digits: Int = 1) -> String {
        String(format: "%.\(digits)f", value)
    }
}
