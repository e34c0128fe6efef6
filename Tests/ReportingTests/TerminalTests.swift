import Analysis
import Foundation
import Records
import Reporting
import Synchronization
import TestSupport
import Testing

/// Escape sequences are stripped here to compare what a person reads.
private func stripped(_ text: String) -> String {
    text.replacing(/\u{1B}\[[0-9;]*[A-Za-z]/, with: "")
}

@Suite struct TerminalTextTests {
    @Test(arguments: [
        ("", 0), ("abc", 3), ("é", 1), ("e\u{301}", 1), ("日本", 4), ("한글", 4), ("한", 2),
        ("🙂", 2), ("👩‍👩‍👧", 2), ("🇫🇷", 2), ("☎", 1), ("☎\u{FE0F}", 2), ("␣⏎", 2),
        ("ﬁ", 1), ("Ａ", 2), ("\u{200B}", 0), ("─│█", 3), ("مرحبا", 5), ("ไม่", 2), ("#", 1),
    ])
    func widthInColumns(text: String, columns: Int) {
        #expect(TerminalText.width(text) == columns)
    }

    @Test func cutsWithoutSplittingWideCharacters() {
        #expect(TerminalText.truncated("日本語", to: 6) == "日本語")
        #expect(TerminalText.truncated("日本語", to: 5) == "日本…")
        #expect(TerminalText.truncated("日本語", to: 4) == "日…")
        #expect(TerminalText.truncated("abc", to: 0) == "")
        for width in 0...12 {
            let cut = TerminalText.truncated("a日b本c語🙂d", to: width)
            #expect(TerminalText.width(cut) <= width)
        }
    }

    @Test func controlCharactersCannotReachTheTerminal() {
        let visible = TerminalText.visible("a\u{1B}[31m\r\n\u{9B}b\u{202E}")
        #expect(visible == "a␛[31m␍␊\u{FFFD}b\u{FFFD}")
    }

    @Test func wrapsAtSpaces() {
        #expect(TerminalText.wrapped("one two three", to: 7) == ["one two", "three"])
        #expect(TerminalText.wrapped("unbreakable a", to: 4) == ["unbreakable", "a"])
        #expect(TerminalText.wrapped("", to: 4) == [])
    }

    @Test func colourRules() {
        #expect(TerminalStyle.allowsColor(isTerminal: true, [:]))
        #expect(!TerminalStyle.allowsColor(isTerminal: false, [:]))
        #expect(!TerminalStyle.allowsColor(isTerminal: true, ["NO_COLOR": "1"]))
        #expect(TerminalStyle.allowsColor(isTerminal: true, ["NO_COLOR": ""]))
        #expect(!TerminalStyle.allowsColor(isTerminal: true, ["TERM": "dumb"]))
        #expect(TerminalStyle.plain.bold("x") == "x")
        #expect(TerminalStyle(color: true).ink(.red, "x") == "\u{1B}[31mx\u{1B}[0m")
    }
}

@Suite struct TerminalSummaryTests {
    @Test func tableAsWritten() throws {
        let table = TerminalTable(
            columns: [.init("Token"), .init("Count", isNumeric: true), .init("Note")],
            rows: [
                ["日本", "12", "wide"], ["e\u{301}tude", "3"], ["\u{1B}[2J", "1,024", "hostile"],
            ])
        let golden = try String(
            contentsOf: Locations.golden("reporting/table.txt"), encoding: .utf8)
        #expect(table.text(style: .plain) == golden)
    }

    @Test func summariesAsWritten() throws {
        let abstained = TerminalSummary.text(
            layers: Fixtures.layers(), split: Fixtures.abstained(), passes: declarations,
            style: .plain, width: 80)
        let proposed = TerminalSummary.text(
            layers: Fixtures.layers(Fixtures.olmoDistances), split: Fixtures.proposed,
            passes: declarations,
            style: .plain, width: 80)
        let golden = try String(
            contentsOf: Locations.golden("reporting/summaries.txt"), encoding: .utf8)
        #expect(abstained + "========\n" + proposed == golden)
    }

    @Test(arguments: [40, 60, 80, 200]) func keepsToTheWidth(width: Int) {
        let distances = (0..<80).map { 0.1 + 0.3 / Double($0 + 1) }
        let text = TerminalSummary.text(
            layers: Fixtures.layers(distances), split: Fixtures.abstained(distances),
            passes: declarations,
            style: .plain, width: width)
        let chart = text.components(separatedBy: "Alternatives")[0]
        for line in chart.split(separator: "\n") {
            #expect(TerminalText.width(String(line)) <= width, "\(line)")
        }
    }

    @Test func colourAddsNothingButColour() {
        func text(_ color: Bool) -> String {
            TerminalSummary.text(
                layers: Fixtures.layers(), split: Fixtures.abstained(), passes: declarations,
                style: TerminalStyle(color: color))
        }
        #expect(!text(false).contains("\u{1B}"))
        #expect(text(true).contains("\u{1B}[33m"))
        func trimmed(_ text: String) -> [String] {
            text.components(separatedBy: "\n").map {
                $0.replacing(/\ +$/, with: "")
            }
        }
        #expect(trimmed(stripped(text(true))) == trimmed(text(false)))
    }

    @Test func withoutMeasurementsTheVerdictStillStands() {
        var layers = Fixtures.layers([0.4])
        layers.layers[0].metrics = [:]
        var split = Fixtures.abstained([0.4])
        split.abstention = "a \u{1B}[31mmodel of one layer"
        let text = TerminalSummary.text(
            layers: layers, split: split, passes: declarations, style: .plain)
        #expect(text.hasPrefix("No split proposed\nA ␛[31mmodel of one layer. Selector: kneedle."))
        #expect(text.contains("There is no alternative to rank."))
        #expect(!text.contains("by layer"))
    }

    @Test func sparklineScalesToTheLargest() {
        #expect(TerminalChart.sparkline([0, 1, 4, 8, nil, .nan]) == " ▁▄█  ")
        #expect(TerminalChart.sparkline([]) == "")
        #expect(TerminalChart.sparkline([0, 0]) == "  ")
    }

    @Test func chartHeightsFollowTheValues() {
        let text = TerminalChart(values: [1, 0.5, nil, 0.2], zones: []).text(
            style: .plain, width: 40)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines[0] == "1.0 │██")
        #expect(lines[2] == "    │██ ▄▄")
        #expect(lines[4] == "  0 ┤██ ██    ██")
        #expect(lines[5].hasPrefix("     0"))
    }
}

