import Files
import Records

extension ReportContent {
    /// What the tuned lens reads at each boundary; nil when none was used.
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

    /// The tuned against the plain lens; nil when there was no tuned one.
    var tunedLensSection: ReportSection? {
        let figures = [
            tunedChart(
                "tuned-kl", "KL(output‖lens)", .klFromFinal, yLabel: "nats",
                caption: "What the tuned lens was trained to make small."),
            tunedChart(
                "tuned-cross-entropy", "Cross-entropy", .crossEntropy, yLabel: "nats per token",
                caption: "How well either reading predicts the text's next token."),
            tunedChart(
                "tuned-entropy", "Entropy", .entropy, yLabel: "nats",
                caption: "How undecided either reading is."),
            tunedChart(
                "tuned-agreement", "Top-1 agreement", .top1Agreement, yLabel: "share",
                caption: "How often either reading already names the final choice.", top: 1),
        ].compactMap { $0 }
        guard !figures.isEmpty else { return nil }
        let origin: Markup? = layers.tunedLens.map { lens in
            """
            <p class="note">Lens: <bdi>\(lens.path)</bdi>, trained on \
            \(NumberText.grouped(lens.tokens)) tokens of <bdi>\(lens.data)</bdi> in \
            \(lens.precision).</p>
            """
        }
        return ReportSection(
            id: "tuned-lens", title: "Tuned against plain lens", short: "Tuned lens",
            body: """
                <p>The plain lens reads an early state with a norm and an unembedding that were made for \
                the last one; where layers rotate, shift or scale what they pass on, it misreads what is \
                there. The tuned lens first applies an affine map, trained for each boundary. The gap \
                between the curves is that bias, not thought: what both still miss is what later layers \
                add. \(verdict(of: .klFromFinal)) \(Citation.tunedLens.markup)</p>
                \(origin)
                <div class="pair">\(figures)</div>
                """)
    }

    /// Where the tuned lens is not closer to the output than the plain one.
    private func verdict(of metric: Metric) -> String {
        let pairs = layers.boundaries.dropLast().compactMap { boundary in
            (boundary.metrics[metric.name]?.mean).flatMap { plain in
                (boundary.tuned[metric.name]?.mean).map { (boundary.index, plain, $0) }
            }
        }
        guard !pairs.isEmpty else { return "" }
        let worse = pairs.filter { !($0.2 < $0.1) }.map { "\($0.0)" }
        return worse.isEmpty
            ? "On this text the tuned lens is closer to the output at every boundary."
            : "On this text the tuned lens is not closer to the output at "
                + (worse.count == 1 ? "boundary " : "boundaries ")
                + worse.joined(separator: ", ") + "; read the plain one there."
    }

    private func tunedChart(
        _ id: String, _ title: String, _ metric: Metric, yLabel: String, caption: String,
        top: Double? = nil
    ) -> Markup? {
        guard let plain = boundaryPoints(metric), let tuned = tunedPoints(metric) else {
            return nil
        }
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
                id: id, title: "\(title) of both lenses by boundary", summary: summary ?? "",
                xLabel: "Boundary (0 = embedding)", yLabel: yLabel, zones: zones(.boundaries)),
            series: [
                .init(name: "Plain lens", tone: 1, points: plain),
                .init(name: "Tuned lens", tone: 2, points: tuned),
            ], xName: "Boundary")
        chart.top = top
        let scale = chart.prefersLogarithm ? " Logarithmic axis." : ""
        return figure(
            title, caption: "\(caption) \(summary ?? "")\(scale)", chart.svg())
    }
}
