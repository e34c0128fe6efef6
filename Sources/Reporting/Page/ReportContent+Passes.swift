import Files
import Records

/// Draws what the passes declare. No pass is known here by name.
extension ReportContent {
    /// The sections of which something was measured.
    var passSections: [ReportSection] { passes.sections.compactMap(section) }

    /// nil where nothing of it was measured.
    func section(_ section: PassSection) -> ReportSection? {
        let figures = section.figures.map { ($0.isWide, picture($0)) }
        let wide = figures.filter(\.0).compactMap(\.1)
        let pairs = figures.filter { !$0.0 }.compactMap(\.1)
        guard !wide.isEmpty || !pairs.isEmpty else { return nil }
        let introduction = section.introduction.compactMap(paragraph)
        let metrics = section.figures.flatMap(\.metrics)
        let missing = missing(metrics)
        let paired: Markup = pairs.isEmpty ? "" : "<div class=\"pair\">\(pairs)</div>"
        return ReportSection(
            id: section.id, title: section.title, short: section.short,
            body: "\(introduction)\(wide)\(paired)\(missing)")
    }

    private func paragraph(_ paragraph: PassSection.Paragraph) -> Markup? {
        switch paragraph {
        case .text(let text): "<p>\(text)</p>"
        case .cited(let text, let source): "<p>\(text) \(source.markup)</p>"
        case .sinks: "<p>\(Prose.geometrySinks(layers.sinks))</p>"
        case .tunedLens(let metric): tunedLens(metric)
        }
    }

    /// Names the metrics that have no value, in the order of the files.
    func missing(_ metrics: [Metric]) -> Markup? {
        let names = passes.flatMap(\.metrics).filter { metrics.contains($0) && points($0) == nil }
            .map(\.title)
        guard !names.isEmpty else { return nil }
        return "<p class=\"note\">Not measured in this run: \(names.joined(separator: ", ")).</p>"
    }

    /// nil where nothing of it was measured.
    private func picture(_ item: PassFigure) -> Markup? {
        switch item.kind {
        case .lines(let series): lines(item, series)
        case .bars(let metric, let tone): bars(item, metric, tone)
        case .lenses(let metric): lenses(item, metric)
        case .pairs(let name, let valueName, let isLikeness):
            pairs(item, name, valueName, isLikeness: isLikeness)
        case .heads(let metric): heads(item, metric)
        }
    }

    private func caption(_ item: PassFigure) -> String {
        item.caption.replacing(
            "{hidden_size}", with: NumberText.grouped(layers.model.hiddenSize))
    }

    // MARK: Lines and bars

    private func axis(_ place: Metric.Place) -> (noun: String, label: String, zones: [ChartZone]) {
        place == .layer
            ? (layers.plan == nil ? "Layer" : "Executed layer", layerLabel, zones(.layers))
            : ("Boundary", "Boundary (0 = embedding)", zones(.boundaries))
    }

    private var layerLabel: String { layers.plan == nil ? "Layer" : "Executed layer" }

