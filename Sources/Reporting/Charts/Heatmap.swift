import Files

/// A grid of values over two whole-number axes. The shade is the fill's opacity over the page's own
/// background, so it works in light and dark.
package struct Heatmap: Sendable {
    package struct Cell: Sendable {
        package var column: Int
        package var row: Int
        package var value: Double
        package var tooltip: String
        /// Outlined: the cell the text speaks of.
        package var marked: Bool

        package init(column: Int, row: Int, value: Double, tooltip: String, marked: Bool) {
            self.column = column
            self.row = row
            self.value = value
            self.tooltip = tooltip
            self.marked = marked
        }
    }

    package var frame: ChartFrame
    /// Cells without a finite value are left out.
    package var cells: [Cell]
    /// What the scale under the picture measures.
    package var valueName: String
    /// Stand at the rows in place of numbers, from the lowest row up.
    package var rowNames: [String]?

    package init(frame: ChartFrame, cells: [Cell], valueName: String) {
        self.frame = frame
        self.cells = cells.filter(\.value.isFinite)
        self.valueName = valueName
    }

    package func svg() -> Markup {
        let columns = (cells.map(\.column).min() ?? 0)...(cells.map(\.column).max() ?? 0)
        let rows = (cells.map(\.row).min() ?? 0)...(cells.map(\.row).max() ?? 0)
        let low = cells.map(\.value).min() ?? 0
        let high = cells.map(\.value).max() ?? 1
        let widest = (rowNames ?? []).map(ChartFrame.textWidth).max()
        let (left, top, right) = (widest.map { $0 + 16 } ?? 48, 30.0, frame.width - 12)
        let bottom = frame.height - 42
        let width = (right - left) / Double(columns.count)
        let height = (bottom - top) / Double(rows.count)
        func x(_ column: Int) -> Double { left + Double(column - columns.lowerBound) * width }
        func y(_ row: Int) -> Double { bottom - Double(row - rows.lowerBound + 1) * height }
        func share(_ value: Double) -> Double {
            high > low ? value / (high - low) - low / (high - low) : 0.5
        }
        // Marked cells last: their outline lies over the neighbours.
        let ordered = cells.filter { !$0.marked } + cells.filter(\.marked)
        // Thousands of cells: each is a stroke as thick as a row, the shortest markup that draws one.
        func tenth(_ value: Double) -> Double { (value * 10).rounded() / 10 }
        let (across, down) = (tenth(max(0.5, width - 1)), tenth(max(0.5, height - 1)))
        let drawn = ordered.map { cell -> Markup in
            let left = tenth(x(cell.column) + 0.5)
            let middle = tenth(y(cell.row) + 0.5 + down / 2)
            let outline: Markup? =
                cell.marked
                ? """
                <rect class="marked" x="\(left)" y="\(middle - down / 2)" width="\(across)" height="\(down)"/>
                """ : nil
            return """
                <path d="M\(left) \(middle)h\(across)" opacity="\(0.06 + 0.94 * share(cell.value))">\
                <title>\(cell.tooltip)</title></path>\(outline)
                """
        }
        let columnTicks = Ticks.integers(columns.lowerBound, columns.upperBound, target: 8)
        let rowTicks = Ticks.integers(rows.lowerBound, rows.upperBound, target: 6)
        let columnLabels = columnTicks.values.map { value -> Markup in
            """
            <text class="tick middle" x="\(x(Int(nearest: value)) + width / 2)" y="\(bottom + 16)">\
            \(Int(nearest: value))</text>
            """
        }
        let names = (rowNames ?? []).enumerated().map { index, name -> Markup in
            """
            <text class="tick end" x="\(left - 6)" y="\(y(rows.lowerBound + index) + height / 2 + 4)">\
            \(name)</text>
            """
        }
        let numbers = rowTicks.values.map { value -> Markup in
            """
            <text class="tick end" x="\(left - 6)" y="\(y(Int(nearest: value)) + height / 2 + 4)">\
            \(Int(nearest: value))</text>
            """
        }
        let rowLabels = rowNames == nil ? numbers : names
        return """
            <svg class="chart" viewBox="0 0 \(frame.width) \(frame.height)" role="img" \
            aria-labelledby="\(frame.id)-title \(frame.id)-summary" \
            xmlns="http://www.w3.org/2000/svg">\
            <title id="\(frame.id)-title">\(frame.title)</title>\
            <desc id="\(frame.id)-summary">\(frame.summary)</desc>\(values)
            \(scale(low, high, right: right))<g class="cells" stroke-width="\(down)">\(drawn)</g>\(columnLabels)\(rowLabels)\
            <text class="label middle" x="\((left + right) / 2)" y="\(frame.height - 6)">\
            \(frame.xLabel)</text>\
            <text class="label middle" transform="translate(13 \((top + bottom) / 2)) rotate(-90)">\
            \(frame.yLabel)</text></svg>
            """
    }

    private var values: Markup? {
        let lowest = cells.map(\.row).min() ?? 0
        return frame.data(
            [frame.xLabel, frame.yLabel, valueName],
            cells.map { cell in
                let name = rowNames.flatMap { names in
                    names.indices.contains(cell.row - lowest) ? names[cell.row - lowest] : nil
                }
                return ["\(cell.column)", name ?? "\(cell.row)", ChartFrame.field(cell.value)]
            })
    }

    /// The key above the grid: name, lowest value, five shades, highest value.
    private func scale(_ low: Double, _ high: Double, right: Double) -> Markup {
        let lowText = NumberText.significant(low, digits: 3)
        let highText = NumberText.significant(high, digits: 3)
        let end = right - ChartFrame.textWidth(highText) - 4
        let swatches = (0..<5).map { index -> Markup in
            """
            <rect class="heat" x="\(end - 80 + Double(index) * 16)" y="5" width="16" height="10" \
            fill-opacity="\(0.06 + 0.94 * Double(index) / 4)"/>
            """
        }
        return """
            \(swatches)<text class="tick end" x="\(right)" y="14">\(highText)</text>\
            <text class="tick end" x="\(end - 85)" y="14">\(lowText)</text>\
            <text class="legend" x="48" y="14">\(valueName)</text>
            """
    }
}
