import Files

/// Points over two measured axes, some filled, and a line through those that no other beats.
package struct ScatterChart: Sendable {
    package struct Point: Sendable {
        package var x: Double
        package var y: Double
        /// Of the data and the tooltip.
        package var name: String
        /// Filled: counts more than the hollow ones.
        package var isFilled: Bool

        package init(x: Double, y: Double, name: String, isFilled: Bool) {
            self.x = x
            self.y = y
            self.name = name
            self.isFilled = isFilled
        }
    }

    package var frame: ChartFrame
    /// Those that are not finite are left out.
    package var points: [Point]
    /// Corners of the line, from left to right.
    package var front: [(x: Double, y: Double)]
    package var names: (filled: String, hollow: String, front: String)

    package init(
        frame: ChartFrame, points: [Point], front: [(x: Double, y: Double)],
        names: (filled: String, hollow: String, front: String)
    ) {
        self.frame = frame
        self.points = points.filter { $0.x.isFinite && $0.y.isFinite }
        self.front = front
        self.names = names
    }

    package func svg() -> Markup {
        let (xs, ys) = (points.map(\.x), points.map(\.y))
        let (low, high) = (xs.min() ?? 0, xs.max() ?? 1)
        let edge = max(high - low, 1e-3) * 0.04
        let target = max(2, Int(frame.width / 70))
        let ticks = Ticks.enclosing(low, high, target: target)
        let layout = ChartLayout(
            frame: frame, x: low - edge...high + edge,
            xTicks: Ticks(
                values: ticks.values.filter { $0 >= low - edge && $0 <= high + edge },
                step: ticks.step),
            yTicks: Ticks.enclosing(min(0, ys.min() ?? 0), max(0, ys.max() ?? 1), target: 7),
            legend: [
                LegendEntry(name: names.filled, tone: 2, sample: .filled),
                LegendEntry(name: names.hollow, tone: 1, sample: .hollow),
                LegendEntry(name: names.front, tone: 2, sample: .line),
            ].filter { !$0.name.isEmpty })
        // Filled points last: they lie over the others.
        let ordered = points.filter { !$0.isFilled } + points.filter(\.isFilled)
        let dots = ordered.map { point -> Markup in
            let kind: Markup = point.isFilled ? "dot tone2" : "ring tone1"
            return """
                <circle class="\(kind)" cx="\(layout.x.position(point.x))" \
                cy="\(layout.y.position(point.y))" r="\(point.isFilled ? 4 : 3)">\
                <title>\(point.name)</title></circle>
                """
        }
        let corners = front.map { place -> Markup in
            "\(layout.x.position(place.x)) \(layout.y.position(place.y))"
        }
        let line: Markup? =
            corners.count > 1
            ? "<path class=\"line tone2\" d=\"M\(corners.joined(separator: "L"))\"/>" : nil
        return layout.svg(
            data: "\(line)\(dots)", hover: [],
            numbers: frame.data(
                ["name", frame.xLabel, frame.yLabel, names.filled],
                points.map {
                    [
                        $0.name.split(separator: "\n").first.map(String.init) ?? "",
                        ChartFrame.field($0.x), ChartFrame.field($0.y), $0.isFilled ? "1" : "0",
                    ]
                }))
    }
}
