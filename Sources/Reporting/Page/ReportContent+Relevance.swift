import Files
import Records

/// READ and USE: what becomes readable at each layer, and what the model relies on.
extension ReportContent {
    /// nil where they were not measured.
    var relevanceSection: ReportSection? {
        guard let relevance = layers.relevance else { return nil }
        var body: Markup = """
            <p><strong>READ</strong>: bits by which a layer makes the answer easier to read than its foil, \
            the answer to another question on the same text. <strong>USE</strong>: nats of log-odds that \
            the items lose when the layer is skipped, beyond what a layer that costs plain text as much \
            costs them. The two are never merged: what can be read need not be used.</p>

            """
        body += "<ul>\(Self.findings(layers).map { line -> Markup in "<li>\(line)</li>" })</ul>"
        if !relevance.isComplete {
            body += "<p class=\"note\">The time was over before all parts had run.</p>"
        }
        body += gateTable(relevance)
        let read = scoreChart(
            "read", "READ by layer", "bits",
            [
                ("READ", "read_bits"), ("Wordings not seen", "read_by_template_bits"),
                ("Retrieval", "read_value_bits"),
            ],
            "Band: 95 % for all layers together, from \(relevance.read?.swaps ?? 0) swaps of label and "
                + "foil. Wordings not seen: the same where the probes were fitted to other templates. "
                + "Retrieval: bits gained on the label alone.")
        let use = scoreChart(
            "use", "USE by layer", "nats",
            [("USE", "use"), ("On knowledge", "use_knowledge")],
            "Above 0: relied on. Bands: 95 % for all layers together, over items. Layers without which text "
                + "breaks down lie outside the fit and are left out.")
        let damage = scoreChart(
            "use-parts", "What skipping a layer does", "nats",
            [("Items' log-odds", "use_damage"), ("Text's NLL", "use_text_damage")],
            "The mean change of the items' log-odds and of plain text's negative log-probability per "
                + "token when the layer is skipped. USE is what the first has beyond a line through the "
                + "second.")
        body += "<div class=\"pair\">\(read)\(use)\(damage)</div>"
        return ReportSection(
            id: "relevance", title: "Which layers are read, and which are used", short: "Relevance",
            body: body)
    }

    /// What was found, and what could not have been seen, in sentences.
    package static func findings(_ layers: LayersRecord) -> [String] {
        guard let relevance = layers.relevance else { return [] }
        let passed = relevance.trials.filter(\.passed)
        guard passed.contains(where: { $0.task != "knowledge" }) else {
            return [
                "No reasoning task passes the gate: this model does none of them better than "
                    + "guessing, so nothing was read and nothing scanned. Bring items that it does: "
                    + "`etd-analyze scan --items FILE`, or a larger model."
            ]
        }
        func number(_ value: Double?) -> String { NumberText.significant(value, digits: 2) }
        func list(
            _ name: String, of chosen: [Int]? = nil, _ isChosen: (Double) -> Bool
        ) -> String {
            let found = layers.layers.filter { layer in
                guard chosen?.contains(layer.index) ?? true else { return false }
                guard let p = layer.scores[name + "_p"] ?? nil, p <= 0.05,
                    let value = layer.scores[name] ?? nil
                else { return false }
                return isChosen(value)
            }
            return found.map { layer in
                "\(layer.index) (\(number(layer.scores[name] ?? nil)), p "
                    + "\(number(layer.scores[name + "_p"] ?? nil)))"
            }.joined(separator: ", ")
        }
        var lines: [String] = []
        if let read = relevance.read {
            let found = list("read_bits") { $0 > 0 }
            let basis = "\(read.tasks.joined(separator: " and ")), \(read.items) items"
            lines.append(
                (found.isEmpty
                    ? "Read: no layer is clear of what swapped foils give (\(basis))."
                    : "Read: layer \(found) (\(basis)).")
                    + " A layer's READ below \(number(read.detectable)) bits would mostly not be seen."
            )
        }
        for (name, use, noun) in [
            ("use", relevance.use, "Used"),
            ("use_knowledge", relevance.knowledge, "Used for facts"),
        ] {
            guard let use else { continue }
            // Beyond the fit USE is an extrapolation.
            let found = list(name, of: use.fitted) { $0 > 0 }
            let against = list(name, of: use.fitted) { $0 < 0 }
            var line =
                found.isEmpty
                ? "\(noun): no layer stands out of the line through text damage"
                : "\(noun): layer \(found)"
            line += " (\(use.tasks.joined(separator: " and ")), \(use.items) items)."
            if !against.isEmpty { line += " Skipping helps more than text says: layer \(against)." }
            line += " A USE below \(number(use.detectable)) nats would mostly not be seen."
            if let rho = use.halfCorrelation {
                line +=
                    " The two halves of the items agree by a rank correlation of \(number(rho))."
            }
            lines.append(line)
        }
        let failed = Set(relevance.trials.map(\.task)).subtracting(passed.map(\.task)).sorted()
        if !failed.isEmpty {
            lines.append(
                "Not done by this model, and left out: \(failed.joined(separator: ", ")).")
        }
        for reason in relevance.read?.unread ?? [] { lines.append("Not read: \(reason).") }
        return lines
    }

