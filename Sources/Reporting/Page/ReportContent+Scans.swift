import Files
import Records

/// What skipping or repeating windows of layers does.
extension ReportContent {
    /// nil without a scan in the run's folder.
    var scansSection: ReportSection? {
        guard let scans, !scans.windows.isEmpty else { return nil }
        let items = scans.items.map { "\($0.count) items" } ?? "no items"
        let tokens =
            scans.text.map { "\(NumberText.grouped($0.count)) tokens of text" } ?? "no text"
        var body: Markup = """
            <p>Each window of layers was skipped or run several times, on \(items) and \(tokens). \
            Margin: log P of the right option less that of the best other. Search rows chose the windows \
            and flatter them; confirmation rows saw other items.</p>

            """
        if !scans.isComplete {
            body += """
                <p class="note">The scan was stopped by its budget: \(scans.notRun) windows have not \
                run.</p>

                """
        }
        body += bestWindows(scans)
        for kind in kinds(scans) { body += maps(kind, scans) }
        if let dynamics = dynamicsFigure(scans) { body += dynamics }
        if let effect = skipEffectFigure(scans) { body += effect }
        return ReportSection(
            id: "scans", title: "What skipping and looping does", short: "Scans", body: body)
    }

    private struct Kind: Hashable {
        var name: String
        var iterations: Int?
        var title: String { name.capitalized + (iterations.map { " × \($0)" } ?? "") }
    }

    private func kinds(_ scans: ScansRecord) -> [Kind] {
        var seen: Set<Kind> = []
        return scans.windows.map { Kind(name: $0.kind, iterations: $0.iterations) }
            .filter { seen.insert($0).inserted }
    }

    private func name(_ window: ScansRecord.Window) -> String {
        let last = window.start + window.length - 1
        return window.length == 1 ? "\(window.start)" : "\(window.start)–\(last)"
    }

    /// The best of each kind, confirmation rows where there are any.
    private func bestWindows(_ scans: ScansRecord) -> Markup {
        let hasItems = scans.items != nil
        func rank(_ window: ScansRecord.Window) -> Double {
            hasItems
                ? window.change.margin.mean ?? -.infinity
                : -(window.change.nll.mean ?? .infinity)
        }
        let rows = kinds(scans).flatMap { kind -> [Markup] in
            let own = scans.windows.filter {
                $0.kind == kind.name && $0.iterations == kind.iterations
            }
            let stage = own.contains { $0.stage == "confirm" } ? "confirm" : "search"
            return own.filter { $0.stage == stage }.sorted { rank($0) > rank($1) }.prefix(3).map {
                window in
                func cell(_ value: Estimate) -> Markup {
                    "<td>\(NumberText.estimate(value.mean, value.standardError))</td>"
                }
                return """
                    <tr><th scope="row" class="text">\(kind.title)</th>\
                    <td class="text">\(name(window))</td><td class="text">\(window.stage)</td>\
                    <td>\(window.items)</td>\(cell(window.change.margin))\
                    \(cell(window.change.accuracy))\(cell(window.change.nll))</tr>

                    """
            }
        }
        return """
            <div class="scroll" tabindex="0" role="group" aria-label="The best windows"><table><thead>\
            <tr><th scope="col" class="text">Kind</th><th scope="col" class="text">Layers</th>\
            <th scope="col" class="text">Items of the</th><th scope="col">Items</th>\
            <th scope="col" class="number">Δ margin</th><th scope="col" class="number">Δ accuracy</th>\
            <th scope="col" class="number">Δ NLL of text</th></tr></thead>
            <tbody>\(rows)</tbody></table></div>
            <p class="note">The three best windows of each kind against the model as it is, ± one \
            standard error. Nats; NLL per token, where more is worse.</p>

            """
    }

