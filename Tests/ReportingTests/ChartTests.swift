import Foundation
import Reporting
import Testing

@Suite struct TickTests {
    /// A fixed sequence of random ranges (SplitMix64), from tiny to huge and of either sign.
    static let ranges: [(Double, Double)] = {
        var state: UInt64 = 42
        func next() -> Double {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return Double((z ^ (z >> 31)) >> 11) / Double(UInt64(1) << 53)
        }
        return (0..<2000).map { _ in
            let scale = pow(10, next() * 40 - 20)
            let low = (next() - 0.5) * scale
            return (low, low + next() * scale)
        }
    }()

    @Test func ticksEncloseTheRangeInNiceSteps() {
        for (low, high) in Self.ranges {
            for target in [2, 5, 9] {
                let ticks = Ticks.enclosing(low, high, target: target)
                let (first, last) = (ticks.values.first ?? .nan, ticks.values.last ?? .nan)
                let slack = ticks.step * 1e-5
                #expect(first <= low + slack && last >= high - slack, "\(low)...\(high)")
                #expect(ticks.values.count >= 2 && ticks.values.count <= target + 2)
                let mantissa = ticks.step / pow(10, floor(log10(ticks.step) + 1e-9))
                #expect([1.0, 2, 5].contains { abs($0 - mantissa) < 1e-9 })
                for (a, b) in zip(ticks.values, ticks.values.dropFirst()) {
                    #expect(abs(b - a - ticks.step) < ticks.step * 1e-6)
                }
            }
        }
    }

    @Test(arguments: [0.0, 1, -3.5, 1e300, -1e308, 1e-300, 5e-324, .greatestFiniteMagnitude])
    func aRangeOfNoWidthStillHasTicks(value: Double) {
        let ticks = Ticks.enclosing(value, value, target: 5)
        #expect(ticks.values.count >= 2)
        #expect(ticks.values.allSatisfy { $0.isFinite })
        #expect(ticks.step > 0 && ticks.step.isFinite)
    }

    @Test func integerTicksAreWholeAndInside() {
        for high in 0...200 {
            let ticks = Ticks.integers(0, high, target: 6)
            #expect(ticks.values.first == 0)
            #expect(ticks.values.allSatisfy { $0 == $0.rounded() && (0...Double(high)) ~= $0 })
            #expect(ticks.values.count <= 8)
        }
    }

    @Test(arguments: [(0.2, 6.4), (1e-9, 1e9), (3.0, 3.0), (1e-300, 1e300), (0.1, 1.0)])
    func logarithmicTicksEnclose(low: Double, high: Double) {
        let ticks = Ticks.logarithmic(low, high)
        #expect(ticks.values == ticks.values.sorted())
        #expect((ticks.values.first ?? .nan) <= low * (1 + 1e-9))
        #expect((ticks.values.last ?? .nan) >= high * (1 - 1e-9))
        #expect((2...9) ~= ticks.values.count)
    }

    @Test func tickLabelsAreShortAndDistinct() {
        for (low, high) in Self.ranges {
            let ticks = Ticks.enclosing(low, high, target: 5)
            let labels = ticks.values.map { NumberText.tick($0, step: ticks.step) }
            #expect(Set(labels).count == labels.count, "\(labels)")
        }
        #expect([0, 0.05, 0.1].map { NumberText.tick($0, step: 0.05) } == ["0", "0.05", "0.10"])
        #expect(NumberText.tick(-0.5, step: 0.5) == "\u{2212}0.5")
        #expect(NumberText.tick(2e8, step: 1e8) == "2e8")
        #expect(NumberText.tick(15e8, step: 1e8) == "1.5e9")
    }
}

@Suite struct NumberTextTests {
    @Test(arguments: [
        (0.49, "0.4900"), (0.0853, "0.08530"), (10.79, "10.79"), (-3.14159, "-3.142"), (0, "0"),
        (0.99996, "1.000"), (123_456, "123456"), (1.5e6, "1.500e6"), (1.234e-7, "1.234e-7"),
        (.infinity, "–"), (.nan, "–"), (9.9999e5, "1.000e6"), (999_999.9, "1.000e6"),
    ])
    func significantDigits(value: Double, text: String) {
        #expect(NumberText.significant(value) == text)
    }

