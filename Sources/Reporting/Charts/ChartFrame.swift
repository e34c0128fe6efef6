import Foundation

/// What every chart with two axes shares: the words around it, its size, zones, and the layout of
/// margins, grid, legend and hover targets. It draws no data.
///
/// Colours are classes (`tone1`…, `zone-think`…) that the page's style sheet resolves, so that one
/// picture serves light, dark and print. Series also differ in dash pattern: colour is never the only
/// sign. Text sizes are in SVG units: a chart is drawn close to the size it is shown at.
package struct ChartFrame: Sendable {
    /// Unique on the page; names the SVG's title and description for screen readers.
    package var id: String
    package var title: String
    /// What the picture shows, in a sentence, for who cannot see it.
    package var summary: String
    package var xLabel: String
    package var yLabel: String
    package var width: Double
    package var height: Double
    package var zones: [ChartZone]
    /// Whether the picture carries its numbers; not the second of two pictures of the same.
    package var carriesData = true

    package init(
        id: String, title: String, summary: String, xLabel: String, yLabel: String,
        width: Double = 440, height: Double = 270, zones: [ChartZone] = []
    ) {
        self.id = id
        self.title = title
        self.summary = summary
        self.xLabel = xLabel
        self.yLabel = yLabel
        self.width = width
        self.height = height
        self.zones = zones
    }

    /// Width of a text at the charts' 12-unit type: an estimate on the wide side, since fonts differ.
    static func textWidth(_ text: String) -> Double { Double(text.count) * 6.7 }

    /// The numbers behind the picture as comma-separated values, which the page's script saves.
    func data(_ header: [String], _ rows: [[String]]) -> Markup? {
        guard carriesData else { return nil }
        let lines = ([header] + rows).map { row in
            row.map { field in
                field.contains(where: { ",\"\n".contains($0) })
                    ? "\"" + field.replacing("\"", with: "\"\"") + "\"" : field
            }.joined(separator: ",")
        }
        return "<metadata>\(lines.joined(separator: "\n"))</metadata>"
    }

    /// A number of the data: as many digits as a reader can use; empty where undefined.
    static func field(_ value: Double?) -> String {
        guard let value, value.isFinite else { return "" }
        return value == value.rounded() && abs(value) < 1e15
            ? String(Int(value)) : String(format: "%.6g", value)
    }
}

/// A shaded stretch of the x axis.
package struct ChartZone: Sendable {
    package enum Kind: String, Sendable { case encoder, think, decoder, candidate }
    package var kind: Kind
    package var from: Double
    package var to: Double
    package var label: String
    /// Stands in where the label does not fit.
    package var shortLabel: String
}

/// A line of the legend: a sample and its name.
struct LegendEntry {
    enum Sample { case line, horizontal, vertical, filled, hollow }
    var name: String
    var tone: Int
    var sample: Sample
}

/// A column of the plot that answers the pointer.
struct HoverTarget {
    var x: Double
    var text: String
}

/// The frame with its scales: where things go.
struct ChartLayout {
    let frame: ChartFrame
    let legend: [(entry: LegendEntry, x: Double, y: Double)]
    let left: Double
    let right: Double
    let top: Double
    let bottom: Double
    let x: AxisScale
    let y: AxisScale
    let xTicks: Ticks
    let yTicks: Ticks

    init(
        frame: ChartFrame, x domain: ClosedRange<Double>, xTicks: Ticks, yTicks: Ticks,
        logarithmic: Bool = false, legend entries: [LegendEntry]
    ) {
        self.frame = frame
        self.xTicks = xTicks
        self.yTicks = yTicks
        let widest = yTicks.values.map {
            ChartFrame.textWidth(ChartLayout.label($0, yTicks, logarithmic))
        }.max()
        left = 32 + (widest ?? 0)
        right = frame.width - 12
        var placed: [(LegendEntry, Double, Double)] = []
        var cursor = (x: left, y: 14.0)
        for entry in entries {
            let length = 30 + ChartFrame.textWidth(entry.name)
            if cursor.x > left, cursor.x + length > right { cursor = (left, cursor.y + 18) }
            placed.append((entry, cursor.x, cursor.y))
            cursor.x += length + 8
        }
        self.legend = placed.map { (entry: $0.0, x: $0.1, y: $0.2) }
        top = (entries.isEmpty ? 8 : cursor.y + 12) + (frame.zones.isEmpty ? 0 : 18)
        bottom = frame.height - 42
        x = AxisScale(low: domain.lowerBound, high: domain.upperBound, start: left, end: right)
        y = AxisScale(
            low: yTicks.values.first ?? 0, high: yTicks.values.last ?? 1, start: bottom, end: top,
            logarithmic: logarithmic)
    }

