import Records

/// One evaluation at one or several depths as a page: accuracy by task and depth with intervals, against what depth
/// costs, and which questions changed.
public struct EvalPage: Sendable {
    /// A task's difference between a depth and the first one, on the same items.
    public struct Difference: Sendable {
        public var task: String
        public var format: String
        public var notation: String
        public var items: Int
        public var value: Double
        public var low: Double
        public var high: Double
        /// Benjamini and Hochberg's over tasks and depths; nil for F1.
        public var q: Double?

        public init(
            task: String, format: String, notation: String, items: Int, value: Double, low: Double,
            high: Double, q: Double?
        ) {
            self.task = task
            self.format = format
            self.notation = notation
            self.items = items
            self.value = value
            self.low = low
            self.high = high
            self.q = q
        }
    }

    /// A question that one depth has right and the first one not, or the other way round.
    public struct Flip: Sendable {
        public var task: String
        public var format: String
        public var notation: String
        public var id: String
        public var question: String
        public var before: String
        public var after: String
        public var gold: String
        public var isGain: Bool

        public init(
            task: String, format: String, notation: String, id: String, question: String,
            before: String, after: String, gold: String, isGain: Bool
        ) {
            self.task = task
            self.format = format
            self.notation = notation
            self.id = id
            self.question = question
            self.before = before
            self.after = after
            self.gold = gold
            self.isGain = isGain
        }
    }

    /// Which depth the items of a task needed.
    public struct Audit: Sendable {
        public var task: String
        public var format: String
        public var split: String
        public var items: Int
        public var depths: [Int]
        /// Items right at each depth, and those whose least right depth it is.
        public var right: [Int]
        public var least: [Int]
        /// Items right at none, and those right before the greatest depth and wrong there.
        public var never: Int
        public var lost: Int
        /// The oracle's share, were depths right or wrong on their own.
        public var independent: Double

        public init(
            task: String, format: String, split: String, items: Int, depths: [Int], right: [Int],
            least: [Int], never: Int, lost: Int, independent: Double
        ) {
            self.task = task
            self.format = format
            self.split = split
            self.items = items
            self.depths = depths
            self.right = right
            self.least = least
            self.never = never
            self.lost = lost
            self.independent = independent
        }
    }

    /// The first is what the others are set against.
    public var records: [ResultsRecord]
    /// Executed layers over the model's, of each record.
    public var overheads: [Double]
    public var differences: [Difference]
    public var flips: [Flip]
    public var audits: [Audit] = []
    /// Questions that are shown of each task and depth, gains and losses each.
    public static let shownFlips = 10

    public init(
        records: [ResultsRecord], overheads: [Double], differences: [Difference], flips: [Flip]
    ) {
        self.records = records
        self.overheads = overheads
        self.differences = differences
        self.flips = flips
    }

    /// - Returns: the same bytes for the same content; loads nothing.
    public func html(createdBy: String) -> String {
        let model = records.first?.model.path.split(separator: "/").last.map(String.init) ?? ""
        let body: Markup = """
            <header>
            <p class="eyebrow">ETD evaluation</p>
            <h1><bdi>\(model)</bdi> at \(Prose.counted(records.count, "depth"))</h1>
            </header>
            <main>
            <section id="scores" aria-labelledby="scores-heading">
            <h2 id="scores-heading">Tasks by depth</h2>
            \(table)
            </section>
            \(curvesSection)\(differencesSection)\(auditSection)\(flipsSection)</main>
            <footer><p>Made by \(createdBy). This file is complete in itself and loads nothing.</p></footer>

            """
        return PageShell.page(
            title: "\(model) · ETD evaluation", style: "\(Stylesheet.report)", body: body,
            script: "\(Stylesheet.script)")
    }

    private var primary: [ResultsRecord.Task] {
        records.first?.tasks.filter(\.isPrimary) ?? []
    }

    private func task(_ row: ResultsRecord.Task, _ record: ResultsRecord) -> ResultsRecord.Task? {
        record.tasks.first { $0.name == row.name && $0.format == row.format && $0.isPrimary }
    }

    private static func percent(_ share: Double) -> String {
        NumberText.fixed(100 * share, digits: 1)
    }

