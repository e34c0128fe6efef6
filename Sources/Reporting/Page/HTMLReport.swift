import Plans
import Records

/// `report.html`: a run as one page that opens offline, in light and dark, on a phone and on paper.
///
/// The page measures and decides nothing: every number on it stands in the records it is given.
/// It loads nothing: style, pictures and the little script are inline; links to papers are the only
/// addresses.
public enum HTMLReport {
    /// - Parameters:
    ///   - layers: Any of its metrics may be missing; what was not measured is named, not drawn.
    ///   - run: How the run was made; nil when only the measurements are at hand.
    ///   - passes: what measuring passes say of their metrics, and what is drawn of them.
    ///   - scans: of the same folder; nil without.
    /// - Returns: The same bytes for the same records.
    public static func page(
        layers: LayersRecord, split: SplitRecord, run: RunRecord?, passes: [PassDeclaration],
        scans: ScansRecord? = nil
    ) -> String {
        let content = ReportContent(
            layers: layers, split: split, run: run, passes: passes, scans: scans)
        let sections = content.sections
        let links = sections.dropFirst().map { section -> Markup in
            "<a href=\"#\(section.id)\">\(section.short)</a>"
        }
        let name = content.modelName
        let parts = sections.map { section -> Markup in
            """
            <section id="\(section.id)" aria-labelledby="\(section.id)-heading">
            <h2 id="\(section.id)-heading">\(section.title)</h2>
            \(section.body)
            </section>

            """
        }
        let body: Markup = """
            <header>
            <p class="eyebrow">ETD layer report</p>
            <h1><bdi>\(name)</bdi></h1>
            <nav aria-label="Sections">\(Array(links))</nav>
            </header>
            <main>
            \(parts)</main>
            <footer><p>\(content.colophon)</p></footer>

            """
        return PageShell.page(
            title: "\(content.headline) · \(name) · ETD layer report",
            style: "\(Stylesheet.report)", body: body,
            script: "\(Stylesheet.script)")
    }
}

/// One section of the page.
struct ReportSection {
    var id: String
    var title: String
    /// In the list of sections at the top.
    var short: String
    var body: Markup
}

/// The records of one report, and what several sections need to know about them.
struct ReportContent {
    let layers: LayersRecord
    let split: SplitRecord
    let run: RunRecord?
    let passes: [PassDeclaration]
    let scans: ScansRecord?

    /// Every section of the page, in order. One that has nothing to show is left out.
    var sections: [ReportSection] {
        let before: [ReportSection?] = [
            verdict, answersSection, facts, relevanceSection, scansSection,
        ]
        let after: [ReportSection?] = [
            sinksSection, probesSection, selectionSection, tables, glossary, reproduction,
        ]
        return before.compactMap { $0 } + passSections + after.compactMap { $0 }
    }

    /// The last part of the model's path.
    var modelName: String {
        layers.model.path.split(separator: "/").last.map(String.init) ?? layers.model.architecture
    }

    /// The verdict in a few words.
    var headline: String { split.split?.notation ?? "No split proposed" }

    /// The split that pictures show: the proposed one, else the leading alternative.
    var shownSplit: Split? { split.split ?? split.alternatives.first?.split }

    var colophon: Markup {
        let maker: Markup? = split.createdBy.isEmpty ? nil : "Made by \(split.createdBy). "
        let when: Markup? = run.flatMap { $0.created.isEmpty ? nil : "Run of \($0.created). " }
        return "\(maker)\(when)This file is complete in itself and loads nothing."
    }

    enum Axis {
        /// x counts layers: layer l is the stretch l ± ½.
        case layers
        /// x counts boundaries: layer l is the stretch from l to l + 1.
        case boundaries
    }

    /// Encoder, think and decoder of a proposed split; only the window of an alternative.
    func zones(_ axis: Axis) -> [ChartZone] {
        guard let shown = shownSplit else { return [] }
        if split.split == nil {
            let think = shown.thinkRange
            let offset = axis == .layers ? -0.5 : 0
            return [
                ChartZone(
                    kind: .candidate, from: Double(think.lowerBound) + offset,
                    to: Double(think.upperBound) + offset,
                    label: "Leading alternative: \(Prose.layerRange(think))",
                    shortLabel: "Alternative")
            ]
        }
        return Self.zones(of: shown, axis)
    }

