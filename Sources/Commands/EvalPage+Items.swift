import Evaluation
import Files
import Records
import Reporting

extension EvalPage {
    /// Characters of a question that the page shows, from its end: examples stand before it.
    private static let shownCharacters = 400

    /// The page of records with what changed between the first of them and the others.
    init(
        records: [ResultsRecord], overheads: [Double],
        audits: [(split: String, audits: [DepthAudit])], _ tasks: [PreparedTask],
        items: [[EvaluatedItem]]
    ) {
        var differences: [Difference] = []
        var flips: [Flip] = []
        var values: [Double?] = []
        for (record, own) in zip(records, items).dropFirst() {
            for row in Comparison.all(items[0], own) {
                values.append(row.mcnemar)
                differences.append(
                    Difference(
                        task: row.name, format: row.format.rawValue, notation: record.notation,
                        items: row.items, value: row.difference.value, low: row.difference.low,
                        high: row.difference.high, q: nil))
            }
            flips += Self.flips(items[0], own, notation: record.notation, tasks)
        }
        for (index, q) in PairedTests.benjaminiHochberg(values).enumerated() {
            differences[index].q = q
        }
        self.init(records: records, overheads: overheads, differences: differences, flips: flips)
        self.audits = audits.flatMap { own in
            own.audits.map { audit in
                Audit(
                    task: audit.task, format: audit.format.rawValue, split: own.split,
                    items: audit.items, depths: audit.depths, right: audit.right,
                    least: audit.least, never: audit.never, lost: audit.lost,
                    independent: audit.independent)
            }
        }
    }

    private static func flips(
        _ before: [EvaluatedItem], _ after: [EvaluatedItem], notation: String,
        _ tasks: [PreparedTask]
    ) -> [Flip] {
        func key(_ item: EvaluatedItem) -> String {
            "\(item.task) \(item.format.rawValue) \(item.id)"
        }
        let others = Dictionary(after.map { (key($0), $0) }) { first, _ in first }
        var documents: [String: BenchmarkDocument] = [:]
        for task in tasks {
            for document in task.documents {
                documents["\(task.benchmark.name) \(document.itemID)"] = document
            }
        }
        return before.compactMap { item in
            guard let other = others[key(item)], other.isShare, item.isShare,
                other.score != item.score,
                let document = documents["\(item.task) \(item.id)"]
            else { return nil }
            func answer(_ value: JSON) -> String {
                if let index = value.intValue, document.choices.indices.contains(index) {
                    return document.choices[index]
                }
                return shortened(value.stringValue ?? value.text(indent: 0))
            }
            return Flip(
                task: item.task, format: item.format.rawValue, notation: notation, id: item.id,
                question: shortened(
                    [document.passage, document.question].compactMap(\.self).joined(separator: "\n")
                ),
                before: answer(item.prediction), after: answer(other.prediction),
                gold: answer(item.gold), isGain: other.score > item.score)
        }
    }

    private static func shortened(_ text: String) -> String {
        text.count > shownCharacters ? "…" + text.suffix(shownCharacters) : text
    }
}
