import Files
import Records

/// A bar chart in block characters: values by layer, with the parts of a split named underneath.
package struct TerminalChart: Sendable {
    /// One per layer; nil leaves a gap.
    package var values: [Double?]
    /// Named stretches of layers, not overlapping.
    package var zones: [(range: Range<Int>, name: String, ink: TerminalStyle.Ink)]
    package var rows = 5

    package init(
        values: [Double?], zones: [(range: Range<Int>, name: String, ink: TerminalStyle.Ink)]
    ) {
        self.values = values.map { $0.flatMap { $0.isFinite ? $0 : nil } }
        self.zones = zones
    }

    private static let blocks = Array(" ▁▂▃▄▅▆▇█")

    /// A line of blocks from zero to the largest value; a gap where there is none.
    package static func sparkline(_ values: [Double?]) -> String {
        let high = values.compactMap { $0 }.filter(\.isFinite).max() ?? 0
        return String(
            values.map { value in
                guard let value, value.isFinite, value > 0, high > 0 else { return " " }
                return blocks[max(1, min(8, Int(nearest: (value / high * 8).rounded())))]
            })
    }

    /// Lines of at most `width` columns. With more layers than columns, neighbours share a bar that
    /// shows their mean, and a last line says so. Empty without a value.
    package func text(style: TerminalStyle, width: Int) -> String {
        guard let high = values.compactMap({ $0 }).max(), !values.isEmpty else { return "" }
        let top = high > 0 ? high : 1
        let labels = [NumberText.significant(top, digits: 2), "0"]
        let gutter = (labels.map(TerminalText.width).max() ?? 0) + 2
        let room = max(8, width - gutter)
        let perBar = (values.count + room - 1) / room
        let bars = stride(from: 0, to: values.count, by: perBar).map { start -> Double? in
            let part = values[start..<min(start + perBar, values.count)].compactMap { $0 }
            return part.isEmpty ? nil : part.reduce(0) { $0 + $1 / Double(part.count) }
        }
        let barWidth = min(3, max(1, room / bars.count))

        func ink(_ bar: Int) -> TerminalStyle.Ink? {
            zones.first { $0.range.contains(bar * perBar) }?.ink
        }
        var lines: [String] = []
        for row in (0..<rows).reversed() {
            let label = row == rows - 1 ? labels[0] : row == 0 ? labels[1] : ""
            var line = TerminalText.padded(label, to: gutter - 2, .right) + (row == 0 ? " ┤" : " │")
            for (index, value) in bars.enumerated() {
                let eighths = (max(0, value ?? 0) / top * Double(rows * 8)).rounded()
                // A value that is not zero leaves a trace.
                let filled = value.map { $0 > 0 ? max(1, Int(nearest: eighths)) : 0 } ?? 0
                let block = Self.blocks[max(0, min(8, filled - row * 8))]
                let body = String(repeating: block, count: max(1, barWidth - 1))
                let cell = body + (barWidth > 1 ? " " : "")
                line += ink(index).map { style.ink($0, cell) } ?? cell
            }
            lines.append(line)
        }
        if !style.color {
            lines = lines.map { String($0.reversed().drop { $0 == " " }.reversed()) }
        }
        let indent = String(repeating: " ", count: gutter)
        lines.append(indent + axis(bars: bars.count, barWidth: barWidth, perBar: perBar))
        if !zones.isEmpty {
            lines.append(
                indent + zoneLine(room: room, barWidth: barWidth, perBar: perBar, style))
        }
        if perBar > 1 { lines.append(indent + style.dim("each bar: mean of \(perBar) layers")) }
        return lines.map { $0 + "\n" }.joined()
    }

    /// Layer numbers under the bars, as many as fit.
    private func axis(bars: Int, barWidth: Int, perBar: Int) -> String {
        let ticks = Ticks.integers(0, values.count - 1, target: max(1, bars * barWidth / 10))
        var line = ""
        for tick in ticks.values.map({ Int(nearest: $0) }) {
            let column = tick / perBar * barWidth
            guard column >= line.count else { continue }
            line = TerminalText.padded(line, to: column) + "\(tick)"
        }
        return line
    }

    private func zoneLine(room: Int, barWidth: Int, perBar: Int, _ style: TerminalStyle) -> String {
        var line = ""
        var column = 0
        for zone in zones.sorted(by: { $0.range.lowerBound < $1.range.lowerBound })
        where !zone.range.isEmpty {
            let from = max(column, zone.range.lowerBound / perBar * barWidth)
            let to = ((zone.range.upperBound - 1) / perBar + 1) * barWidth
            let length = to - from - (barWidth > 1 ? 1 : 0)
            guard length > 0 else { continue }
            line += String(repeating: " ", count: from - column)
            let text: String
            if length < 3 {
                text = String(repeating: "─", count: length)
            } else if zones.count == 1, TerminalText.width(zone.name) > length - 2,
                to + TerminalText.width(zone.name) < room
            {
                // Alone, a name too long for its stretch may stand beside it.
                text = "╰" + String(repeating: "─", count: length - 2) + "╯ " + zone.name
            } else {
                let name = TerminalText.truncated(zone.name, to: length - 2)
                let rest = length - 2 - TerminalText.width(name)
                text =
                    "╰" + String(repeating: "─", count: rest / 2) + name
                    + String(repeating: "─", count: rest - rest / 2) + "╯"
            }
            line += style.ink(zone.ink, text)
            column = from + length
        }
        return line
    }
}