    private func maps(_ kind: Kind, _ scans: ScansRecord) -> Markup {
        let own = scans.windows.filter {
            $0.kind == kind.name && $0.iterations == kind.iterations && $0.stage == "search"
        }
        guard own.count > 1 else { return "" }
        let id = "scan-\(kind.name)-\(kind.iterations ?? 0)"
        func map(
            _ part: String, _ title: String, _ value: (ScansRecord.Window) -> Estimate
        ) -> Markup? {
            let cells = own.compactMap { window -> Heatmap.Cell? in
                guard let mean = value(window).mean else { return nil }
                return Heatmap.Cell(
                    column: window.start, row: window.length, value: mean,
                    tooltip: "Layers \(name(window)): "
                        + NumberText.estimate(mean, value(window).standardError),
                    marked: false)
            }
            guard !cells.isEmpty else { return nil }
            let lengths = Set(cells.map(\.row)).count
            let heat = Heatmap(
                frame: ChartFrame(
                    id: "\(id)-\(part)", title: "\(kind.title): \(title)",
                    summary: "\(cells.count) windows.", xLabel: "First layer",
                    yLabel: "Length", height: 96 + 22 * Double(lengths)),
                cells: cells, valueName: title)
            return figure(
                "\(kind.title): \(title)",
                caption: "By first layer and number of layers. Darker: greater.", heat.svg())
        }
        let pictures = [
            map("margin", "Δ margin in nats") { $0.change.margin },
            map("nll", "Δ NLL of text in nats per token") { $0.change.nll },
            map("residual", "Δ margin beyond what text explains") {
                Estimate(mean: $0.residual, standardError: nil)
            },
        ].compactMap(\.self)
        return "<div class=\"pair\">\(pictures)</div>"
    }

    private func dynamicsFigure(_ scans: ScansRecord) -> Markup? {
        guard let passes = scans.dynamics.map(\.change.count).max(), passes > 1 else { return nil }
        // The windows that lie closest to standing still at the last pass, and furthest.
        let finished = scans.dynamics.compactMap { window -> (Double, ScansRecord.Dynamics)? in
            guard let last = window.change.last, let last else { return nil }
            return (last, window)
        }
        let ranked = finished.sorted { $0.0 < $1.0 }.map(\.1)
        guard let least = ranked.first, let most = ranked.last else { return nil }
        let middle = ranked[ranked.count / 2]
        func series(_ name: String, _ tone: Int, _ window: ScansRecord.Dynamics) -> LineChart.Series
        {
            let last = window.start + window.length - 1
            return LineChart.Series(
                name: "\(name) (layers \(window.start)–\(last))", tone: tone,
                points: window.change.enumerated().map { .init(x: Double($0 + 1), y: $1) })
        }
        let chart = LineChart(
            frame: ChartFrame(
                id: "scan-dynamics", title: "Loop dynamics", summary: "\(ranked.count) windows.",
                xLabel: "Pass k", yLabel: "‖T^k h − T^(k−1) h‖ / ‖h‖"),
            series: [
                series("Least", 1, least), series("Median", 2, middle), series("Most", 3, most),
            ], xName: "Pass")
        let picture = figure(
            "How far each pass moves the state",
            caption:
                "Falling: the block contracts. Level: it cycles or drifts. Rising: it runs away. "
                + "All windows stand in scans.json and evidence.h5.", chart.svg())
        return "<div class=\"pair\">\(picture)</div>"
    }

    private func skipEffectFigure(_ scans: ScansRecord) -> Markup? {
        guard let map = scans.skipEffect, map.count > 2 else { return nil }
        let cells = map.enumerated().flatMap { skipped, row in
            row.enumerated().compactMap { later, value -> Heatmap.Cell? in
                guard let value, later > skipped else { return nil }
                return Heatmap.Cell(
                    column: later, row: skipped, value: min(value, 1),
                    tooltip: "Layer \(skipped) skipped, layer \(later) adds otherwise by "
                        + NumberText.significant(value, digits: 3), marked: false)
            }
        }
        let heat = Heatmap(
            frame: ChartFrame(
                id: "skip-effect", title: "Effect of a skipped layer on later ones",
                summary: "\(map.count) layers.", xLabel: "Later layer", yLabel: "Skipped layer",
                height: 360),
            cells: cells,
            valueName: "Relative change")
        let picture = figure(
            "Which later layers depend on a layer",
            caption:
                "Change of what the later layer adds: mean over positions of ‖u − u′‖/‖u‖, 1 and more as 1 "
                + "(Csordás et al., arXiv 2505.13898).", heat.svg())
        return "<div class=\"pair\">\(picture)</div>"
    }
}
