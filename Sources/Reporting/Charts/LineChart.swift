import Files

/// Several series over a shared x axis, each with a band of ± one standard error, or an interval.
package struct LineChart: Sendable {
    package struct Point: Sendable {
        package var x: Double
        /// nil leaves a gap in the line.
        package var y: Double?
        package var error: Double?
        /// The band's ends where it is no ± of the same size.
        package var interval: ClosedRange<Double>?

        package init(x: Double, y: Double?, error: Double? = nil) {
            self.x = x
            self.y = y.flatMap { $0.isFinite ? $0 : nil }
            self.error = error.flatMap { $0.isFinite && $0 >= 0 ? $0 : nil }
        }

        package init(x: Double, y: Double, low: Double, high: Double) {
            self.init(x: x, y: y)
            if low.isFinite, high.isFinite, low <= high { interval = low...high }
        }

        /// The band at this point; nil where there is none.
        var band: ClosedRange<Double>? {
            guard let y else { return nil }
            return interval ?? error.map { y - $0...y + $0 }
        }
    }

    package struct Series: Sendable {
        package var name: String
        /// 1…4: colour and dash pattern.
        package var tone: Int
        /// In ascending x.
        package var points: [Point]

        package init(name: String, tone: Int, points: [Point]) {
            self.name = name
            self.tone = tone
            self.points = points
        }
    }

    /// A line across the plot, horizontal at a y value or vertical at an x value. Its name stands in
    /// the legend: beside the line it would sooner or later lie on a curve.
    package enum Reference: Sendable {
        case y(Double, label: String)
        case x(Double, label: String)
    }

    package var frame: ChartFrame
    package var series: [Series]
    package var references: [Reference] = []
    /// Extends the y axis to 0, and to `top` where given.
    package var includesZero = true
    package var top: Double?
    /// One x tick per whole number at most; else a plain numeric axis.
    package var integerX = true
    /// Space left of the first and right of the last x, so that zones can cover half a layer.
    package var padding = 0.0
    /// What the x value is called in tooltips, such as "Layer".
    package var xName: String

    package init(frame: ChartFrame, series: [Series], xName: String) {
        self.frame = frame
        self.series = series
        self.xName = xName
    }

    /// Values so unequal that a linear axis would show one of them: none negative, few of them 0, and the
    /// largest more than 15 times the middle one. Never shares, whose `top` is fixed.
    package var prefersLogarithm: Bool {
        let values = series.flatMap(\.points).compactMap(\.y).sorted()
        let positive = values.filter { $0 > 0 }
        guard top == nil, let low = values.first, let high = positive.last, low >= 0,
            4 * (values.count - positive.count) <= values.count
        else { return false }
        return high > 15 * positive[positive.count / 2]
    }

    package func svg() -> Markup {
        let logarithmic = prefersLogarithm
        // A logarithmic axis has no place for 0, such as a divergence of the output from itself: the line
        // ends before it, and the tooltip says it.
        let series = series.map { series in
            var drawn = series
            drawn.points = series.points.map { point in
                var point = point
                if logarithmic, point.y == 0 { point.y = nil }
                return point
            }
            return drawn
        }
        let points = series.flatMap(\.points)
        let extent = yExtent(points, logarithmic: logarithmic)
        let xs = points.map(\.x)
        let (low, high) = (xs.min() ?? 0, xs.max() ?? 1)
        let edge = low == high && padding == 0 ? 0.5 : padding
        let target = max(2, Int(frame.width / 70))
        let xTicks: Ticks
        if integerX {
            xTicks = Ticks.integers(Int(nearest: low), Int(nearest: high), target: target)
        } else {
            let ticks = Ticks.enclosing(low, high, target: target)
            xTicks = Ticks(
                values: ticks.values.filter { $0 >= low - 1e-9 && $0 <= high + 1e-9 },
                step: ticks.step)
        }
        let layout = ChartLayout(
            frame: frame, x: low - edge...high + edge, xTicks: xTicks,
            yTicks: logarithmic
                ? Ticks.logarithmic(extent.lowerBound, extent.upperBound)
                : Ticks.enclosing(extent.lowerBound, extent.upperBound, target: 7),
            logarithmic: logarithmic,
            legend: legend)
        let bands = series.map { band($0, layout) }
        let lines = series.map { line($0, layout) }
        return layout.svg(
            data: "\(bands)\(lines)\(references.map { reference($0, layout) })",
            hover: hoverTargets(), numbers: numbers)
    }

    /// A column for each series, two more for its band where it has one.
    private var numbers: Markup? {
        var header = [xName]
        var byX: [Double: [String]] = [:]
        let all = Set(series.flatMap(\.points).map(\.x)).sorted()
        for series in series {
            let hasBand = series.points.contains { $0.band != nil }
            header +=
                hasBand
                ? [series.name, "\(series.name) low", "\(series.name) high"] : [series.name]
            for x in all {
                let point = series.points.first { $0.x == x }
                let band = point?.band
                byX[x, default: []] +=
                    [point?.y]
                    .map(ChartFrame.field)
                    + (hasBand
                        ? [band?.lowerBound, band?.upperBound].map(ChartFrame.field) : [])
            }
        }
        return frame.data(header, all.map { [ChartFrame.field($0)] + (byX[$0] ?? []) })
    }

    /// A single series needs no name: the chart's title has it.
    private var legend: [LegendEntry] {
        let lines = series.map { LegendEntry(name: $0.name, tone: $0.tone, sample: .line) }
        let others = references.map { reference in
            switch reference {
            case .y(_, let label): LegendEntry(name: label, tone: 0, sample: .horizontal)
            case .x(_, let label): LegendEntry(name: label, tone: 0, sample: .vertical)
            }
        }
        return series.count + others.count < 2 ? [] : lines + others
    }

    /// What the y axis has to show. A band does not push the axis past 0 or `top` when no value lies
    /// there: shares below 0 or above 1 would be nonsense.
    private func yExtent(_ points: [Point], logarithmic: Bool) -> ClosedRange<Double> {
        var low = Double.infinity
        var high = -Double.infinity
        for point in points {
            guard let y = point.y else { continue }
            // On a logarithmic axis a band that reaches 0 is cut, not followed.
            let bottom = point.band?.lowerBound ?? y
            low = min(low, bottom <= 0 && (logarithmic || includesZero && y >= 0) ? y : bottom)
            high = max(high, point.band?.upperBound ?? y)
        }
        guard low <= high else { return 0...1 }
        if logarithmic { return low...high }
        for case .y(let value, _) in references {
            low = min(low, value)
            high = max(high, value)
        }
        if let top, points.allSatisfy({ ($0.y ?? top) <= top }) { high = top }
        return includesZero ? min(low, 0)...max(high, 0) : low...high
    }

    /// Runs of neighbouring points that have a value.
    private func segments(_ series: Series) -> [[Point]] {
        series.points.split { $0.y == nil }.map(Array.init)
    }

    private func band(_ series: Series, _ layout: ChartLayout) -> Markup {
        let bands = segments(series).map { segment -> Markup in
            guard segment.count > 1,
                segment.contains(where: { $0.band.map { $0.lowerBound < $0.upperBound } ?? false })
            else {
                return ""
            }
            func corner(_ point: Point, upper: Bool) -> Markup {
                let y = point.y ?? 0
                let value = (upper ? point.band?.upperBound : point.band?.lowerBound) ?? y
                let height = min(max(layout.y.position(value), layout.top), layout.bottom)
                return "\(layout.x.position(point.x)) \(height)"
            }
            let outline =
                segment.map { corner($0, upper: true) }
                + segment.reversed().map { corner($0, upper: false) }
            return """
                <path class="band tone\(series.tone)" d="M\(outline.joined(separator: "L"))Z"/>
                """
        }
        return "\(bands)"
    }

    private func line(_ series: Series, _ layout: ChartLayout) -> Markup {
        let places = segments(series).map { segment in
            segment.map { (layout.x.position($0.x), layout.y.position($0.y ?? 0)) }
        }
        let paths = places.filter { $0.count > 1 }.map { segment -> Markup in
            let corners = segment.map { place -> Markup in "\(place.0) \(place.1)" }
            return "M\(corners.joined(separator: "L"))"
        }
        let path: Markup? =
            paths.isEmpty ? nil : "<path class=\"line tone\(series.tone)\" d=\"\(paths)\"/>"
        // Points crowd out the line when there are many; a point without neighbours needs its dot.
        let dense = series.points.count > Int(frame.width / 9)
        let dots = places.filter { !dense || $0.count == 1 }.flatMap { $0 }.map { place -> Markup in
            "<circle class=\"dot tone\(series.tone)\" cx=\"\(place.0)\" cy=\"\(place.1)\" r=\"2.4\"/>"
        }
        return "\(path)\(dots)"
    }

    private func reference(_ reference: Reference, _ layout: ChartLayout) -> Markup {
        switch reference {
        case .y(let value, _):
            "<path class=\"reference\" d=\"M\(layout.left) \(layout.y.position(value))H\(layout.right)\"/>"
        case .x(let value, _):
            """
            <path class="marker" d="M\(layout.x.position(value)) \(layout.top)V\(layout.bottom)"/>
            """
        }
    }

    private func hoverTargets() -> [HoverTarget] {
        var byX: [Double: [String]] = [:]
        for series in series {
            for point in series.points where point.y != nil {
                byX[point.x, default: []].append(
                    "\(series.name): \(NumberText.estimate(point.y, point.error))"
                        + (point.interval.map { range in
                            let ends = [range.lowerBound, range.upperBound].map {
                                NumberText.significant($0, digits: 2)
                            }
                            return " [\(ends[0]), \(ends[1])]"
                        } ?? ""))
            }
        }
        return byX.keys.sorted().map { x in
            let place =
                integerX ? "\(Int(nearest: x))" : NumberText.significant(x, digits: 3)
            return HoverTarget(
                x: x, text: (["\(xName) \(place)"] + byX[x, default: []]).joined(separator: "\n"))
        }
    }
}