@Suite struct LensTests {
    @Test func pageIsWellFormedAndComplete() {
        let page = LensPage.page(Fixtures.lens)
        let reader = PageReader(page)
        #expect(reader.problem == nil)
        #expect(reader.loadedResources.isEmpty)
        #expect(!page.contains("://"))
        #expect(reader.count("td") == 5 * 4)
        // One cell is in the tab order; arrows walk from there.
        #expect(reader.elements.count { $0.name == "td" && $0.attributes["tabindex"] == "0" } == 1)
        #expect(reader.values("class").count { $0 == "settled" } == 4)
        for row in Fixtures.lens.rows {
            for cell in row.cells {
                for candidate in cell.top {
                    let share = NumberText.percent(candidate.probability)
                    #expect(
                        reader.text.contains(
                            "\(LensTable.marked(candidate.token.text)) "
                                + share.replacing("\u{A0}", with: " ")))
                }
            }
        }
        #expect(LensPage.page(Fixtures.lens) == page)
    }

    @Test func hostileTokensAndRaggedRows() {
        var lens = Fixtures.lens
        lens.prompt[0].text = "</td><script>\u{0}\u{FFFD}"
        lens.model = "<m>"
        lens.rows[1].cells.removeLast(2)
        lens.rows[2].cells[0] = .init(
            top: [], entropy: nil, klToFinal: .nan, finalRank: nil, finalProbability: nil)
        let reader = PageReader(LensPage.page(lens))
        #expect(reader.problem == nil)
        #expect(reader.count("script") == 1)
        #expect(reader.text.contains("</td><script>␀"))
        #expect(!reader.values("style").contains { $0.contains("nan") })
        let empty = LensTable(model: "m", prompt: [], rows: [])
        #expect(PageReader(LensPage.page(empty)).problem == nil)
        #expect(empty.text(width: 80, color: false) == "")
    }

    @Test func marksWhatCannotBeSeen() {
        #expect(LensTable.marked(" a\n\t") == "␣a⏎⇥")
        #expect(LensTable.marked("") == "∅")
        #expect(LensTable.marked("\u{1B}") == "␛")
    }

    @Test func jsonHoldsEveryNumber() throws {
        var lens = Fixtures.lens
        lens.rows[0].cells[0].entropy = .nan
        let json = lens.json
        #expect(json["schema"]?.stringValue == "etd-lens/v1")
        let rows = try #require(json["rows"]?.arrayValue)
        #expect(rows.count == 5)
        let cell = try #require(rows[3]["cells"]?.arrayValue?[2])
        let source = lens.rows[3].cells[2]
        #expect(cell["entropy"]?.doubleValue == source.entropy)
        #expect(cell["kl_to_final"]?.doubleValue == source.klToFinal)
        #expect(cell["final_rank"]?.intValue == source.finalRank)
        #expect(cell["final_probability"]?.doubleValue == source.finalProbability)
        let top = try #require(cell["top"]?.arrayValue)
        #expect(top.map { $0["text"]?.stringValue } == source.top.map(\.token.text))
        #expect(top.map { $0["id"]?.intValue } == source.top.map(\.token.id))
        #expect(top.map { $0["probability"]?.doubleValue } == source.top.map(\.probability))
        #expect(rows[0]["cells"]?.arrayValue?[0]["entropy"] == nil)
    }

    @Test func textBreaksIntoBlocks() {
        let whole = Fixtures.lens.text(width: 80, color: false)
        let lines = whole.split(separator: "\n")
        #expect(lines.count == 6)
        #expect(lines[0] == "   The        ␣capital   ␣of        ␣France")
        #expect(lines[1].hasPrefix(" 4 ␣is        ␣the"), "the last boundary stands on top")
        let narrow = Fixtures.lens.text(width: 30, color: false)
        #expect(narrow.split(separator: "\n").count == 12)
        #expect(narrow.split(separator: "\n").allSatisfy { TerminalText.width(String($0)) <= 30 })
        #expect(Fixtures.lens.text(width: 80, color: true).contains("\u{1B}[32m"))
    }
}