    static func label(_ value: Double, _ ticks: Ticks, _ logarithmic: Bool) -> String {
        logarithmic
            ? NumberText.tick(value, step: value) : NumberText.tick(value, step: ticks.step)
    }

    /// Everything around the data, with the data between grid and hover targets.
    /// - Parameter numbers: what `ChartFrame.data` gives.
    func svg(data: Markup, hover: [HoverTarget], numbers: Markup? = nil) -> Markup {
        """
        <svg class="chart" viewBox="0 0 \(frame.width) \(frame.height)" role="img" \
        aria-labelledby="\(frame.id)-title \(frame.id)-summary" xmlns="http://www.w3.org/2000/svg">\
        <title id="\(frame.id)-title">\(frame.title)</title>\
        <desc id="\(frame.id)-summary">\(frame.summary)</desc>\(numbers)
        \(legendMarkup)\(zoneMarkup)\(axes)\(data)\(hoverMarkup(hover))</svg>
        """
    }

    private var legendMarkup: Markup {
        let entries = legend.map { item -> Markup in
            let sample: Markup =
                switch item.entry.sample {
                case .line:
                    """
                    <path class="line tone\(item.entry.tone)" \
                    d="M\(item.x) \(item.y - 4)h22"/>
                    """
                case .horizontal:
                    "<path class=\"reference\" d=\"M\(item.x) \(item.y - 4)h22\"/>"
                case .vertical:
                    "<path class=\"marker\" d=\"M\(item.x + 17) \(item.y - 11)v14\"/>"
                case .filled, .hollow:
                    """
                    <circle class="\(item.entry.sample == .filled ? "dot" : "ring") \
                    tone\(item.entry.tone)" cx="\(item.x + 17)" cy="\(item.y - 4)" r="4"/>
                    """
                }
            return """
                \(sample)<text class="legend" x="\(item.x + 27)" y="\(item.y)">\
                \(item.entry.name)</text>
                """
        }
        return "\(entries)"
    }

    private var zoneMarkup: Markup {
        let zones = frame.zones.map { zone -> Markup in
            let from = max(left, x.position(zone.from))
            let to = min(right, x.position(zone.to))
            guard to > from else { return "" }
            let kind = zone.kind.rawValue
            // A zone alone may name itself beyond its own width; neighbours may not.
            let label =
                [zone.label, zone.shortLabel].first { ChartFrame.textWidth($0) <= to - from + 2 }
                ?? (frame.zones.count == 1 ? zone.shortLabel : nil)
            let text: Markup? = label.map {
                let half = ChartFrame.textWidth($0) / 2
                let middle = min(max((from + to) / 2, left + half), right - half)
                return """
                    <text class="zone-label zone-\(kind)" x="\(middle)" y="\(top - 6)">\($0)</text>
                    """
            }
            return """
                <rect class="zone zone-\(kind)" x="\(from)" y="\(top)" width="\(to - from)" \
                height="\(bottom - top)"/>\(text)
                """
        }
        return "\(zones)"
    }

    private var axes: Markup {
        let horizontal = yTicks.values.map { value -> Markup in
            let height = y.position(value)
            let kind: Markup = value == 0 ? "axis" : "grid"
            return """
                <path class="\(kind)" d="M\(left) \(height)H\(right)"/>\
                <text class="tick end" x="\(left - 6)" y="\(height + 4)">\
                \(ChartLayout.label(value, yTicks, y.logarithmic))</text>
                """
        }
        let vertical = xTicks.values.map { value -> Markup in
            let place = x.position(value)
            return """
                <path class="axis" d="M\(place) \(bottom)v4"/>\
                <text class="tick middle" x="\(place)" y="\(bottom + 17)">\
                \(NumberText.tick(value, step: xTicks.step))</text>
                """
        }
        let middle = (top + bottom) / 2
        return """
            \(horizontal)\(vertical)\
            <path class="axis" d="M\(left) \(bottom)H\(right)"/>\
            <text class="label middle" x="\((left + right) / 2)" y="\(frame.height - 6)">\
            \(frame.xLabel)</text>\
            <text class="label middle" transform="translate(13 \(middle)) rotate(-90)">\
            \(frame.yLabel)</text>
            """
    }

    private func hoverMarkup(_ targets: [HoverTarget]) -> Markup {
        let places = targets.map { x.position($0.x) }
        let hits = targets.indices.map { index -> Markup in
            let from = index == 0 ? left : (places[index - 1] + places[index]) / 2
            let to = index + 1 == places.count ? right : (places[index] + places[index + 1]) / 2
            return """
                <g class="hit"><title>\(targets[index].text)</title>\
                <path class="cursor" d="M\(places[index]) \(top)V\(bottom)"/>\
                <rect x="\(from)" y="\(top)" width="\(max(0, to - from))" \
                height="\(bottom - top)"/></g>
                """
        }
        return "\(hits)"
    }
}
