import Files
import Plans
import Records

extension Selector {
    /// Three stages of the geometry.
    static let stages = Selector(
        name: "stages", title: "Stages of the representation",
        explanation: """
            The map of linear CKA between boundaries, cut into three contiguous stages so that boundaries of a \
            stage are most alike; effective rank, prompt entropy and curvature, where measured, cut the same \
            way by least squares beside it.
            """,
        reads: [.whole("cka")], predicts: "nothing that was measured",
        source: .arxiv("Skean et al. (2025)", "2502.02013"),
        split: { map($0)?.split },
        values: { view in
            [
                "gain_over_two": .number(map(view)?.gain),
                "features": .array(names.filter { view.means($0) != nil }.map(JSON.string)),
                "by_features": features(view).map { stages in
                    [
                        "notation": .string(stages.split.notation),
                        "gain_over_two": .number(stages.gain),
                    ]
                } ?? .null,
            ]
        })

    private static let names = ["effective_rank", "prompt_entropy", "curvature"]

    private static func map(_ view: EvidenceView) -> Stages? {
        view.evidence.matrices["cka"].flatMap { map in
            Stages.of(likeness: map.map { $0.map { $0 ?? .nan } })
        }
    }

    private static func features(_ view: EvidenceView) -> Stages? {
        // Boundary 0 has no curvature and a rank of its own: what is undefined there takes the next value.
        let rows = names.compactMap { view.means($0) }.map { row in
            row.indices.map { row[$0].isFinite ? row[$0] : row.first(where: \.isFinite) ?? 0 }
        }
        return rows.isEmpty ? nil : Stages.of(features: rows)
    }
}