    /// Encoder, think block and decoder of a split.
    static func zones(of shown: Split, _ axis: Axis) -> [ChartZone] {
        let offset = axis == .layers ? -0.5 : 0
        func zone(_ kind: ChartZone.Kind, _ range: Range<Int>, _ name: String, _ short: String)
            -> ChartZone
        {
            ChartZone(
                kind: kind, from: Double(range.lowerBound) + offset,
                to: Double(range.upperBound) + offset, label: name, shortLabel: short)
        }
        let think = shown.thinkRange
        return [
            zone(.encoder, 0..<shown.encoder, "Encoder · \(shown.encoder)", "E"),
            zone(.think, think, "Think · \(shown.think) × k", "T"),
            zone(.decoder, think.upperBound..<shown.layers, "Decoder · \(shown.decoder)", "D"),
        ].filter { $0.to > $0.from }
    }

    /// By layer or boundary, as the metric has it; nil when nothing was measured.
    func points(_ metric: Metric) -> [LineChart.Point]? {
        metric.place == .layer
            ? Self.points(layers.layers.map { ($0.index, $0.metrics[metric.name]) })
            : Self.points(layers.boundaries.map { ($0.index, $0.metrics[metric.name]) })
    }

    /// Values of the model without loops, each where its layer first runs; nil of a run without loops.
    func basePoints(_ metric: Metric) -> [LineChart.Point]? {
        guard let base = layers.base else { return nil }
        if metric.place == .layer {
            return Self.points(
                base.layers.compactMap { row in
                    let place = layers.layers.first { $0.step?.layer == row.index }?.index
                    return place.map { ($0, row.metrics[metric.name]) }
                })
        }
        return Self.points(
            base.boundaries.compactMap { row in
                let place =
                    row.index == 0
                    ? 0 : layers.boundaries.first { $0.step?.layer == row.index - 1 }?.index
                return place.map { ($0, row.metrics[metric.name]) }
            })
    }

    /// nil when nothing was measured, so that no empty picture is drawn.
    private static func points(_ values: [(Int, Estimate?)]) -> [LineChart.Point]? {
        let points = values.map { index, estimate in
            LineChart.Point(x: Double(index), y: estimate?.mean, error: estimate?.standardError)
        }
        return points.contains { $0.y != nil } ? points : nil
    }
}

/// Turns of phrase used by the page and by the terminal summary.
enum Prose {
    /// `layer 5`, `layers 5–8`.
    static func layerRange(_ range: Range<Int>) -> String {
        range.count == 1
            ? "layer \(range.lowerBound)" : "layers \(range.lowerBound)–\(range.upperBound - 1)"
    }

    static func counted(_ count: Int, _ noun: String) -> String {
        "\(NumberText.grouped(count)) \(noun)\(count == 1 ? "" : "s")"
    }

    /// What the split says, in a sentence.
    static func meaning(of split: Split) -> String {
        var parts: [String] = []
        if split.encoder > 0 {
            parts.append("\(layerRange(0..<split.encoder)) encode")
        }
        let think = layerRange(split.thinkRange)
        parts.append("\(think) think\(split.think == 1 ? "s" : "") and can be run k times")
        if split.decoder > 0 {
            parts.append("\(layerRange(split.thinkRange.upperBound..<split.layers)) decode")
        }
        let text = parts.joined(separator: "; ")
        return text.prefix(1).uppercased() + text.dropFirst() + "."
    }

    static func confidence(_ split: SplitRecord) -> String {
        guard let value = split.confidence else { return "Its stability was not estimated." }
        let drawn = split.verdict == nil ? "documents" : "documents and items"
        return
            "\(NumberText.percent(value)) of resamples of \(drawn) give a think block that begins and "
            + "ends within one layer of it."
    }

    /// A reason as a sentence: capital first, full stop last.
    static func sentence(_ text: String) -> String {
        let trimmed = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        guard let last = trimmed.last else { return "" }
        return trimmed.prefix(1).uppercased() + trimmed.dropFirst()
            + (".!?…".contains(last) ? "" : ".")
    }
}
