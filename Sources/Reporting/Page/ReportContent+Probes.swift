import Files
import Records

extension ReportContent {
    /// What linear probes read; nil when none were fitted.
    var probesSection: ReportSection? {
        guard let probes = layers.probes, !probes.tasks.isEmpty else { return nil }
        var body: Markup = """
            <p>A linear probe is fitted to the state of one token at each boundary and tested on examples \
            whose wording, names and numbers it never saw. Its <strong>control task</strong> gives \
            random labels to a property of the text (Hewitt and Liang 2019); \
            <strong>selectivity</strong> is accuracy less control accuracy. What a probe reads is there \
            to be read; whether the model uses it, only scans that change the state can show.</p>

            """
        if let plan = probes.plan {
            body += """
                <p class="note">The probes read the looped model \(plan): the boundaries below are those \
                of its \(probes.boundaries.count - 1) executed layers.</p>

                """
        }
        body += heatmap(probes)
        body += probeTable(probes)
        body += """
            <h3>Selectivity by task</h3>
            <p>The band is the 95 % bootstrap interval of selectivity.</p>
            <div class="pair">\(probes.tasks.enumerated().map { curves($1, index: $0, probes) })</div>

            """
        return ReportSection(
            id: "probes", title: "What linear probes read", short: "Probes", body: body)
    }

    /// Tasks in rows: reasoning first, then the user's own, then the controls.
    private func ordered(_ probes: ProbesRecord) -> [ProbesRecord.Task] {
        ["reasoning", "data", "surface"].flatMap { kind in
            probes.tasks.filter { $0.kind == kind }
        }
    }

    /// A task's name as a person writes it, with its difficulty.
    private func title(_ task: ProbesRecord.Task) -> String {
        task.path == nil ? task.name.replacing("_", with: " ") : task.name
    }

    private func place(_ boundary: Int, _ probes: ProbesRecord) -> String {
        let known = probes.boundaries.indices.contains(boundary) ? probes.boundaries[boundary] : nil
        guard let layer = known?.layer else { return "the embedding" }
        let pass = known?.iteration.map { ", pass \($0)" } ?? ""
        return "after layer \(layer)\(pass)"
    }

    private func heatmap(_ probes: ProbesRecord) -> Markup {
        let tasks = ordered(probes)
        let pictures = [("wide", 960.0), ("narrow", 440.0)].map { name, width -> Markup in
            let cells = tasks.enumerated().flatMap { index, task in
                task.ridge.enumerated().map { boundary, reading in
                    Heatmap.Cell(
                        column: boundary, row: tasks.count - 1 - index,
                        value: max(0, reading.selectivity.value),
                        tooltip: """
                            \(title(task)), boundary \(boundary) (\(place(boundary, probes)))
                            Selectivity: \(text(reading.selectivity))
                            Accuracy: \(text(reading.accuracy))
                            Control task: \(NumberText.significant(reading.controlAccuracy, digits: 3))
                            Most frequent label: \(NumberText.significant(task.majority, digits: 3))
                            """,
                        marked: task.readableAt == boundary)
                }
            }
            var map = Heatmap(
                frame: ChartFrame(
                    id: "probe-map-\(name)", title: "Selectivity of each task at each boundary",
                    summary: tasks.map { summary($0) }.joined(separator: " "),
                    xLabel: "Boundary (0 = embedding)", yLabel: "", width: width,
                    height: 76 + 24 * Double(tasks.count)),
                cells: cells, valueName: "Selectivity (below 0 as 0)")
            map.rowNames = tasks.reversed().map(title)
            return "<div class=\"\(name)\">\(map.svg())</div>"
        }
        return figure(
            "Where each task becomes readable",
            caption:
                "Darker: the probe reads more than its control task. Outlined: the first boundary "
                + "read better than the control task and the most frequent label, by both intervals, "
                + "and at least half as selectively as the best. "
                + "The controls stand at the bottom.",
            "\(pictures)")
    }

    private func summary(_ task: ProbesRecord.Task) -> String {
        guard let boundary = task.readableAt else { return "\(title(task)): not readable." }
        return "\(title(task)): readable from boundary \(boundary)."
    }