@Suite struct ProgressTests {
    /// A clock moved by hand and a list in place of the terminal.
    final class Stage: Sendable {
        let time = Mutex(0.0)
        let lines = Mutex<[String]>([])

        func reporter(total: Int, isTerminal: Bool, quiet: Bool = false) -> ProgressReporter {
            ProgressReporter(
                label: "probe", total: total, unit: "tokens", quiet: quiet,
                output: ProgressOutput(
                    isTerminal: isTerminal, width: { 80 },
                    write: { text in self.lines.withLock { $0.append(text) } }),
                now: { self.time.withLock { $0 } })
        }

        func pass(_ seconds: Double) { time.withLock { $0 += seconds } }
        var written: [String] { lines.withLock { $0 } }
    }

    @Test func lineHasBarRateElapsedAndRemaining() {
        let line = ProgressLine(
            label: "probe", done: 3072, total: 6144, unit: "tokens", elapsed: 96)
        #expect(
            line.bar(width: 100)
                == "probe " + String(repeating: "━", count: 15) + String(repeating: "─", count: 15)
                + "  50 %  3,072/6,144 tokens  32.0 tokens/s  1:36  ETA 1:36")
        #expect(line.plain == "probe: 3,072 of 6,144 tokens (50 %), 1 min 36 s, 1 min 36 s left")
        #expect(line.closing == "probe: 3,072 tokens in 1 min 36 s (32.0 tokens/s)")
        let unknown = ProgressLine(label: "x", done: 5, total: 0, unit: "files", elapsed: 10)
        #expect(unknown.bar(width: 80) == "x 5 files  0.500 files/s  0:10")
        let over = ProgressLine(label: "x", done: 12, total: 10, unit: "files", elapsed: 1)
        #expect(over.fraction == 1 && over.remaining == 0)
        #expect(ProgressLine(label: "x", done: 0, total: 9, unit: "u", elapsed: 0).rate == nil)
        for width in 1...120 {
            #expect(TerminalText.width(line.bar(width: width)) <= max(1, width - 1))
        }
    }

    @Test func onATerminalOneLineIsRedrawnAtMostTenTimesASecond() {
        let stage = Stage()
        let reporter = stage.reporter(total: 1000, isTerminal: true)
        for _ in 0..<1000 {
            stage.pass(0.001)
            reporter.advance(by: 1)
        }
        reporter.finish()
        let written = stage.written
        #expect((9...12).contains(written.count))
        #expect(written.allSatisfy { $0.hasPrefix("\r") })
        #expect(written.dropLast().allSatisfy { !$0.contains("\n") })
        #expect(written.last == "\rprobe: 1,000 tokens in 1.00 s (1000 tokens/s)\u{1B}[K\n")
    }

    @Test func elsewhereThereAreFewPlainLines() {
        let stage = Stage()
        let reporter = stage.reporter(total: 1000, isTerminal: false)
        for _ in 0..<1000 {
            stage.pass(0.15)
            reporter.advance(by: 1)
        }
        reporter.finish()
        reporter.finish()
        reporter.advance(by: 5)
        #expect((9...11).contains(stage.written.count))
        #expect(stage.written.allSatisfy { $0.hasSuffix("\n") && !$0.contains("\r") })
        #expect(stage.written.last?.hasPrefix("probe: 1,000 tokens in 2 min 30 s") == true)
    }

    @Test func aSlowJobStillGivesASignOfLife() {
        let stage = Stage()
        let reporter = stage.reporter(total: 1_000_000, isTerminal: false)
        for _ in 0..<5 {
            stage.pass(61)
            reporter.advance(by: 1)
        }
        #expect(stage.written.count == 5)
    }

    /// Seconds left as the last line said.
    private func remaining(_ stage: Stage) throws -> Double {
        let line = try #require(stage.written.last)
        let clock = try #require(line.firstMatch(of: /ETA (\S+?)\u{1B}/)).1
        return clock.split(separator: ":").reduce(0) { $0 * 60 + Double($1)! }
    }

    /// An hour's work, half as fast from the third to the twelfth minute.
    @Test func theTimeLeftForgetsWhatOnceHeldTheJobUp() throws {
        let stage = Stage()
        let reporter = stage.reporter(total: 360_000, isTerminal: true)
        var done = 0
        for second in 0..<25 * 60 {
            let count = (180..<720).contains(second) ? 50 : 100
            stage.pass(1)
            reporter.advance(by: count)
            done += count
            let truth = Double(360_000 - done) / Double(count)
            switch second {
            case 170: #expect(try (remaining(stage) - truth).magnitude <= 1)
            case 1499: #expect(try (remaining(stage) / truth - 1).magnitude < 0.03)
            default: break
            }
        }
        // By the mean of the job, as without a pace, it would be a fifth too long.
        let mean = ProgressLine(
            label: "probe", done: done, total: 360_000, unit: "tokens", elapsed: 1500)
        let truth = Double(360_000 - done) / 100
        #expect(try #require(mean.remaining) / truth > 1.2)
    }

    @Test func quietWritesNothing() {
        let stage = Stage()
        let reporter = stage.reporter(total: 10, isTerminal: true, quiet: true)
        stage.pass(100)
        reporter.advance(by: 10)
        reporter.finish()
        #expect(stage.written.isEmpty)
    }

    @Test func countsFromManyThreads() async {
        let stage = Stage()
        let reporter = stage.reporter(total: 8000, isTerminal: true)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask { for _ in 0..<1000 { reporter.advance(by: 1) } }
            }
        }
        stage.pass(4)
        reporter.finish()
        #expect(stage.written.last?.contains("8,000 tokens in 4.00 s") == true)
    }
}
