import Activations
import CKernels
import Models
import Plans

/// A task whose labels and states stand in an activation dump, so that no model runs for it.
///
/// One example is a document with its last stored position, or, where a task labels tokens, a stored
/// position. The splits cut documents, by the hash of their ids: equal ones stay together. The control
/// task labels the document, or the token's id.
public struct DumpTask {
    public let data: ProbeTaskData
    /// The dump's row of each example.
    let rows: [Int]
    let file: ActivationFile

    /// One task for each member of `/labels`.
    /// - Parameter most: how many examples to take of each; more are left out at even distances.
    /// - Throws: `ProbeTaskError.data` for a dump that has no labels, or none that can be probed.
    public static func read(
        _ file: ActivationFile, most: Int
    ) throws(ProbeTaskError) -> [DumpTask] {
        guard !file.table.labels.isEmpty else {
            throw .data(
                path: file.path, problem: "holds no /labels; dump .jsonl lines with --labels")
        }
        var tasks: [DumpTask] = []
        for labels in file.table.labels {
            tasks.append(try DumpTask(file, labels, most: most))
        }
        return tasks
    }

    private struct Row {
        var row: Int
        var label: String
        var document: Int
    }

    private init(
        _ file: ActivationFile, _ labels: DumpTable.Labels, most: Int
    ) throws(ProbeTaskError) {
        func wrong(_ problem: String) -> ProbeTaskError {
            .data(path: file.path, problem: "/labels/\(labels.task) \(problem)")
        }
        let table = file.table
        /// nil where there is none, as for a BOS that was added.
        let texts: [String?]
        switch labels.values {
        case .integers(let values):
            texts = values.map { labels.perToken && $0 < 0 ? nil : String($0) }
        case .texts(let values): texts = values.map { labels.perToken && $0.isEmpty ? nil : $0 }
        case .numbers: throw wrong("holds fractions; a probe reads classes: texts or whole numbers")
        }
        var rows: [Row] = []
        for (index, text) in texts.enumerated() {
            guard let text else { continue }
            if labels.perToken {
                rows.append(Row(row: index, label: text, document: Int(table.documents[index])))
            } else if table.lengths[index] > 0 {
                rows.append(
                    Row(
                        row: Int(table.offsets[index] + table.lengths[index]) - 1, label: text,
                        document: index))
            }
        }
        if rows.count > most { rows = (0..<most).map { rows[$0 * rows.count / most] } }
        let classes = Set(rows.map(\.label)).sorted()
        guard classes.count > 1, rows.count >= 5 * classes.count else {
            throw wrong(
                "has \(rows.count) examples of \(classes.count) classes; a probe needs two classes or "
                    + "more, with at least 5 examples of each")
        }
        let splits = Self.splits(rows, table, byClass: !labels.perToken)
        let ordered = ProbeExample.Split.allCases.flatMap { split in
            rows.filter { splits[table.sha256[$0.document]] == split }
        }
        let training = rows.filter { splits[table.sha256[$0.document]] == .train }
        if let missing = Set(classes).subtracting(training.map(\.label)).sorted().first {
            throw wrong(
                "has the label \"\(missing)\" in no training document; give at least 5 of each")
        }
        for split in ProbeExample.Split.allCases
        where !ordered.contains(where: { splits[table.sha256[$0.document]] == split }) {
            throw wrong("has too few different documents: none is left for \(split.rawValue)")
        }
        self.file = file
        self.rows = ordered.map(\.row)
        data = ProbeTaskData(
            name: labels.task, kind: .data, difficulty: nil, path: file.path, classes: classes,
            examples: ordered.map { row in
                let hash = table.sha256[row.document]
                return ProbeExample(
                    text: table.texts?[row.document] ?? "", label: row.label, position: 0,
                    item: labels.perToken ? String(table.ids[row.row]) : hash,
                    split: splits[hash] ?? .train)
            })
    }

    /// Three fifths, one and one of the documents; within each class where documents have one.
    private static func splits(
        _ rows: [Row], _ table: DumpTable, byClass: Bool
    ) -> [String: ProbeExample.Split] {
        // A document that comes again belongs to the class it has first.
        var owner: [String: String] = [:]
        for row in rows where owner[table.sha256[row.document]] == nil {
            owner[table.sha256[row.document]] = byClass ? row.label : ""
        }
        var splits: [String: ProbeExample.Split] = [:]
        for (_, members) in Dictionary(grouping: owner.keys, by: { owner[$0] ?? "" }) {
            let ordered = members.map { (hash: StableHash.of($0), document: $0) }
                .sorted { ($0.hash, $0.document) < ($1.hash, $1.document) }
            let sizes = GeneratedTask.sizes(ordered.count)
            for (index, entry) in ordered.enumerated() {
                let first = sizes[.train] ?? 0
                let second = first + (sizes[.validation] ?? 0)
                splits[entry.document] =
                    index < first ? .train : index < second ? .validation : .test
            }
        }
        return splits
    }

    /// The examples' states at every boundary of a plan.
    ///
    /// Memory beside the store: a piece of one layer.
    /// - Throws: `ActivationError` where the dump lacks a boundary or holds a state that is not finite.
    public func features(_ plan: LayerPlan) throws(ActivationError) -> FeatureStore {
        let width = try file.site(Site.resid.rawValue).width
        let store = FeatureStore(
            boundaries: plan.steps.count + 1, rows: rows.count, width: width)
        let order = rows.indices.sorted { rows[$0] < rows[$1] }
        let most = max(1, (8 << 20) / (4 * width))
        for place in plan.places(.resid) {
            let out = store.boundary(place.index)
            var next = 0
            while next < order.count {
                // Rows that stand near each other are read together.
                let first = rows[order[next]]
                var end = next + 1
                while end < order.count, rows[order[end]] - first < most,
                    rows[order[end]] - rows[order[end - 1]] <= 16
                {
                    end += 1
                }
                let range = first..<rows[order[end - 1]] + 1
                var values = [Float](repeating: 0, count: range.count * width)
                try file.read(
                    place.dataSet, layer: place.number, tokens: range, into: &values)
                values.withUnsafeBufferPointer { values in
                    for index in order[next..<end] {
                        (out + index * width).update(
                            from: values.baseAddress! + (rows[index] - first) * width, count: width)
                    }
                }
                if let bad = order[next..<end].first(where: {
                    etd_all_finite(out + $0 * width, width) == 0
                }) {
                    throw .invalid(
                        path: file.path,
                        problem: "\(place.dataSet) of layer \(place.number) holds NaN or Inf at "
                            + "stored row \(rows[bad]), which a probe would read; make the dump again"
                    )
                }
                next = end
            }
        }
        return store
    }
}
