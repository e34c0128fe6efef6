import Plans
import Records

/// A comparison of runs as one page that opens offline: splits as strips, each metric's curves over each other,
/// and the difference with its band.
public enum ComparePage {
    /// - Returns: the same bytes for the same comparison; loads nothing.
    public static func page(_ comparison: RunComparison, createdBy: String) -> String {
        let names = comparison.runs.enumerated().map { index, run in
            "\(CompareTable.letters[index]): \(run.name)"
        }
        let notes = comparison.notes.map { note -> Markup in "<li>\(note)</li>" }
        let list: Markup? = notes.isEmpty ? nil : "<ul class=\"note\">\(notes)</ul>"
        let pictures = comparison.rows.map { figure(comparison, $0) }
        // Without differences a curve stands alone, and two of them fit beside each other.
        let hasDifferences = comparison.rows.allSatisfy { Set($0.values.map(\.count)).count == 1 }
        let figures: Markup =
            hasDifferences ? "\(pictures)" : "<div class=\"pair\">\(pictures)</div>"
        let body: Markup = """
            <header>
            <p class="eyebrow">ETD comparison</p>
            <h1>\(Prose.counted(comparison.runs.count, "run")) side by side</h1>
            </header>
            <main>
            <section id="runs" aria-labelledby="runs-heading">
            <h2 id="runs-heading">Runs and splits</h2>
            \(table(comparison))\(list)
            </section>
            <section id="curves" aria-labelledby="curves-heading">
            <h2 id="curves-heading">Curves</h2>
            <p>Bands of the curves are ± one standard error over documents. Bands of differences hold with 95 % \
            for all places together.</p>
            \(figures)
            </section>
            </main>
            <footer><p>Made by \(createdBy). This file is complete in itself and loads nothing.</p></footer>

            """
        return PageShell.page(
            title: "\(names.joined(separator: " · ")) · ETD comparison",
            style: "\(Stylesheet.report)", body: body,
            script: "\(Stylesheet.script)")
    }

    private static func table(_ comparison: RunComparison) -> Markup {
        let rows = comparison.runs.enumerated().map { index, run -> Markup in
            let model = run.layers.model
            return """
                <tr><th scope="row" class="text">\(CompareTable.letters[index])</th>\
                <td class="text"><bdi>\(run.name)</bdi></td>\
                <td class="text">\(strip(run))</td><td class="text">\(run.notation)</td>\
                <td>\(run.split?.confidence.map { NumberText.percent($0) } ?? "–")</td>\
                <td class="text">\(run.layers.plan ?? "as it is")</td><td>\(model.layers)</td>\
                <td>\(NumberText.grouped(run.layers.data.tokens))</td>\
                <td class="text"><bdi>\(CompareTable.name(model.path))</bdi></td></tr>

                """
        }
        return """
            <div class="scroll" tabindex="0" role="group" aria-label="Runs"><table><thead><tr>\
            <th scope="col" class="text"></th><th scope="col" class="text">Run</th>\
            <th scope="col" class="text">Think block</th><th scope="col" class="text">Split</th>\
            <th scope="col" class="number">Confidence</th><th scope="col" class="text">Plan</th>\
            <th scope="col" class="number">Layers</th><th scope="col" class="number">Tokens</th>\
            <th scope="col" class="text">Model</th></tr></thead>
            <tbody>\(rows)</tbody></table></div>

            """
    }

    /// The layers as a strip on which the think block stands out.
    private static func strip(_ run: RunComparison.Run) -> Markup {
        guard let split = run.split?.split else { return "–" }
        let width = 160.0 / Double(max(1, split.layers))
        return """
            <svg viewBox="0 0 160 12" width="160" height="12" role="img" \
            aria-label="\(Prose.layerRange(split.thinkRange))" xmlns="http://www.w3.org/2000/svg">\
            <rect class="cell zone-none" x="0" y="0" width="160" height="12"/>\
            <rect class="cell zone-think" x="\(Double(split.encoder) * width)" y="0" \
            width="\(Double(split.think) * width)" height="12"/></svg>
            """
    }

    private static func figure(_ comparison: RunComparison, _ row: RunComparison.Row) -> Markup {
        let counts = row.values.map(\.count)
        let isSame = Set(counts).count == 1
        let place = row.place == .layer ? "Layer" : "Boundary"
        let unit = row.unit.isEmpty ? row.title : "\(row.title) (\(row.unit))"
        func x(_ index: Int, _ count: Int) -> Double {
            isSame ? Double(index) : RunComparison.depth(index, of: count, row.place)
        }
        let series = row.values.enumerated().map { run, values in
            LineChart.Series(
                name: CompareTable.letters[run], tone: run + 1,
                points: values.enumerated().map { index, value in
                    LineChart.Point(
                        x: x(index, values.count), y: value, error: row.errors[run][index])
                })
        }
        let summary = row.differences.enumerated().compactMap { index, difference -> String? in
            difference.correlation.map {
                "rank correlation of A and \(CompareTable.letters[index + 1]) "
                    + NumberText.significant($0, digits: 3)
            }
        }.joined(separator: ", ")
        var curves = LineChart(
            frame: ChartFrame(
                id: "curve-\(row.name)", title: row.title, summary: summary,
                xLabel: isSame ? place : "Relative depth", yLabel: unit),
            series: series, xName: isSame ? place : "Depth")
        curves.integerX = isSame
        var pictures: [Markup] = [curves.svg()]
        let drawn = row.differences.enumerated().filter { !$0.element.values.isEmpty }
        if isSame, !drawn.isEmpty {
            var chart = LineChart(
                frame: ChartFrame(
                    id: "difference-\(row.name)", title: "\(row.title), difference",
                    summary: "Later runs less A, by \(row.place.rawValue).", xLabel: place,
                    yLabel: "Difference to A"),
                series: drawn.map { index, difference in
                    LineChart.Series(
                        name: "\(CompareTable.letters[index + 1]) less A", tone: index + 2,
                        points: difference.values.enumerated().map { place, value in
                            guard let value, place < difference.low.count else {
                                return LineChart.Point(x: Double(place), y: value)
                            }
                            return LineChart.Point(
                                x: Double(place), y: value, low: difference.low[place],
                                high: difference.high[place])
                        })
                }, xName: place)
            chart.references = [.y(0, label: "no difference")]
            pictures.append(chart.svg())
        }
        return """
            <figure><figcaption><h3>\(row.title)</h3><p>\(Prose.sentence(summary))</p></figcaption>\
            \(pictures.count > 1 ? "<div class=\"pair\">\(pictures)</div>" : pictures[0])</figure>

            """
    }
}
