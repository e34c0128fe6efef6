import Files
import Records

/// Kneedle's curves as the selector recorded them, ready to be drawn.
///
/// `values` is `{"sensitivity", "forward": {"x", "normalized", "difference", "threshold", "knee"},
/// "reversed": {…}}`. It comes from a file, so any part may be missing or of another kind: what is
/// there is drawn, what is not is left out.
struct KneedleCurves {
    struct Picture {
        var title: String
        var caption: String
        var picture: Markup
    }

    var sensitivity: Double?
    var charts: [Picture]

    init(_ evidence: SplitRecord.Evidence) {
        sensitivity = evidence.values["sensitivity"]?.doubleValue
        charts = [
            Self.chart(
                evidence.values["forward"], id: "kneedle-forward", title: "From the front",
                part: "encoder", xLabel: "Layer"),
            Self.chart(
                evidence.values["reversed"], id: "kneedle-reversed", title: "From the back",
                part: "decoder", xLabel: "Layers counted from the end"),
        ].compactMap { $0 }
    }

    private static func chart(
        _ direction: JSON?, id: String, title: String, part: String, xLabel: String
    ) -> Picture? {
        guard let direction, let x = numbers(direction["x"]) else { return nil }
        func series(_ name: String, _ key: String, tone: Int) -> LineChart.Series? {
            guard let values = numbers(direction[key]) else { return nil }
            let points = zip(x, values).compactMap { x, y in
                x.map { LineChart.Point(x: $0, y: y) }
            }
            guard points.contains(where: { $0.y != nil }) else { return nil }
            return LineChart.Series(name: name, tone: tone, points: points)
        }
        let curves = [
            series("Difference", "difference", tone: 1),
            series("Normalised curve", "normalized", tone: 2),
        ].compactMap { $0 }
        guard !curves.isEmpty else { return nil }
        let knee = direction["knee"]?.intValue
        // x may be the layer itself or its place in the unit interval.
        let isNormalised = x.count > 2 && x.allSatisfy { 0...1 ~= $0 ?? 0 }
        var chart = LineChart(
            frame: ChartFrame(
                id: id, title: "Kneedle, \(title.lowercased())",
                summary: knee.map { "The knee is at \($0)." } ?? "No knee was found.",
                xLabel: isNormalised ? "\(xLabel), scaled to 0…1" : xLabel, yLabel: "Unit square"),
            series: curves, xName: isNormalised ? "x =" : xLabel)
        chart.integerX = !isNormalised
        if let threshold = direction["threshold"]?.doubleValue, threshold.isFinite {
            chart.references.append(
                .y(threshold, label: "Threshold \(NumberText.significant(threshold, digits: 3))"))
        }
        if let knee, x.indices.contains(knee), let place = x[knee] {
            chart.references.append(.x(place, label: "Knee at \(knee)"))
        }
        let caption =
            knee.map {
                "The knee at \($0) gives \(part == "encoder" ? "an" : "a") \(part) of \($0)."
            }
            ?? "No knee: the \(part) would be empty."
        return Picture(title: title, caption: caption, picture: chart.svg())
    }

    /// The numbers of an array, nil where an element is none; nil without an array or a number.
    private static func numbers(_ json: JSON?) -> [Double?]? {
        guard let elements = json?.arrayValue else { return nil }
        let values = elements.map { $0.doubleValue.flatMap { $0.isFinite ? $0 : nil } }
        return values.contains { $0 != nil } ? values : nil
    }
}