    @Test func otherForms() {
        #expect(NumberText.estimate(0.5, 0.0123) == "0.5000 ± 0.012")
        #expect(NumberText.estimate(0.5, nil) == "0.5000")
        #expect(NumberText.estimate(nil, 0.1) == "–")
        #expect(
            [0, 999, 1000, 1_234_567, -4321].map(NumberText.grouped)
                == ["0", "999", "1,000", "1,234,567", "-4,321"])
        #expect(NumberText.count(134_515_008) == "134.5 million")
        #expect(NumberText.bytes(1_288_490_189) == "1.20 GiB")
        #expect(NumberText.bytes(512) == "512 bytes")
        #expect(
            [0.412, 12.34, 59.97, 245, 7380].map(NumberText.duration)
                == ["0.41 s", "12.3 s", "1 min 00 s", "4 min 05 s", "2 h 03 min"])
        #expect(NumberText.percent(0.873) == "87\u{A0}%")
        #expect(NumberText.percent(0.0123) == "1.2\u{A0}%")
    }
}

@Suite struct ChartTests {
    private func chart(_ series: [LineChart.Series]) -> LineChart {
        LineChart(
            frame: ChartFrame(id: "c", title: "T", summary: "S", xLabel: "x", yLabel: "y"),
            series: series, xName: "Layer")
    }

    private func points(_ values: [Double?], error: Double? = nil) -> [LineChart.Point] {
        values.enumerated().map { .init(x: Double($0.offset), y: $0.element, error: error) }
    }

    @Test func aMissingValueBreaksTheLine() throws {
        let svg = chart([
            .init(name: "a", tone: 1, points: points([1, 2, nil, 3, 4, nil, 5]))
        ]).svg().text
        let reader = PageReader(svg)
        #expect(reader.problem == nil)
        let line = try #require(reader.elements.first { $0.attributes["class"] == "line tone1" })
        #expect(line.attributes["d"]?.count { $0 == "M" } == 2)
        // Every value has its dot, the one without neighbours too, and its tooltip.
        #expect(reader.count("circle") == 5)
        #expect(reader.elements.count { $0.attributes["class"] == "hit" } == 5)
    }

    @Test func pointsLieWhereTheAxisSays() {
        let reader = PageReader(
            chart([.init(name: "a", tone: 1, points: points([0, 5, 10]))]).svg().text)
        let heights = reader.elements.filter { $0.name == "circle" }
            .compactMap { $0.attributes["cy"].flatMap(Double.init) }
        #expect(heights.count == 3)
        #expect(abs(heights[1] - (heights[0] + heights[2]) / 2) < 0.02)
        #expect(heights[0] > heights[2], "larger values stand higher")
        let grid = reader.elements.filter { ["grid", "axis"].contains($0.attributes["class"]) }
            .compactMap { $0.attributes["d"] }
        #expect(grid.contains { $0.contains(" \(NumberText.plain(heights[2]))H") })
    }

    @Test func bandsAppearOnlyWithErrors() {
        let with = chart([.init(name: "a", tone: 2, points: points([1, 2, 3], error: 0.2))])
        let without = chart([.init(name: "a", tone: 2, points: points([1, 2, 3]))])
        #expect(with.svg().text.contains("band tone2"))
        #expect(!without.svg().text.contains("band tone2"))
        #expect(with.svg().text.contains("a: 2.000 ± 0.20"))
    }