    private var table: Markup {
        let heads = zip(records, overheads).map { record, overhead -> Markup in
            """
            <th scope="col" class="number">\(record.notation)<br/>\
            <small>\(NumberText.significant(overhead, digits: 3))× layers</small></th>
            """
        }
        let rows = primary.map { row -> Markup in
            let cells = records.map { record -> Markup in
                guard let found = task(row, record) else { return "<td>–</td>" }
                return """
                    <td>\(Self.percent(found.value)) <small>[\(Self.percent(found.low)), \
                    \(Self.percent(found.high))]</small></td>
                    """
            }
            return """
                <tr><th scope="row" class="text">\(row.name)</th><td class="text">\(row.format)</td>\
                <td class="text">\(row.metric)</td><td>\(row.items)</td>\(cells)</tr>

                """
        }
        let best = (records.first?.olmesMaximum ?? []).filter { best in
            primary.count { $0.name == best.name } > 1
        }.map { row -> Markup in
            let cells = records.map { record -> Markup in
                guard let found = record.olmesMaximum.first(where: { $0.name == row.name }) else {
                    return "<td>–</td>"
                }
                return "<td>\(Self.percent(found.value)) <small>\(found.format)</small></td>"
            }
            return """
                <tr><th scope="row" class="text">\(row.name)</th><td class="text" colspan="2">OLMES maximum</td>\
                <td>\(row.items)</td>\(cells)</tr>

                """
        }
        let notes = (records.first?.settings ?? []).flatMap { setting in
            setting.notes.map { note -> Markup in "<li>\(setting.name): \(note)</li>" }
        }
        let list: Markup? = notes.isEmpty ? nil : "<ul class=\"note\">\(notes)</ul>"
        return """
            <div class="scroll" tabindex="0" role="group" aria-label="Scores"><table><thead><tr>\
            <th scope="col" class="text">Task</th><th scope="col" class="text">Format</th>\
            <th scope="col" class="text">Metric</th><th scope="col">Items</th>\(heads)</tr></thead>
            <tbody>\(rows)\(best)</tbody></table></div>
            <p class="note">Per cent, with 95 % intervals. OLMES reports the better of two formats, chosen on the test \
            score; compare depths on one fixed format.</p>\(list)
            """
    }

    /// Accuracy against cost, and a curve for each task.
    private var curvesSection: Markup {
        guard records.count > 1 else { return "" }
        let means = records.map { record in
            let own = record.tasks.filter(\.isPrimary)
            return own.isEmpty ? Double.nan : own.reduce(0) { $0 + $1.value } / Double(own.count)
        }
        let points = zip(zip(records, overheads), means).map { pair, mean in
            ScatterChart.Point(
                x: pair.1, y: 100 * mean,
                name: "\(pair.0.notation)\nMean of all rows: \(Self.percent(mean)) %",
                isFilled: true)
        }
        let whole = ScatterChart(
            frame: ChartFrame(
                id: "cost", title: "Mean score against executed layers",
                summary: "\(records.count) depths.", xLabel: "Executed layers over the model's",
                yLabel: "Mean score, per cent", width: 960, height: 300), points: points, front: [],
            names: ("A depth", "", ""))
        let pictures = primary.map { row -> Markup in
            let lines = lines(row)
            var chart = LineChart(
                frame: ChartFrame(
                    id: "task-\(row.name)-\(row.format)", title: "\(row.name), \(row.format)",
                    summary: "Score by executed layers.",
                    xLabel: "Executed layers over the model's",
                    yLabel: "\(row.metric), per cent", height: 220),
                series: lines, xName: "Layers ×")
            chart.integerX = false
            chart.top = 100
            return """
                <figure><figcaption><h3>\(row.name), \(row.format)</h3></figcaption>\(chart.svg())</figure>

                """
        }
        return """
            <section id="curves" aria-labelledby="curves-heading">
            <h2 id="curves-heading">Against cost</h2>
            <figure><figcaption><h3>Mean score against executed layers</h3>\
            <p>The plain mean of the rows above.</p></figcaption>\(whole.svg())</figure>
            <div class="pair">\(pictures)</div>
            </section>

            """
    }

    /// A line for each split, from the model as it is through its depths.
    private func lines(_ row: ResultsRecord.Task) -> [LineChart.Series] {
        var splits: [String] = []
        var members: [String: [Int]] = [:]
        let bases = records.indices.filter { records[$0].split == nil }
        for index in records.indices {
            guard let split = records[index].split else { continue }
            if members[split.notation] == nil { splits.append(split.notation) }
            members[split.notation, default: []].append(index)
        }
        if splits.isEmpty {
            splits = [row.metric]
            members[row.metric] = []
        }
        return splits.enumerated().map { number, name in
            let places = (bases + (members[name] ?? [])).sorted {
                (overheads[$0], $0) < (overheads[$1], $1)
            }
            return LineChart.Series(
                name: name, tone: number % 4 + 1,
                points: places.compactMap { index in
                    task(row, records[index]).map { found in
                        // Bands of many lines would hide each other.
                        number == 0
                            ? .init(
                                x: overheads[index], y: 100 * found.value, low: 100 * found.low,
                                high: 100 * found.high)
                            : .init(x: overheads[index], y: 100 * found.value)
                    }
                })
        }
    }

