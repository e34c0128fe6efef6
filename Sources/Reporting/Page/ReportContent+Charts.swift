import Files
import Records

extension ReportContent {
    func figure(_ title: String, caption: String, _ picture: Markup) -> Markup {
        """
        <figure><figcaption><h3>\(title)</h3><p>\(caption)</p></figcaption>\(picture)</figure>

        """
    }

    func missing(_ metrics: [Metric], where measured: Set<String>) -> Markup? {
        let names = metrics.filter { !measured.contains($0.name) }.map(\.title)
        guard !names.isEmpty else { return nil }
        return "<p class=\"note\">Not measured in this run: \(names.joined(separator: ", ")).</p>"
    }

    private var measuredLayerMetrics: Set<String> {
        Set(Metric.perLayer.filter { layerPoints($0) != nil }.map(\.name))
    }

    var measuredBoundaryMetrics: Set<String> {
        Set(Metric.perBoundary.filter { boundaryPoints($0) != nil }.map(\.name))
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

    var distanceSection: ReportSection {
        let metrics = [Metric.angularDistanceLast, .angularDistance]
        let measured = metrics.enumerated().compactMap { position, metric in
            layerPoints(metric).map {
                LineChart.Series(
                    name: position == 0 ? "Last token" : "All tokens", tone: position + 1,
                    points: $0)
            }
        }
        var body: Markup = ""
        if !measured.isEmpty {
            let summary = measured.map { extremes($0.name, $0.points, "layer") }
                .joined(separator: " ")
            // The picture is drawn twice, for wide and for narrow screens: scaled down, the wide one
            // could not be read on a phone.
            let pictures = [("wide", 960.0, 340.0), ("narrow", 440.0, 300.0)]
                .map { name, width, height -> Markup in
                    var chart = LineChart(
                        frame: ChartFrame(
                            id: "distance-\(name)", title: "Angular distance by layer",
                            summary: summary, xLabel: "Layer",
                            yLabel: "Angular distance (1 = opposite)",
                            width: width, height: height, zones: zones(.layers)),
                        series: measured, xName: "Layer")
                    chart.padding = 0.5
                    return "<div class=\"\(name)\">\(chart.svg())</div>"
                }
            let shading =
                split.split == nil
                ? (shownSplit == nil
                    ? "" : " Shaded: the leading alternative, which is no proposal.")
                : " Shaded: the parts of the proposed split."
            body += figure(
                "How far each layer turns the residual stream",
                caption:
                    "Mean and ± 1 standard error over documents. A plateau of small turns between "
                    + "two steep ends is where ETD looks for the think block.\(shading)",
                "\(pictures)")
        }
        body += "\(missing(metrics, where: measuredLayerMetrics))"
        return ReportSection(
            id: "distance", title: "Angular distance", short: "Angular distance", body: body)
    }

    var writingSection: ReportSection {
        var figures: [Markup] = []
        if let points = layerPoints(.blockInfluence) {
            let chart = BarChart(
                frame: ChartFrame(
                    id: "influence", title: "Block influence by layer",
                    summary: extremes("Block influence", points, "layer"), xLabel: "Layer",
                    yLabel: "1 − mean cosine", zones: zones(.layers)),
                bars: points, tone: 1, xName: "Layer", valueName: "Block influence")
            figures.append(
                figure(
                    "Block influence",
                    caption: "How much a layer changes the state's direction, over all tokens.",
                    chart.svg()))
        }
        if let points = layerPoints(.contribution) {
            var chart = LineChart(
                frame: ChartFrame(
                    id: "contribution", title: "Contribution by layer",
                    summary: extremes("Contribution", points, "layer"), xLabel: "Layer",
                    yLabel: "‖u‖ / ‖h‖", zones: zones(.layers)),
                series: [.init(name: "Contribution", tone: 1, points: points)], xName: "Layer")
            chart.padding = 0.5
            let scale = chart.prefersLogarithm ? " Logarithmic axis." : ""
            figures.append(
                figure(
                    "Contribution",
                    caption: "Length of what a layer adds, relative to what it adds it to.\(scale)",
                    chart.svg()))
        }
        if let points = layerPoints(.contributionCosine) {
            let chart = BarChart(
                frame: ChartFrame(
                    id: "cosine", title: "Contribution cosine by layer",
                    summary: extremes("Contribution cosine", points, "layer"), xLabel: "Layer",
                    yLabel: "cos(u, h)", zones: zones(.layers)),
                bars: points, tone: 2, xName: "Layer", valueName: "Contribution cosine")
            figures.append(
                figure(
                    "Contribution cosine",
                    caption: "Above 0 a layer strengthens the state, below 0 it erases, near 0 it "
                        + "writes something new.", chart.svg()))
        }
        let metrics = [Metric.blockInfluence, .contribution, .contributionCosine]
        return ReportSection(
            id: "writing", title: "What each layer adds", short: "Contribution",
            body: """
                <div class="pair">\(figures)</div>\
                \(missing(metrics, where: measuredLayerMetrics))
                """)
    }

    /// One or more series over the boundaries; nil where none was measured.
    func boundaryChart(
        _ id: String, _ title: String, _ metrics: [(Metric, String)], yLabel: String,
        caption: String, top: Double? = nil, includesZero: Bool = true
    ) -> Markup? {
        let series = metrics.enumerated().compactMap { position, item in
            boundaryPoints(item.0).map {
                LineChart.Series(name: item.1, tone: position + 1, points: $0)
            }
        }
        guard !series.isEmpty else { return nil }
        var chart = LineChart(
            frame: ChartFrame(
                id: id, title: "\(title) by boundary",
                summary: series.map { extremes($0.name, $0.points, "boundary") }
                    .joined(separator: " "),
                xLabel: "Boundary (0 = embedding)", yLabel: yLabel, zones: zones(.boundaries)),
            series: series, xName: "Boundary")
        chart.top = top
        chart.includesZero = includesZero
        let scale = chart.prefersLogarithm ? " Logarithmic axis." : ""
        return figure(title, caption: caption + scale, chart.svg())
    }

    var lensSection: ReportSection {
        let figures = [
            boundaryChart(
                "entropy", "Lens entropy", [(.entropy, "Entropy")], yLabel: "nats",
                caption: "How undecided the early reading is."),
            boundaryChart(
                "cross-entropy", "Lens cross-entropy", [(.crossEntropy, "Cross-entropy")],
                yLabel: "nats per token",
                caption: "How well the text's next token could already be predicted."),
            boundaryChart(
                "kl", "Divergence from the output",
                [(.klToFinal, "KL(lens‖output)"), (.klFromFinal, "KL(output‖lens)")],
                yLabel: "nats",
                caption: "Distance to what the model finally says, in both directions."),
            boundaryChart(
                "agreement", "Agreement with the output",
                [(.top1Agreement, "Top-1"), (.top5Agreement, "Top-5")], yLabel: "share",
                caption: "How often the early reading already names the final choice.", top: 1),
        ].compactMap { $0 }
        return ReportSection(
            id: "lens", title: "The logit lens", short: "Lens",
            body: """
                <p>What the model would say if it stopped at a boundary: the state after that many layers, \
                through the final norm and the unembedding. Early readings are biased for many models; \
                trends say more than values.</p>
                <div class="pair">\(figures)</div>\
                \(missing(Metric.lens, where: measuredBoundaryMetrics))
                """)
    }

    // MARK: - Selection

    var selectionSection: ReportSection {
        let kneedle = split.evidence["kneedle"].map { KneedleCurves($0) }
        let pictures = (kneedle?.charts ?? []).map { item in
            figure(item.title, caption: item.caption, item.picture)
        }
        var body: Markup = """
            <p>Kneedle looks for the bend where a steep fall turns gradual: from the front it gives the \
            encoder's length, from the back the decoder's. Its curve is the measured one scaled to the \
            unit square; a peak of the difference counts as a knee once the curve falls below the \
            threshold. On so few points it is unstable. \(Citation.kneedle.markup)</p>

            """
        if pictures.isEmpty {
            body += "<p class=\"note\">No Kneedle curves were recorded for this run.</p>"
        } else {
            if let sensitivity = kneedle?.sensitivity {
                body += "<p>Sensitivity S = \(NumberText.significant(sensitivity, digits: 2)).</p>"
            }
            body += "<div class=\"pair\">\(pictures)</div>"
        }
        body += proposals
        body += "\(alternativesPart)"
        body += "\(costs)"
        return ReportSection(
            id: "selection", title: "From curve to split", short: "Selection", body: body)
    }

    private var proposals: Markup {
        let items = split.evidence.map { name, evidence -> Markup in
            let says = evidence.proposal.map { "\($0.notation)" } ?? "nothing"
            return """
                <li><strong>\(name)</strong> by itself proposes <strong>\(says)</strong>\
                <details><summary>Its values</summary><pre>\(evidence.values.text())</pre></details></li>
                """
        }
        guard !items.isEmpty else { return "" }
        return "<h3>What each selector says</h3><ul class=\"selectors\">\(items)</ul>"
    }

    private var alternativesPart: Markup? {
        let ranking = AlternativeRanking(split.alternatives)
        guard !ranking.items.isEmpty else { return nil }
        let cells = ranking.items.compactMap { item -> Heatmap.Cell? in
            guard let value = item.alternative.scores["mean_angular_distance"] else { return nil }
            let candidate = item.alternative.split
            return Heatmap.Cell(
                column: candidate.encoder, row: candidate.think, value: value,
                tooltip: "No. \(item.number): \(candidate.notation)\n"
                    + "Mean angular distance: \(NumberText.significant(value))",
                marked: candidate == shownSplit)
        }
        var picture: Markup = ""
        if cells.count >= 4 {
            let map = Heatmap(
                frame: ChartFrame(
                    id: "windows", title: "Mean angular distance of candidate think blocks",
                    summary: "Windows by first layer and length; the table below has every value.",
                    xLabel: "First layer of the think block", yLabel: "Length in layers"),
                cells: cells, valueName: "Mean angular distance")
            picture = figure(
                "Candidate think blocks",
                caption: "Paler windows turn the state less. Outlined: "
                    + (split.split == nil
                        ? "the leading alternative." : "the proposed split, if listed."),
                map.svg())
        }
        let opened: Markup = ranking.items.count <= 12 ? " open=\"open\"" : ""
        return """
            <h3>Alternatives</h3>
            <p>Contiguous windows: the leading one first, then the best of each length. Means of \
            different lengths do not compare, since a longer window averages more layers; depth does: \
            how far the mean lies below that of as many middle layers drawn at random, in standard \
            deviations. The number is the one that <code>--alternative</code> takes.</p>
            <div class="pair">\(picture)<div><details\(opened)>\
            <summary>All \(Prose.counted(ranking.items.count, "alternative"))</summary>\
            \(alternativesTable(ranking.items))</details></div></div>
            """
    }

    private var costs: Markup? {
        guard !split.cost.isEmpty else { return nil }
        let rows = split.cost.map { cost -> Markup in
            """
            <tr><th scope="row">\(cost.iterations)</th>\
            <td>\(NumberText.significant(cost.flopsPerToken))</td>\
            <td>\(NumberText.bytes(cost.kvBytesPerToken))</td></tr>
            """
        }
        return """
            <h3>What iterating costs</h3>
            <div class="scroll" tabindex="0" role="group" aria-label="Cost"><table><thead><tr>\
            <th scope="col">k</th><th scope="col">FLOPs per token</th>\
            <th scope="col">KV cache per token</th></tr></thead><tbody>\(rows)</tbody></table></div>
            """
    }
}