    @Test func veryUnequalPositiveValuesGetALogarithmicAxis() {
        #expect(
            chart([.init(name: "a", tone: 1, points: points([6, 0.2, 0.2, 0.3]))])
                .prefersLogarithm)
        for values in [[3, 2, 1], [6, 0.2, -0.1, 0.3], [6, 0.2, 0, 0, 0.3]] {
            let chart = chart([.init(name: "a", tone: 1, points: points(values))])
            #expect(!chart.prefersLogarithm, "\(values)")
        }
        var shares = chart([.init(name: "a", tone: 1, points: points([1, 0.01, 0.01, 0.02]))])
        #expect(shares.prefersLogarithm)
        shares.top = 1
        #expect(!shares.prefersLogarithm)
    }

    /// A divergence is 0 at the output's boundary.
    @Test func aLogarithmicAxisLeavesZeroOutOfTheLine() {
        let chart = chart([.init(name: "a", tone: 1, points: points([90, 0.2, 0.3, 0.2, 0]))])
        #expect(chart.prefersLogarithm)
        let reader = PageReader(chart.svg().text)
        #expect(reader.problem == nil)
        #expect(reader.count("circle") == 4)
        #expect(reader.elements.count { $0.attributes["class"] == "hit" } == 5)
        #expect(reader.text.contains("a: 0"))
    }

    @Test func sharesStayBetweenZeroAndOne() {
        var shares = chart([
            .init(name: "a", tone: 1, points: points([0, 0.5, 1], error: 0.3))
        ])
        shares.top = 1
        let text = PageReader(shares.svg().text).text
        #expect(text.contains("1.0"))
        #expect(!text.contains("1.2") && !text.contains("\u{2212}"))
    }

    @Test func barsStandOnZero() throws {
        let bars = BarChart(
            frame: ChartFrame(id: "b", title: "T", summary: "S", xLabel: "x", yLabel: "y"),
            bars: points([0.2, -0.1, nil]), tone: 1, xName: "Layer", valueName: "v")
        let reader = PageReader(bars.svg().text)
        #expect(reader.problem == nil)
        let drawn = reader.elements.filter { $0.attributes["class"] == "bar tone1" }
        try #require(drawn.count == 2)
        func side(_ index: Int, _ name: String) -> Double {
            drawn[index].attributes[name].flatMap(Double.init) ?? .nan
        }
        // The foot of the positive bar is the head of the negative one.
        #expect(abs(side(0, "y") + side(0, "height") - side(1, "y")) < 0.02)
        #expect(abs(side(0, "height") - 2 * side(1, "height")) < 0.03)
    }

    @Test func heatmapShadesByValue() throws {
        let cells = [1.0, 2, 3, .nan].enumerated().map {
            Heatmap.Cell(
                column: $0.offset, row: 0, value: $0.element, tooltip: "<\($0.element)>",
                marked: $0.offset == 1)
        }
        let map = Heatmap(
            frame: ChartFrame(id: "h", title: "T", summary: "S", xLabel: "x", yLabel: "y"),
            cells: cells, valueName: "value")
        let reader = PageReader(map.svg().text)
        #expect(reader.problem == nil)
        #expect(reader.elements.count { $0.attributes["class"] == "marked" } == 1)
        // The marked cell is drawn last.
        let shades = reader.values("opacity").compactMap(Double.init)
        #expect(shades == [0.06, 1, 0.53])
        #expect(reader.text.contains("<2.0>"))
        // The numbers behind it, as the page saves them.
        #expect(reader.text.contains("x,y,value 0,0,1 1,0,2 2,0,3"))
    }

    /// Dots where the values lie, the front through those that nothing cheaper beats, and the numbers.
    @Test func scatterDrawsEveryPoint() throws {
        let chart = ScatterChart(
            frame: ChartFrame(
                id: "s", title: "T", summary: "S", xLabel: "cost", yLabel: "gain", width: 400,
                height: 300),
            points: [
                .init(x: 1, y: 0, name: "base", isFilled: true),
                .init(x: 2, y: 1, name: "a, b\nmore", isFilled: false),
                .init(x: .infinity, y: 1, name: "lost", isFilled: false),
            ], front: [(x: 1, y: 0), (x: 2, y: 1)], names: ("sure", "seen", "front"))
        let reader = PageReader(chart.svg().text)
        #expect(reader.problem == nil)
        let dots = reader.elements.filter { $0.name == "circle" }
        // Two of the legend, then the hollow point under the filled one.
        #expect(
            dots.map { $0.attributes["class"] } == [
                "dot tone2", "ring tone1", "ring tone1", "dot tone2",
            ])
        let x = try dots.suffix(2).map { try #require(Double($0.attributes["cx"] ?? "")) }
        #expect(x[0] > x[1])
        #expect(reader.text.contains("name,cost,gain,sure base,1,0,1 \"a, b\",2,1,0"))
        #expect(reader.text.contains("more") && !reader.text.contains("lost"))
    }

    @Test func markupEscapesEveryInterpolatedString() {
        let value = "<&>\"'"
        let markup: Markup = "<p title=\"\(value)\">\(value)</p>"
        #expect(
            markup.text
                == "<p title=\"&lt;&amp;&gt;&quot;&#39;\">&lt;&amp;&gt;&quot;&#39;</p>")
        let coordinates: Markup = "\(1.0) \(0.005) \(-2.5) \(3.14159) \(Double.nan) \(-0.001)"
        #expect(coordinates.text == "1 0.01 -2.5 3.14 0 0")
    }
}

extension NumberText {
    /// A coordinate as it stands in an attribute.
    static func plain(_ value: Double) -> String {
        let markup: Markup = "\(value)"
        return markup.text
    }
}