    private func text(_ interval: Interval) -> String {
        "\(NumberText.significant(interval.value, digits: 3)) "
            + "[\(NumberText.significant(interval.low, digits: 2)), "
            + "\(NumberText.significant(interval.high, digits: 2))]"
    }

    private func probeTable(_ probes: ProbesRecord) -> Markup {
        let rows = ordered(probes).map { task -> Markup in
            let best = task.ridge.indices.max {
                task.ridge[$0].selectivity.value < task.ridge[$1].selectivity.value
            }
            let reading = best.map { task.ridge[$0] }
            let depth = task.readableAt.map { "\($0)" } ?? "not readable"
            let note: Markup? =
                task.kind != "surface" && task.readableAt == 0
                ? " <small>in the embedding: surface</small>" : nil
            let difficulty = task.difficulty.map { ":\($0)" } ?? ""
            let logistic: Markup? =
                task.logistic.isEmpty
                ? nil
                : "<td>\(NumberText.significant(task.logistic.map(\.accuracy.value).max(), digits: 3))</td>"
            return """
                <tr><th scope="row" class="text">\(title(task))\(difficulty)</th>\
                <td class="text">\(task.kind)</td><td>\(task.test)</td>\
                <td>\(NumberText.significant(task.majority, digits: 3))</td>\
                <td class="text">\(depth)\(note)</td>\
                <td>\(best.map { "\($0)" } ?? "–")</td>\
                <td>\(reading.map { text($0.selectivity) } ?? "–")</td>\
                <td>\(reading.map { text($0.accuracy) } ?? "–")</td>\
                <td>\(NumberText.significant(reading?.macroF1, digits: 3))</td>\
                <td>\(NumberText.significant(reading?.compression, digits: 3))</td>\(logistic)</tr>

                """
        }
        let hasLogistic = probes.tasks.contains { !$0.logistic.isEmpty }
        let logistic: Markup? =
            hasLogistic ? "<th scope=\"col\" class=\"number\">Best logistic accuracy</th>" : nil
        return """
            <div class="scroll" tabindex="0" role="group" aria-label="Tasks"><table><thead><tr>\
            <th scope="col" class="text">Task</th><th scope="col" class="text">Kind</th>\
            <th scope="col">Tests</th><th scope="col" class="number">Most frequent label</th>\
            <th scope="col" class="text">Readable at</th><th scope="col" class="number">Best at</th>\
            <th scope="col" class="number">Selectivity there</th>\
            <th scope="col" class="number">Accuracy there</th>\
            <th scope="col" class="number">Macro-F1</th>\
            <th scope="col" class="number">Compression</th>\(logistic)</tr></thead>
            <tbody>\(rows)</tbody></table></div>
            <p class="note">In brackets 95 % intervals: Wilson's for accuracy, a bootstrap over items for \
            selectivity. The best boundary is chosen among many, so its figures flatter. Compression: bits \
            of the training labels in a uniform code over those in the probe's online code (Voita and \
            Titov 2020).</p>

            """
    }

    private func curves(_ task: ProbesRecord.Task, index: Int, _ probes: ProbesRecord) -> Markup {
        func points(_ value: (ProbesRecord.Reading) -> Double) -> [LineChart.Point] {
            task.ridge.enumerated().map { LineChart.Point(x: Double($0), y: value($1)) }
        }
        let selectivity = task.ridge.enumerated().map { boundary, reading in
            LineChart.Point(
                x: Double(boundary), y: reading.selectivity.value, low: reading.selectivity.low,
                high: reading.selectivity.high)
        }
        var chart = LineChart(
            frame: ChartFrame(
                id: "probe-\(index)", title: title(task), summary: summary(task),
                xLabel: "Boundary (0 = embedding)", yLabel: "share", height: 230),
            series: [
                .init(name: "Selectivity", tone: 1, points: selectivity),
                .init(name: "Accuracy", tone: 3, points: points { $0.accuracy.value }),
                .init(name: "Control", tone: 2, points: points { $0.controlAccuracy }),
            ], xName: "Boundary")
        chart.top = 1
        chart.references = [.y(task.majority, label: "Majority")]
        let depth = task.difficulty.map { " (\($0))" } ?? ""
        return figure("\(title(task))\(depth)", caption: summary(task), chart.svg())
    }
}
