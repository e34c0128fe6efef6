import Plans
import Records

/// What a person sees in the terminal when a probe has finished: verdict, chart, alternatives. Where
/// the files are is for the command to say.
public enum TerminalSummary {
    /// - Parameter width: Columns to keep to; texts break, tables do not.
    public static func text(
        layers: LayersRecord, split: SplitRecord, passes: [PassDeclaration], style: TerminalStyle,
        width: Int = 80
    ) -> String {
        let columns = min(max(width, 40), 100)
        var parts: [String] = []
        let title =
            split.split.map { style.bold(style.ink(.green, "Proposed split: \($0.notation)")) }
            ?? style.bold(style.ink(.yellow, "No split proposed"))
        let paragraph = TerminalText.wrapped(TerminalText.visible(verdict(split)), to: columns)
        parts.append(([title] + paragraph).map { $0 + "\n" }.joined())
        if let chart = chart(layers, split, passes, style, columns) { parts.append(chart) }
        if let table = alternatives(split, style) { parts.append(table) }
        if let table = probes(layers, style) { parts.append(table) }
        if let sinks = layers.sinks {
            let measured = passes.contains { pass in
                pass.leavesOutSinks
                    && pass.metrics.contains {
                        layers.boundaryMeans($0.name).contains { $0 != nil }
                    }
            }
            parts.append(
                wrapped(
                    measured ? Prose.geometrySinks(sinks) : Prose.sinkCounts(sinks), width: width))
        }
        return parts.joined(separator: "\n")
    }

    /// A paragraph in lines of at most `width` columns.
    public static func wrapped(_ text: String, width: Int) -> String {
        TerminalText.wrapped(TerminalText.visible(text), to: min(max(width, 40), 100))
            .map { $0 + "\n" }.joined()
    }

    /// One paragraph: what was decided and how sure it is.
    private static func verdict(_ split: SplitRecord) -> String {
        if let proposed = split.split {
            let iterations = split.recommendedIterations.map { " Recommended: k = \($0)." } ?? ""
            return Prose.meaning(of: proposed) + " " + Prose.confidence(split)
                + iterations + " Selector: \(split.method)."
        }
        let reason = Prose.sentence(split.abstention ?? "no reason was recorded")
        guard let leading = split.alternatives.first?.split else {
            return "\(reason) Selector: \(split.method). There is no alternative to rank."
        }
        return "\(reason) Selector: \(split.method). Leading alternative: \(leading.notation) "
            + "(\(Prose.layerRange(leading.thinkRange)) think); a candidate to test, not a proposal."
    }

    private static func chart(
        _ layers: LayersRecord, _ split: SplitRecord, _ passes: [PassDeclaration],
        _ style: TerminalStyle, _ width: Int
    ) -> String? {
        // The first curve over layers: the one that ETD reads, where it was measured.
        let metric = passes.metrics(.layer).first {
            layers.layerMeans($0.name).contains { $0 != nil }
        }
        guard let metric else { return nil }
        var zones: [(range: Range<Int>, name: String, ink: TerminalStyle.Ink)] = []
        if let proposed = split.split {
            let think = proposed.thinkRange
            zones = [
                (0..<think.lowerBound, "encode", .blue), (think, "think", .yellow),
                (think.upperBound..<proposed.layers, "decode", .cyan),
            ]
        } else if let leading = split.alternatives.first?.split {
            zones = [(leading.thinkRange, "alternative", .yellow)]
        }
        let chart = TerminalChart(values: layers.layerMeans(metric.name), zones: zones)
        return style.bold("\(metric.title), by layer") + "\n"
            + chart.text(style: style, width: width)
    }

    /// Where each task of the linear probes becomes readable.
    private static func probes(_ layers: LayersRecord, _ style: TerminalStyle) -> String? {
        guard let tasks = layers.probes?.tasks, !tasks.isEmpty else { return nil }
        let table = TerminalTable(
            columns: [
                .init("Task"), .init("Kind"), .init("Readable at", isNumeric: true),
                .init("Greatest selectivity", isNumeric: true), .init("at", isNumeric: true),
            ],
            rows: tasks.map { task in
                let best = task.ridge.indices.max {
                    task.ridge[$0].selectivity.value < task.ridge[$1].selectivity.value
                }
                let value = best.map { task.ridge[$0].selectivity.value }
                return [
                    task.name, task.kind, task.readableAt.map { "\($0)" } ?? "nowhere",
                    NumberText.significant(value, digits: 2), best.map { "\($0)" } ?? "",
                ]
            })
        return style.bold("Linear probes, by boundary") + "\n" + table.text(style: style)
    }

    /// The best window of each length, five at most.
    private static func alternatives(_ split: SplitRecord, _ style: TerminalStyle) -> String? {
        let leaders = AlternativeRanking(split.alternatives).leaders.prefix(5)
        guard !leaders.isEmpty else { return nil }
        let scores = AlternativeRanking.scoreNames(Array(leaders))
        let table = TerminalTable(
            columns: [.init("No.", isNumeric: true), .init("Split"), .init("Think block")]
                + scores.map { .init(AlternativeRanking.title($0), isNumeric: true) },
            rows: leaders.map { item in
                [
                    "\(item.number)", item.alternative.split.notation,
                    Prose.layerRange(item.alternative.split.thinkRange),
                ] + scores.map { NumberText.significant(item.alternative.scores[$0]) }
            })
        let more = split.alternatives.count - leaders.count
        return style.bold("Alternatives, the best of each length") + "\n" + table.text(style: style)
            + (more > 0 ? style.dim("and \(more) more in split.json and report.html") + "\n" : "")
    }
}
