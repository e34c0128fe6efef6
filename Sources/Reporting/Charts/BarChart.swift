import Files

/// One bar per index, from zero up or down, with a whisker of ± one standard error.
package struct BarChart: Sendable {
    package var frame: ChartFrame
    /// The x of each bar is its layer; nil heights are left out.
    package var bars: [LineChart.Point]
    package var tone: Int
    package var xName: String
    package var valueName: String

    package init(
        frame: ChartFrame, bars: [LineChart.Point], tone: Int, xName: String, valueName: String
    ) {
        self.frame = frame
        self.bars = bars
        self.tone = tone
        self.xName = xName
        self.valueName = valueName
    }

    package func svg() -> Markup {
        let ends = bars.flatMap { bar -> [Double] in
            guard let y = bar.y else { return [] }
            return [y - (bar.error ?? 0), y + (bar.error ?? 0)]
        }
        let low = min(0, ends.min() ?? 0)
        let high = max(0, ends.max() ?? 1)
        let (first, last) = (bars.map(\.x).min() ?? 0, bars.map(\.x).max() ?? 0)
        let layout = ChartLayout(
            frame: frame, x: first - 0.5...last + 0.5,
            xTicks: Ticks.integers(
                Int(nearest: first), Int(nearest: last), target: max(2, Int(frame.width / 70))),
            yTicks: Ticks.enclosing(low, high, target: 7), legend: [])
        let slot = layout.x.position(first + 1) - layout.x.position(first)
        let width = min(40, slot * 0.7)
        let zero = layout.y.position(0)
        let drawn = bars.compactMap { bar -> Markup? in
            guard let y = bar.y else { return nil }
            let (place, height) = (layout.x.position(bar.x), layout.y.position(y))
            let whisker: Markup? = bar.error.map {
                """
                <path class="whisker" d="M\(place) \(layout.y.position(y - $0))\
                V\(layout.y.position(y + $0))"/>
                """
            }
            return """
                <rect class="bar tone\(tone)" x="\(place - width / 2)" y="\(min(zero, height))" \
                width="\(width)" height="\(abs(zero - height))"/>\(whisker)
                """
        }
        return layout.svg(
            data: "\(drawn)",
            hover: bars.filter { $0.y != nil }.map { bar in
                HoverTarget(
                    x: bar.x,
                    text: "\(xName) \(Int(nearest: bar.x))\n\(valueName): "
                        + NumberText.estimate(bar.y, bar.error))
            },
            numbers: frame.data(
                [xName, valueName, "standard error"],
                bars.map { [$0.x, $0.y, $0.error].map(ChartFrame.field) }))
    }
}