    private var differencesSection: Markup {
        guard !differences.isEmpty, let first = records.first else { return "" }
        let rows = differences.map { row -> Markup in
            """
            <tr><th scope="row" class="text">\(row.task)</th><td class="text">\(row.format)</td>\
            <td class="text">\(row.notation)</td><td>\(row.items)</td>\
            <td>\(Self.percent(row.value))</td><td>\(Self.percent(row.low)) to \(Self.percent(row.high))</td>\
            <td>\(NumberText.significant(row.q, digits: 2))</td></tr>

            """
        }
        return """
            <section id="differences" aria-labelledby="differences-heading">
            <h2 id="differences-heading">Differences to \(first.notation)</h2>
            <div class="scroll" tabindex="0" role="group" aria-label="Differences"><table><thead><tr>\
            <th scope="col" class="text">Task</th><th scope="col" class="text">Format</th>\
            <th scope="col" class="text">Depth</th><th scope="col">Items</th>\
            <th scope="col" class="number">Difference</th><th scope="col" class="number">95 % interval</th>\
            <th scope="col">q</th></tr></thead>
            <tbody>\(rows)</tbody></table></div>
            <p class="note">Percentage points on the same items, paired bootstrap. q: McNemar's p after Benjamini and \
            Hochberg over all rows here; below .05, at most one in twenty such rows is expected to be chance.</p>
            </section>

            """
    }

    private var auditSection: Markup {
        guard let first = audits.first else { return "" }
        let depths = Set(audits.flatMap(\.depths)).sorted()
        let heads = depths.map { depth -> Markup in
            """
            <th scope="col" class="number">\(depth == first.depths[0] ? "k" : "first at k") = \
            \(depth)</th>
            """
        }
        let rows = audits.map { audit -> Markup in
            func share(_ count: Int) -> String {
                Self.percent(Double(count) / Double(max(1, audit.items)))
            }
            let cells = depths.map { depth -> Markup in
                let place = audit.depths.firstIndex(of: depth)
                return "<td>\(place.map { share(audit.least[$0]) } ?? "–")</td>"
            }
            return """
                <tr><th scope="row" class="text">\(audit.task)</th><td class="text">\(audit.format)</td>\
                <td class="text">\(audit.split)</td><td>\(audit.items)</td>\(cells)\
                <td>\(share(audit.never))</td><td>\(share(audit.right.max() ?? 0))</td>\
                <td>\(share(audit.items - audit.never))</td><td>\(Self.percent(audit.independent))</td>\
                <td>\(share(audit.lost))</td></tr>

                """
        }
        return """
            <section id="audit" aria-labelledby="audit-heading">
            <h2 id="audit-heading">Which depth items need</h2>
            <div class="scroll" tabindex="0" role="group" aria-label="Depth audit"><table><thead><tr>\
            <th scope="col" class="text">Task</th><th scope="col" class="text">Format</th>\
            <th scope="col" class="text">Split</th><th scope="col">Items</th>\(heads)\
            <th scope="col" class="number">Never</th><th scope="col" class="number">Best fixed k</th>\
            <th scope="col" class="number">Oracle</th>\
            <th scope="col" class="number">Oracle of chance</th>\
            <th scope="col" class="number">Lost by the deepest</th></tr></thead>
            <tbody>\(rows)</tbody></table></div>
            <p class="note">Per cent of the items. The oracle stops each item at a depth that is right, if there is one: no rule \
            can do better, and it takes lucky guesses too. The oracle of chance is what it would reach if depths were right or \
            wrong on their own; far below it, depths agree on what they know. Lost: right at a lesser depth, wrong at the \
            greatest.</p>
            </section>

            """
    }

    private var flipsSection: Markup {
        guard !flips.isEmpty else { return "" }
        var seen: Set<String> = []
        let groups = flips.map { "\($0.task), \($0.format), \($0.notation)" }
            .filter { seen.insert($0).inserted }
        let parts = groups.map { group -> Markup in
            let own = flips.filter { "\($0.task), \($0.format), \($0.notation)" == group }
            let lists = [true, false].map { isGain -> Markup in
                let some = own.filter { $0.isGain == isGain }
                guard !some.isEmpty else { return "" }
                let rows = some.prefix(Self.shownFlips).map { flip -> Markup in
                    """
                    <tr><th scope="row" class="text">\(flip.id)</th><td class="text wrap">\(flip.question)</td>\
                    <td class="text wrap">\(flip.before)</td><td class="text wrap">\(flip.after)</td>\
                    <td class="text wrap">\(flip.gold)</td></tr>

                    """
                }
                return """
                    <h4>\(isGain ? "Wrong, then right" : "Right, then wrong"): \
                    \(Prose.counted(some.count, "question"))</h4>
                    <div class="scroll" tabindex="0" role="group" aria-label="Questions"><table><thead><tr>\
                    <th scope="col" class="text">Item</th><th scope="col" class="text">Question</th>\
                    <th scope="col" class="text">Answer before</th><th scope="col" class="text">Answer after</th>\
                    <th scope="col" class="text">Right answer</th></tr></thead>
                    <tbody>\(Array(rows))</tbody></table></div>

                    """
            }
            return "<details><summary>\(group)</summary>\(lists)</details>\n"
        }
        return """
            <section id="flips" aria-labelledby="flips-heading">
            <h2 id="flips-heading">Questions that changed</h2>
            <p>The first \(Self.shownFlips) of each kind; items.jsonl has all.</p>
            \(parts)</section>

            """
    }
}
