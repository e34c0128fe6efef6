import Plans

/// What a selector proposes under one choice of settings: Kneedle's sensitivity, which tokens distances are
/// taken at, and which text. A proposal that moves with them rests on the choice.
public struct Sweep: Sendable, Equatable {
    public var selector: String
    /// Such as `S = 2, last token`.
    public var setting: String
    /// nil for the run's own text.
    public var text: String?
    public var split: Split?

    /// Kneedle's S that are tried; 1 is the usual one.
    public static let sensitivities = [0.5, 1, 2, 5]
    /// Where distances are taken, by metric.
    public static let tokens: [(metric: String, name: String)] = [
        ("angular_distance_last", "last token"), ("angular_distance", "all tokens"),
    ]

    /// Every setting of the selectors that have one, and every other selector on each further text.
    static func all(
        _ evidence: SavedEvidence, others: [(name: String, evidence: SavedEvidence)]
    ) -> [Sweep] {
        let texts: [(name: String?, evidence: SavedEvidence)] =
            [(nil, evidence)] + others.map { ($0.name, $0.evidence) }
        return texts.flatMap { text -> [Sweep] in
            let view = EvidenceView(text.evidence)
            var sweeps = tokens.flatMap { metric, name -> [Sweep] in
                guard let distances = view.means(metric) else { return [] }
                let knees = sensitivities.map { sensitivity in
                    Sweep(
                        selector: Selector.kneedle.name,
                        setting: "S = \(plain(sensitivity)), \(name)", text: text.name,
                        split: AngularSplit(
                            distances: distances, kneedle: Kneedle(sensitivity: sensitivity)
                        ).split)
                }
                let plateau = Sweep(
                    selector: Selector.plateau.name, setting: name, text: text.name,
                    split: PlateauWindows(distances: distances).leading?.split)
                return knees + [plateau]
            }
            guard text.name != nil else { return sweeps }
            let swept = [Selector.kneedle.name, Selector.plateau.name]
            for selector in Selector.all
            where !swept.contains(selector.name) && selector.missing(in: text.evidence).isEmpty {
                sweeps.append(
                    Sweep(
                        selector: selector.name, setting: "", text: text.name,
                        split: selector.winner(view)))
            }
            return sweeps
        }
    }

    private static func plain(_ value: Double) -> String {
        value == value.rounded() ? String(Int(value)) : String(value)
    }
}
