import Records

extension ReportContent {
    /// The geometry of the states; nil when none of it was measured.
    var geometrySection: ReportSection? {
        let figures = [
            boundaryChart(
                "effective-rank", "Dimensions in use",
                [(.effectiveRank, "Effective rank"), (.participationRatio, "Participation ratio")],
                yLabel: "directions",
                caption: "In how many directions the states of the positions vary, of "
                    + "\(NumberText.grouped(layers.model.hiddenSize))."),
            boundaryChart(
                "prompt-entropy", "Prompt entropy", [(.promptEntropy, "Prompt entropy")],
                yLabel: "nats",
                caption: "How spread out the states of one document are. A dip is compression."),
            boundaryChart(
                "curvature", "Curvature", [(.curvature, "Curvature")], yLabel: "radians",
                caption:
                    "How sharply the path of states turns from token to token; states unrelated to "
                    + "one another give 2.09.", includesZero: false),
            alignmentMap,
        ].compactMap { $0 }
        guard !figures.isEmpty else { return nil }
        return ReportSection(
            id: "geometry", title: "The geometry of the states", short: "Geometry",
            body: """
                <p>How the states of the positions lie in space at each boundary. Two ends of a stretch of \
                boundaries with high CKA hold nearly the same arrangement of tokens, up to rotation and \
                scale. A few very large directions, which most models have, weigh on all of these numbers: \
                a sudden change of all at once is often theirs.</p>
                <p>\(Prose.geometrySinks(layers.sinks))</p>
                <div class="pair">\(figures)</div>\
                \(missing(Metric.geometry, where: measuredBoundaryMetrics))
                """)
    }

    private var alignmentMap: Markup? {
        guard let cka = layers.cka else { return nil }
        var cells: [Heatmap.Cell] = []
        for (row, values) in cka.enumerated() {
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
        let neighbours = (0..<max(0, cka.count - 1)).compactMap { boundary in
            cka[boundary][boundary + 1].map { (boundary, $0) }
        }
        let change = neighbours.min { $0.1 < $1.1 }.map {
            "Neighbours differ most at boundaries \($0.0) and \($0.0 + 1): "
                + "\(NumberText.significant($0.1, digits: 3))."
        }
        let map = Heatmap(
            frame: ChartFrame(
                id: "cka", title: "Linear CKA between boundaries", summary: change ?? "",
                xLabel: "Boundary (0 = embedding)", yLabel: "Boundary", height: 452),
            cells: cells, valueName: "Linear CKA")
        return figure(
            "CKA between boundaries",
            caption:
                "Likeness of the arrangement of tokens at two boundaries: 1 alike, 0 unrelated. "
                + (change ?? ""), map.svg())
    }
}
