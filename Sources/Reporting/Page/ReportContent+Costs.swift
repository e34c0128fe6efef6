import Files
import Plans
import Records

/// What loops gain for what they cost.
extension ReportContent {
    /// Every looped window over its executed layers, and the front of those that no cheaper one beats.
    func frontPicture(_ offers: [JSON]) -> Markup {
        let table = frontTable(offers)
        let windows = (scans?.windows ?? []).filter { ($0.iterations ?? 1) > 1 }
        let depth = Double(max(1, layers.model.layers))
        let points = windows.compactMap { window -> ScatterChart.Point? in
            guard let change = window.change.margin.mean, let iterations = window.iterations else {
                return nil
            }
            let overhead = (depth + Double(window.length * (iterations - 1))) / depth
            let last = window.start + window.length - 1
            let stage = window.stage == "confirm" ? "confirmation" : "search"
            return ScatterChart.Point(
                x: overhead, y: change,
                name: "\(window.kind) of layers \(window.start)–\(last) × \(iterations)\n"
                    + "Δ margin \(NumberText.significant(change, digits: 3)) on \(window.items) \(stage) items",
                isFilled: window.stage == "confirm")
        }
        guard points.count > 2 else { return table }
        let isConfirmed = points.contains { $0.isFilled }
        let own = offers.filter { $0["confirmed"]?.boolValue == isConfirmed }
        let front = own.compactMap { offer -> (x: Double, y: Double)? in
            guard let x = offer["overhead"]?.doubleValue, let y = offer["margin_delta"]?.doubleValue
            else { return nil }
            return (x, y)
        }
        // Windows that break the model would leave no room for those that help.
        let floor = -2 * max(points.map(\.y).max() ?? 0, 0.1)
        let shown = points.filter { $0.y >= floor }
        let below = points.count - shown.count
        let model = ScatterChart.Point(
            x: 1, y: 0, name: "The model as it is", isFilled: isConfirmed)
        let chart = ScatterChart(
            frame: ChartFrame(
                id: "front", title: "Gain against executed layers",
                summary:
                    "\(points.count) looped windows; the table below has those that no cheaper one beats.",
                xLabel: "Executed layers over the model's", yLabel: "Δ margin in nats", width: 960,
                height: 340),
            points: [model] + shown, front: [(x: 1, y: 0)] + front,
            names: ("Confirmation items", "Search items", "No cheaper window beats it"))
        let picture = figure(
            "What more layers buy",
            caption: "A point for each looped window. Search items flatter the best of many."
                + (below > 0
                    ? " \(Prose.counted(below, "window")) below "
                        + "\(NumberText.significant(floor, digits: 2)) nats not drawn." : ""),
            chart.svg())
        return picture + table
    }

    /// Looped windows that no cheaper one beats.
    private func frontTable(_ offers: [JSON]) -> Markup {
        guard !offers.isEmpty else { return "" }
        let rows = offers.prefix(12).map { offer -> Markup in
            let start = offer["start"]?.intValue ?? 0
            let last = start &+ (offer["length"]?.intValue ?? 1) &- 1
            let isConfirmed = offer["confirmed"]?.boolValue == true
            return """
                <tr><th scope="row" class="text">\(offer["kind"]?.stringValue ?? "") × \
                \(offer["iterations"]?.intValue ?? 0)</th><td class="text">\(start)–\(last)</td>\
                <td>\(number(offer["overhead"]))×</td><td>\(number(offer["margin_delta"]))</td>\
                <td class="text">\(isConfirmed ? "confirmation" : "search")</td></tr>

                """
        }
        return """
            <div class="scroll" tabindex="0" role="group" aria-label="Gain against cost"><table><thead>\
            <tr><th scope="col" class="text">Loop</th><th scope="col" class="text">Layers</th>\
            <th scope="col" class="number">Executed layers</th>\
            <th scope="col" class="number">Δ margin</th><th scope="col" class="text">Items</th></tr></thead>
            <tbody>\(rows)</tbody></table></div>
            <p class="note">Windows that no other beats at the same cost or less (the Pareto front), of those \
            with a gain. Gains on search items flatter: the best of many was chosen on them.</p>

            """
    }

    /// The best window's gain by how often it runs.
    func iterationCurve(_ windows: [JSON]) -> Markup {
        guard windows.count > 1, let first = windows.first else { return "" }
        let points = windows.compactMap { window -> LineChart.Point? in
            guard let k = window["iterations"]?.intValue,
                let y = window["margin_delta"]?.doubleValue,
                let low = window["low"]?.doubleValue, let high = window["high"]?.doubleValue
            else { return nil }
            return .init(x: Double(k), y: y, low: low, high: high)
        }
        let start = first["start"]?.intValue ?? 0
        let last = start &+ (first["length"]?.intValue ?? 1) &- 1
        let kind = first["kind"]?.stringValue ?? "loop"
        let chart = LineChart(
            frame: ChartFrame(
                id: "k-curve", title: "Gain by number of iterations",
                summary: "\(kind) of layers \(start) to \(last); k = 1 is the model as it is.",
                xLabel: "k", yLabel: "Δ margin in nats"),
            series: [
                .init(
                    name: "Δ margin", tone: 1,
                    points: [.init(x: 1, y: 0, low: 0, high: 0)] + points)
            ], xName: "k")
        let picture = figure(
            "How often to think",
            caption:
                "\(kind) of layers \(start)–\(last) on the confirmation items, with the band for all confirmed "
                + "windows. More is not always better.", chart.svg())
        return "<div class=\"pair\">\(picture)</div>"
    }

    /// What the candidates cost at each k.
    func candidateCosts(_ costs: [JSON]) -> Markup {
        guard !costs.isEmpty else { return "" }
        let isTimed = costs.contains { $0["ms_per_token"]?.doubleValue != nil }
        let rows = costs.map { cost -> Markup in
            let time: Markup? = isTimed ? "<td>\(number(cost["ms_per_token"]))</td>" : nil
            return """
                <tr><th scope="row" class="text">\(cost["notation"]?.stringValue ?? "")</th>\
                <td>\(cost["k"]?.intValue ?? 0)</td><td>\(number(cost["overhead"]))×</td>\
                <td>\(number(cost["flops_per_token"]))</td>\
                <td>\(cost["kv_bytes_per_token"]?.doubleValue.map { NumberText.bytes($0) } ?? "–")</td>\(time)</tr>

                """
        }
        let timed: Markup? =
            isTimed ? "<th scope=\"col\" class=\"number\">Milliseconds per token</th>" : nil
        return """
            <details><summary>What the candidates cost</summary>
            <div class="scroll" tabindex="0" role="group" aria-label="Cost of candidates"><table><thead><tr>\
            <th scope="col" class="text">Candidate</th><th scope="col">k</th>\
            <th scope="col" class="number">Executed layers</th>\
            <th scope="col" class="number">FLOPs per token</th>\
            <th scope="col" class="number">KV cache per token</th>\(timed)</tr></thead>
            <tbody>\(rows)</tbody></table></div></details>

            """
    }
}
