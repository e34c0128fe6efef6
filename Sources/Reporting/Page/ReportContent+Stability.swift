import Files
import Plans
import Records

/// How far the training choice depends on what was drawn and what was set.
extension ReportContent {
    /// How often resamples begin and end the think block where.
    func histograms(_ train: JSON?) -> Markup {
        func counts(_ name: String) -> [Int: Int] {
            Dictionary(
                (train?[name]?.objectValue ?? [:]).compactMap { key, value in
                    guard let layer = Int(key), let count = value.intValue else { return nil }
                    return (layer, count)
                }
            ) { first, _ in first }
        }
        let (starts, ends) = (counts("first_layers"), counts("last_layers"))
        let whole = Double(starts.values.reduce(0, +))
        guard whole > 0 else { return "" }
        func bars(_ id: String, _ title: String, _ counts: [Int: Int], _ tone: Int) -> Markup {
            let chart = BarChart(
                frame: ChartFrame(
                    id: id, title: title,
                    summary: "Share of resamples by layer.", xLabel: "Layer",
                    yLabel: "Share of resamples", height: 200),
                bars: (0..<max(1, layers.model.layers)).map {
                    .init(x: Double($0), y: Double(counts[$0] ?? 0) / whole)
                }, tone: tone, xName: "Layer", valueName: "Share of resamples")
            return figure(title, caption: "Of the best window in each resample.", chart.svg())
        }
        return """
            <div class="pair">\(bars("first-layers", "Where resamples begin the think block", starts, 1))\
            \(bars("last-layers", "Where resamples end it", ends, 2))</div>

            """
    }

    /// The training choice's loop against others of its cost.
    func rivalsTable(_ rivals: [JSON]) -> Markup {
        guard !rivals.isEmpty else { return "" }
        let rows = rivals.map { rival -> Markup in
            let start = rival["start"]?.intValue ?? 0
            let last = start &+ (rival["length"]?.intValue ?? 1) &- 1
            return """
                <tr><th scope="row" class="text">\(rival["kind"]?.stringValue ?? "") × \
                \(rival["iterations"]?.intValue ?? 0)</th><td class="text">\(start)–\(last)</td>\
                <td>\(number(rival["difference"]))</td>\
                <td>\(number(rival["low"])) to \(number(rival["high"]))</td></tr>

                """
        }
        return """
            <div class="scroll" tabindex="0" role="group" aria-label="Rivals of the best candidate"><table><thead>\
            <tr><th scope="col" class="text">Rival of the best candidate</th>\
            <th scope="col" class="text">Layers</th>\
            <th scope="col" class="number">Candidate minus rival</th>\
            <th scope="col" class="number">Band for all rivals</th></tr></thead>
            <tbody>\(rows)</tbody></table></div>
            <p class="note">Margin in nats on confirmation items, untrained, at the same number of executed layers.</p>

            """
    }

    /// Proposals by setting.
    func sweeps(_ sweeps: [JSON]) -> Markup {
        guard !sweeps.isEmpty else { return "" }
        let rows = sweeps.map { sweep -> Markup in
            """
            <tr><th scope="row" class="text">\(
                (sweep["selector"]?.stringValue ?? "").replacing("_", with: " "))</th>\
            <td class="text">\(sweep["setting"]?.stringValue ?? "")</td>\
            <td class="text">\(sweep["text"]?.stringValue ?? "this run's")</td>\
            <td class="text">\(sweep["proposal"]?.stringValue ?? "nothing")</td></tr>

            """
        }
        return """
            <details><summary>Other settings and texts</summary>
            <div class="scroll" tabindex="0" role="group" aria-label="Other settings"><table><thead><tr>\
            <th scope="col" class="text">Selector</th><th scope="col" class="text">Setting</th>\
            <th scope="col" class="text">Text</th><th scope="col" class="text">Proposal</th></tr></thead>
            <tbody>\(rows)</tbody></table></div></details>

            """
    }
}
