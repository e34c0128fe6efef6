import Records

/// A comparison of runs for the terminal.
public enum CompareTable {
    static let letters = ["A", "B", "C", "D"]

    public static func text(_ comparison: RunComparison, style: TerminalStyle) -> String {
        let runs = TerminalTable(
            columns: [
                .init(""), .init("Run"), .init("Model"), .init("Layers", isNumeric: true),
                .init("Tokens", isNumeric: true), .init("Precision"), .init("Plan"),
                .init("Split"), .init("Confidence", isNumeric: true),
            ],
            rows: comparison.runs.enumerated().map { index, run in
                [
                    letters[index], run.name, name(run.layers.model.path),
                    "\(run.layers.model.layers)", NumberText.grouped(run.layers.data.tokens),
                    run.layers.precision, run.layers.plan ?? "as it is", run.notation,
                    run.split?.confidence.map { NumberText.significant($0, digits: 2) } ?? "",
                ]
            })
        var text = runs.text(style: style)
        for index in comparison.runs.indices.dropFirst() {
            text += "\n\(letters[index]) less A\n"
            text += differences(comparison, index).text(style: style)
        }
        text +=
            "\nSpearman: rank correlation of the two curves. Clear of 0: places whose 95 % band of the difference, "
            + "for all places together, leaves 0 out.\n"
        for note in comparison.notes { text += "\(note)\n" }
        return text
    }

    static func name(_ path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }

    private static func differences(_ comparison: RunComparison, _ index: Int) -> TerminalTable {
        TerminalTable(
            columns: [
                .init("Metric"), .init("Spearman", isNumeric: true),
                .init("Mean size", isNumeric: true), .init("Greatest", isNumeric: true),
                .init("At"), .init("Clear of 0", isNumeric: true),
            ],
            rows: comparison.rows.map { row in
                let difference = row.differences[index - 1]
                let greatest = difference.greatest
                return [
                    row.title,
                    difference.correlation.map { NumberText.significant($0, digits: 3) } ?? "",
                    difference.meanSize.map { NumberText.significant($0, digits: 3) } ?? "",
                    greatest.map { NumberText.significant($0.value, digits: 3) } ?? "",
                    greatest.map { "\(row.place.rawValue) \($0.place)" } ?? "",
                    difference.clear.map { "\($0) of \(difference.values.count)" } ?? "",
                ]
            })
    }
}