    private func lines(_ item: PassFigure, _ names: [PassFigure.Series]) -> Markup? {
        var series = names.enumerated().compactMap { position, item in
            points(item.metric).map {
                LineChart.Series(name: item.name, tone: position + 1, points: $0)
            }
        }
        guard !series.isEmpty, let place = names.first?.metric.place else { return nil }
        let axis = axis(place)
        let summary = series.map { extremes($0.name, $0.points, axis.noun.lowercased()) }
            .joined(separator: " ")
        // The model without loops, where each of its layers first runs.
        if let first = names.first, let base = basePoints(first.metric) {
            series.append(.init(name: "\(first.name), no loop", tone: 3, points: base))
        }
        func chart(_ id: String, _ width: Double?, _ height: Double?) -> LineChart {
            var frame = ChartFrame(
                id: id, title: "\(item.title) by \(axis.noun.lowercased())", summary: summary,
                xLabel: axis.label, yLabel: item.yLabel, zones: axis.zones)
            if let width {
                frame.width = width
                frame.carriesData = id.hasSuffix("-wide")
            }
            if let height { frame.height = height }
            var chart = LineChart(frame: frame, series: series, xName: axis.noun)
            if place == .layer { chart.padding = 0.5 }
            chart.top = item.top
            chart.includesZero = item.includesZero
            return chart
        }
        let plain = chart(item.id, nil, nil)
        let scale = plain.prefersLogarithm ? " Logarithmic axis." : ""
        guard item.isWide else {
            return figure(item.title, caption: caption(item) + scale, plain.svg())
        }
        // The picture is drawn twice, for wide and for narrow screens: scaled down, the wide one could
        // not be read on a phone.
        let pictures = [("wide", 960.0, 340.0), ("narrow", 440.0, 300.0)].map {
            name, width, height -> Markup in
            "<div class=\"\(name)\">\(chart("\(item.id)-\(name)", width, height).svg())</div>"
        }
        return figure(item.title, caption: caption(item) + scale + shading, "\(pictures)")
    }

    private var shading: String {
        if split.split != nil { return " Shaded: the parts of the proposed split." }
        return shownSplit == nil ? "" : " Shaded: the leading alternative, which is no proposal."
    }

    private func bars(_ item: PassFigure, _ metric: Metric, _ tone: Int) -> Markup? {
        guard let points = points(metric) else { return nil }
        let axis = axis(metric.place)
        let chart = BarChart(
            frame: ChartFrame(
                id: item.id, title: "\(item.title) by \(axis.noun.lowercased())",
                summary: extremes(item.title, points, axis.noun.lowercased()),
                xLabel: axis.label, yLabel: item.yLabel, zones: axis.zones),
            bars: points, tone: tone, xName: axis.noun, valueName: item.title)
        return figure(item.title, caption: caption(item), chart.svg())
    }

    /// Where a series is lowest and highest, for the text alternative of its picture.
    private func extremes(_ name: String, _ points: [LineChart.Point], _ place: String) -> String {
        let present = points.filter { $0.y != nil }
        guard let low = present.min(by: { ($0.y ?? 0) < ($1.y ?? 0) }),
            let high = present.max(by: { ($0.y ?? 0) < ($1.y ?? 0) })
        else { return "" }
        return
            "\(name): lowest \(NumberText.significant(low.y)) at \(place) \(Int(nearest: low.x)), highest "
            + "\(NumberText.significant(high.y)) at \(place) \(Int(nearest: high.x))."
    }

    // MARK: Two lenses

    private func tunedPoints(_ metric: Metric) -> [LineChart.Point]? {
        guard layers.boundaries.contains(where: { $0.tuned[metric.name]?.mean != nil }) else {
            return nil
        }
        return layers.boundaries.map { boundary in
            let estimate = boundary.tuned[metric.name]
            return LineChart.Point(
                x: Double(boundary.index), y: estimate?.mean, error: estimate?.standardError)
        }
    }

    private func lenses(_ item: PassFigure, _ metric: Metric) -> Markup? {
        guard let plain = points(metric), let tuned = tunedPoints(metric) else { return nil }
        let gaps = zip(plain, tuned).compactMap { pair -> (Double, Double)? in
            guard let a = pair.0.y, let b = pair.1.y else { return nil }
            return (pair.0.x, a - b)
        }
        let widest = gaps.max { $0.1.magnitude < $1.1.magnitude }
        let summary = widest.map {
            "The lenses differ most at boundary \(Int(nearest: $0.0)), by "
                + "\(NumberText.significant($0.1.magnitude, digits: 3))."
        }
        var chart = LineChart(
            frame: ChartFrame(
                id: item.id, title: "\(item.title) of both lenses by boundary",
                summary: summary ?? "", xLabel: "Boundary (0 = embedding)", yLabel: item.yLabel,
                zones: zones(.boundaries)),
            series: [
                .init(name: "Plain lens", tone: 1, points: plain),
                .init(name: "Tuned lens", tone: 2, points: tuned),
            ], xName: "Boundary")
        chart.top = item.top
        let scale = chart.prefersLogarithm ? " Logarithmic axis." : ""
        return figure(
            item.title, caption: "\(caption(item)) \(summary ?? "")\(scale)", chart.svg())
    }

