import Files
import Plans
import Records

extension Selector {
    /// ETD's own: Kneedle on the angular distances from either end.
    static let kneedle = Selector(
        name: "kneedle", title: "Kneedle on angular distance",
        explanation: """
            With knee i of d(0..L-1) the encoder has i layers; with knee r of the reversed curve the \
            decoder has r. D = y - x on the unit square, thresholds D_m - S·mean(Δx).
            """,
        reads: [.metric("angular_distance_last")],
        predicts: "damage to text, weakly; not reasoning",
        source: .etd,
        split: { view in
            view.angular?.proposal.split
                ?? view.means("angular_distance_last").flatMap {
                    AngularSplit(distances: $0, kneedle: Kneedle()).split
                }
        },
        values: { view in
            let distances = view.means("angular_distance_last") ?? []
            return values(view.angular ?? LayerEvidence(distances: distances, documents: []))
        })

    /// How many of the bootstrap's splits are listed.
    private static let shownProposals = 5

    private static func values(_ evidence: LayerEvidence) -> JSON {
        let proposal = evidence.proposal
        return [
            "sensitivity": .number(evidence.kneedle.sensitivity),
            "forward": proposal.forward.evidence,
            "reversed": proposal.reversed.evidence,
            "bootstrap": evidence.distribution.map { distribution in
                [
                    "resamples": .number(distribution.resamples),
                    // JSON's whole numbers are signed here; larger seeds are written as text.
                    "seed": Int(exactly: evidence.seed).map(JSON.number)
                        ?? .string(String(evidence.seed)),
                    "documents": .number(distribution.documents),
                    "share": .number(proposal.split.map { distribution.share(of: $0) }),
                    "proposals": .array(
                        distribution.entries.prefix(shownProposals).map { entry in
                            [
                                "notation": .text(entry.split?.notation),
                                "share": .number(
                                    Double(entry.count) / Double(distribution.resamples)),
                            ]
                        }),
                ]
            } ?? .null,
        ]
    }
}

extension Kneedle.Analysis {
    /// The curve for the split file; `x` counts layers from the end at which the curve starts.
    fileprivate var evidence: JSON {
        [
            "x": .array(difference.indices.map { .number($0) }),
            "normalized": .array(normalized.map { .number($0) }),
            "difference": .array(difference.map { .number($0) }),
            "maxima": .array(maxima.map { .number($0) }),
            "thresholds": .array(thresholds.map { .number($0) }),
            "threshold": .number(kneeThreshold),
            "knee": .number(knee),
            "no_knee": .text(absence?.description),
        ]
    }
}