    private func gateTable(_ relevance: RelevanceRecord) -> Markup {
        let rows = relevance.trials.map { trial -> Markup in
            let level = trial.difficulty.map { ":\($0)" } ?? ""
            let z = trial.information.mean.flatMap { mean in
                trial.information.standardError.map { $0 > 0 ? mean / $0 : 0 }
            }
            return """
                <tr><th scope="row" class="text">\(trial.task)\(level)</th><td>\(trial.shots)</td>\
                <td>\(trial.items)</td><td>\(NumberText.significant(trial.accuracy, digits: 3))</td>\
                <td>\(NumberText.estimate(trial.information.mean, trial.information.standardError))</td>\
                <td>\(NumberText.significant(z, digits: 2))</td>\
                <td class="text">\(trial.passed ? "done" : "not done")</td></tr>

                """
        }
        return """
            <div class="scroll" tabindex="0" role="group" aria-label="The gate"><table><thead><tr>\
            <th scope="col" class="text">Task</th><th scope="col">Examples</th>\
            <th scope="col">Items</th><th scope="col" class="number">Accuracy</th>\
            <th scope="col" class="number">Nats on guessing</th><th scope="col" class="number">z</th>\
            <th scope="col" class="text">By this model</th></tr></thead>
            <tbody>\(rows)</tbody></table></div>
            <p class="note">The gate: a task counts where the model's calibrated answers have information, \
            z above 3. A level that is clearly without it is given up after 50 items.</p>

            """
    }

    private func scoreChart(
        _ id: String, _ title: String, _ unit: String, _ lines: [(name: String, score: String)],
        _ caption: String
    ) -> Markup? {
        let series = lines.enumerated().compactMap { tone, line -> LineChart.Series? in
            let use: RelevanceRecord.Use? =
                line.score == "use"
                ? layers.relevance?.use
                : line.score == "use_knowledge" ? layers.relevance?.knowledge : nil
            let points = layers.layers.map { layer in
                let x = Double(layer.index)
                if let use, !use.fitted.contains(layer.index) {
                    return LineChart.Point(x: x, y: nil)
                }
                guard let value = layer.scores[line.score] ?? nil else {
                    return LineChart.Point(x: x, y: nil)
                }
                return LineChart.Point(
                    x: x, y: value, low: (layer.scores[line.score + "_low"] ?? nil) ?? .nan,
                    high: (layer.scores[line.score + "_high"] ?? nil) ?? .nan)
            }
            guard points.contains(where: { $0.y != nil }) else { return nil }
            return LineChart.Series(name: line.name, tone: tone + 1, points: points)
        }
        guard let first = series.first else { return nil }
        let top = first.points.max { ($0.y ?? -.infinity) < ($1.y ?? -.infinity) }
        var chart = LineChart(
            frame: ChartFrame(
                id: "relevance-\(id)", title: title,
                summary: "\(first.name): greatest \(NumberText.significant(top?.y)) at layer "
                    + "\(Int(nearest: top?.x ?? 0)).",
                xLabel: "Layer", yLabel: unit, zones: zones(.layers)),
            series: series, xName: "Layer")
        chart.padding = 0.5
        return figure(title, caption: caption, chart.svg())
    }
}