    /// Where the tuned lens comes from, and where it is not closer to the output than the plain one.
    private func tunedLens(_ metric: Metric) -> Markup? {
        let origin: Markup? = layers.tunedLens.map { lens in
            """
            <p class="note">Lens: <bdi>\(lens.path)</bdi>, trained on \
            \(NumberText.grouped(lens.tokens)) tokens of <bdi>\(lens.data)</bdi> in \
            \(lens.precision).</p>
            """
        }
        let pairs = layers.boundaries.dropLast().compactMap { boundary in
            (boundary.metrics[metric.name]?.mean).flatMap { plain in
                (boundary.tuned[metric.name]?.mean).map { (boundary.index, plain, $0) }
            }
        }
        guard !pairs.isEmpty else { return origin }
        let worse = pairs.filter { !($0.2 < $0.1) }.map { "\($0.0)" }
        let verdict =
            worse.isEmpty
            ? "On this text the tuned lens is closer to the output at every boundary."
            : "On this text the tuned lens is not closer to the output at "
                + (worse.count == 1 ? "boundary " : "boundaries ")
                + worse.joined(separator: ", ") + "; read the plain one there."
        return "<p>\(verdict)</p>\(origin)"
    }

    // MARK: Maps

    private func pairs(
        _ item: PassFigure, _ name: String, _ valueName: String, isLikeness: Bool
    ) -> Markup? {
        guard let matrix = layers.matrices[name] else { return nil }
        var cells: [Heatmap.Cell] = []
        for (row, values) in matrix.enumerated() {
            for (column, value) in values.enumerated() {
                guard let value else { continue }
                cells.append(
                    Heatmap.Cell(
                        column: column, row: row, value: value,
                        tooltip:
                            "\(row) and \(column): \(NumberText.significant(value, digits: 3))",
                        marked: false))
            }
        }
        guard !cells.isEmpty else { return nil }
        let neighbours = (0..<max(0, matrix.count - 1)).compactMap { boundary in
            matrix[boundary][boundary + 1].map { (boundary, isLikeness ? $0 : -$0) }
        }
        let change = neighbours.min { $0.1 < $1.1 }.map {
            "Neighbours differ most at boundaries \($0.0) and \($0.0 + 1): "
                + "\(NumberText.significant($0.1.magnitude, digits: 3))."
        }
        let map = Heatmap(
            frame: ChartFrame(
                id: item.id, title: "\(valueName) between boundaries", summary: change ?? "",
                xLabel: "Boundary (0 = embedding)", yLabel: "Boundary", height: 452),
            cells: cells, valueName: valueName)
        return figure(item.title, caption: "\(caption(item)) \(change ?? "")", map.svg())
    }

    private func heads(_ item: PassFigure, _ metric: Metric) -> Markup? {
        let cells = layers.layers.flatMap { layer in
            (layer.heads[metric.name] ?? []).enumerated().compactMap { head, value in
                value.map {
                    Heatmap.Cell(
                        column: layer.index, row: head, value: $0,
                        tooltip: "Layer \(layer.index), head \(head): "
                            + NumberText.significant($0, digits: 3), marked: false)
                }
            }
        }
        guard let most = cells.max(by: { $0.value < $1.value }) else { return nil }
        let summary =
            "Highest at layer \(most.column), head \(most.row): "
            + "\(NumberText.significant(most.value, digits: 3))."
        let map = Heatmap(
            frame: ChartFrame(
                id: item.id, title: item.title, summary: summary, xLabel: layerLabel,
                yLabel: "Head"), cells: cells, valueName: metric.title)
        return figure(item.title, caption: "\(caption(item)) \(summary)", map.svg())
    }
}
