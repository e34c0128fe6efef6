import Files
import Foundation
import Plans
import Records

/// Each selector's own curve, with the encoder, think block and decoder that it proposes.
extension ReportContent {
    var selectorCurves: Markup {
        let figures = split.evidence.compactMap { name, evidence -> Markup? in
            guard let proposal = evidence.proposal, let drawn = curve(name, evidence, proposal)
            else { return nil }
            let title = name.replacing("_", with: " ")
            let shown = title.prefix(1).uppercased() + title.dropFirst()
            let onLayers = drawn.onLayers
            var chart = LineChart(
                frame: ChartFrame(
                    id: "selector-\(name.replacing("_", with: "-"))", title: shown,
                    summary: "\(drawn.name). Bands: \(proposal.notation).",
                    xLabel: onLayers ? "Layer" : "Boundary", yLabel: drawn.name, height: 220,
                    zones: Self.zones(of: proposal, onLayers ? .layers : .boundaries)),
                series: [.init(name: drawn.name, tone: 1, points: drawn.points)],
                xName: drawn.xName)
            chart.padding = onLayers ? 0.5 : 0
            return figure(shown, caption: "Proposes \(proposal.notation).", chart.svg())
        }
        guard !figures.isEmpty else { return "" }
        return """
            <details><summary>What each selector reads, with its encoder, think block and decoder</summary>
            <div class="pair">\(figures)</div></details>

            """
    }

    private struct Curve {
        var name: String
        var onLayers: Bool
        var points: [LineChart.Point]
        var xName: String
    }

    /// What a selector reads, by layer or boundary: the curve that it records, windows of its proposal's length, or
    /// the angular distance that it reads of the run.
    private func curve(
        _ selector: String, _ evidence: SplitRecord.Evidence, _ proposal: Split
    ) -> Curve? {
        let count = layers.model.layers
        let recorded = (evidence.values.objectValue ?? [:]).first { _, value in
            let length = value.arrayValue?.count
            return (length == count || length == count + 1)
                && value.arrayValue?.allSatisfy { $0.doubleValue != nil || $0 == .null } == true
        }
        if let (name, value) = recorded {
            let values = value.arrayValue ?? []
            let onLayers = values.count == count
            let points = values.enumerated().map { index, value in
                LineChart.Point(x: Double(index), y: value.doubleValue)
            }
            return Curve(
                name: Self.curveTitle(name, selector), onLayers: onLayers, points: points,
                xName: onLayers ? "Layer" : "Boundary")
        }
        let windows = evidence.values["windows"]?.arrayValue ?? evidence.values.arrayValue ?? []
        let kind = windows.first?["kind"]?.stringValue
        let points = windows.compactMap { window -> LineChart.Point? in
            guard window["kind"]?.stringValue == kind,
                (window["iterations"]?.intValue ?? 2) == 2, let start = window["start"]?.intValue,
                let length = window["length"]?.intValue,
                length == proposal.think
            else { return nil }
            let value = window["ratio"] ?? window["margin_delta"]
            return LineChart.Point(
                x: Double(start) + Double(length - 1) / 2, y: value?.doubleValue)
        }.sorted { $0.x < $1.x }
        if points.count > 1, Set(points.map(\.x)).count == points.count {
            let isRatio = evidence.values["windows"] != nil
            return Curve(
                name: isRatio
                    ? "Last change over first" : "Δ margin, nats",
                onLayers: true, points: points,
                xName: "Middle of a window of \(proposal.think) layers")
        }
        guard ["kneedle", "plateau"].contains(selector) else { return nil }
        let distances = layers.layers.map { row in
            LineChart.Point(
                x: Double(row.index), y: row.metrics["angular_distance_last"]?.mean,
                error: row.metrics["angular_distance_last"]?.standardError)
        }
        guard distances.contains(where: { $0.y != nil }) else { return nil }
        return Curve(
            name: "Angular distance, last token", onLayers: true, points: distances, xName: "Layer")
    }

    private static func curveTitle(_ name: String, _ selector: String) -> String {
        if name == "curve" { return selector.replacing("_", with: " ") }
        if name == "use" { return "USE, nats" }
        if name == "read_bits" { return "READ, bits" }
        return name.replacing("_", with: " ")
    }
}
