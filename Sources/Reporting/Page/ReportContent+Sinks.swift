import Records

extension ReportContent {
    /// A mean over positions that attention sinks move.
    private struct SinkDifference {
        var metric: Metric
        /// "layer" or "boundary".
        var place: String
        /// Where the two means differ, ascending.
        var indices: [Int]
        var largest: (index: Int, all: Double, rest: Double)
        var all: [LineChart.Point]
        var rest: [LineChart.Point]
    }

    private var overPositions: [Metric] { passes.flatMap(\.metrics).filter(\.isOverPositions) }

    /// The means that differ from their twins: at a layer or boundary by more than a twentieth of the twin
    /// there, and of its median size, which keeps values near 0 from differing by nothing.
    private var sinkDifferences: [SinkDifference] {
        let layerRows = layers.layers.map { ($0.index, $0.metrics) }
        let boundaryRows = layers.boundaries.map { ($0.index, $0.metrics) }
        return overPositions.compactMap { metric in
            let isLayers = metric.place == .layer
            return difference(
                metric, isLayers ? "layer" : "boundary", isLayers ? layerRows : boundaryRows)
        }
    }

    private func difference(
        _ metric: Metric, _ place: String, _ rows: [(Int, LayersRecord.Metrics)]
    ) -> SinkDifference? {
        func points(_ name: String) -> [LineChart.Point] {
            rows.map { index, metrics in
                LineChart.Point(
                    x: Double(index), y: metrics[name]?.mean, error: metrics[name]?.standardError)
            }
        }
        let (all, rest) = (points(metric.name), points(metric.withoutSinks.name))
        let sizes = rest.compactMap(\.y?.magnitude).sorted()
        guard !sizes.isEmpty else { return nil }
        let typical = sizes[sizes.count / 2]
        let moved = zip(all, rest).compactMap { a, b -> (index: Int, all: Double, rest: Double)? in
            guard let before = a.y, let after = b.y,
                (before - after).magnitude > max(typical, after.magnitude) / 20
            else {
                return nil
            }
            return (Int(a.x), before, after)
        }
        let largest = moved.max { ($0.all - $0.rest).magnitude < ($1.all - $1.rest).magnitude }
        guard let largest else { return nil }
        return SinkDifference(
            metric: metric, place: place, indices: moved.map(\.index), largest: largest, all: all,
            rest: rest)
    }

    /// What attention sinks do to means over positions; nil where it is not known.
    var sinksSection: ReportSection? {
        guard let sinks = layers.sinks else { return nil }
        let metrics = layers.layers.map(\.metrics) + layers.boundaries.map(\.metrics)
        let names = Set(metrics.flatMap(\.keys))
        guard overPositions.contains(where: { names.contains($0.withoutSinks.name) }) else {
            return nil
        }
        let differences = sinkDifferences
        let sentences = differences.map { item in
            "\(item.metric.title) differs at \(Prose.places(item.indices, item.place))"
                + (item.indices.count == 1
                    ? ": " : ", most at \(item.place) \(item.largest.index): ")
                + "\(NumberText.significant(item.largest.all, digits: 3)) over all positions, "
                + "\(NumberText.significant(item.largest.rest, digits: 3)) without sinks."
        }
        let verdict: Markup =
            differences.isEmpty
            ? """
            <p>No mean over positions of this run changes by more than a twentieth when sinks are left \
            out.</p>
            """
            : """
            <p>Where a mean changes by more than a twentieth of itself and of its median size:</p>
            <ul>\(sentences.map { sentence -> Markup in "<li>\(sentence)</li>" })</ul>
            """
        let figures = differences.map { item -> Markup in
            var chart = LineChart(
                frame: ChartFrame(
                    id: "sinks-\(item.metric.name)",
                    title: "\(item.metric.title) with and without sinks", summary: "",
                    xLabel: item.place == "layer" ? "Layer" : "Boundary (0 = embedding)",
                    yLabel: item.metric.title,
                    zones: zones(item.place == "layer" ? .layers : .boundaries)),
                series: [
                    .init(name: "All positions", tone: 1, points: item.all),
                    .init(name: "Without sinks", tone: 2, points: item.rest),
                ], xName: item.place == "layer" ? "Layer" : "Boundary")
            if item.place == "layer" { chart.padding = 0.5 }
            let scale = chart.prefersLogarithm ? " Logarithmic axis." : ""
            return figure(
                item.metric.title,
                caption: "Differs at \(Prose.places(item.indices, item.place)).\(scale)",
                chart.svg())
        }
        return ReportSection(
            id: "sinks", title: "What attention sinks move", short: "Sinks",
            body: """
                <p>\(Prose.sinkCounts(sinks)) Such states are often hundreds of times longer than the \
                others and say little of the text. The means above are over all positions; each has a twin \
                without sinks, named <code>_nosink</code> in the files.</p>
                \(verdict)
                <div class="pair">\(figures)</div>
                """)
    }
}

extension Prose {
    /// How many sinks a run had.
    static func sinkCounts(_ sinks: SinksRecord) -> String {
        let first =
            sinks.first == 0
            ? "" : "\(counted(sinks.first, "first position")) of documents and "
        let massive = counted(sinks.massive, sinks.first == 0 ? "massive position" : "massive one")
        return "Of \(counted(sinks.positions, "position")), \(first)\(massive) "
            + "(state longer than 20 times its document's median at a third of the boundaries or more) "
            + "are attention sinks."
    }

    /// What the geometry of a run did with its sinks.
    /// - Parameter sinks: nil of a run by a version that kept them.
    static func geometrySinks(_ sinks: SinksRecord?) -> String {
        guard let sinks else {
            return
                "This run's geometry includes attention sinks, each document's first position above "
                + "all: it measures these more than the text. A new run leaves them out."
        }
        return sinkCounts(sinks)
            + (sinks.policy == .drop
                ? " The geometry leaves them out." : " The geometry keeps them (--sinks keep).")
    }

    /// `layer 5`, `boundaries 0–3, 7`.
    static func places(_ indices: [Int], _ noun: String) -> String {
        var ranges: [ClosedRange<Int>] = []
        for index in indices {
            if let last = ranges.last, last.upperBound + 1 == index {
                ranges[ranges.count - 1] = last.lowerBound...index
            } else {
                ranges.append(index...index)
            }
        }
        let plural = noun == "boundary" ? "boundaries" : noun + "s"
        return (indices.count == 1 ? noun : plural) + " "
            + ranges.map {
                $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)–\($0.upperBound)"
            }.joined(separator: ", ")
    }
}
