import Files
import Plans
import Records

extension Selector {
    /// The window that later layers depend on most.
    static let skipEffect = Selector(
        name: "skip_effect", title: "Effect on later layers",
        explanation: """
            Without layer s, the mean over later layers l of ‖u_l - u'_l‖/‖u_l‖ (1 and more as 1); the window \
            whose mean stands out most.
            """,
        reads: [.skipEffect], predicts: "damage to text; not tested on reasoning",
        source: .arxiv("Csordás et al. (2025)", "2505.13898"),
        split: { view in split(found(view), view) },
        values: { view in ["z": .number(found(view)?.z), "effect": curve(effect(view))] })

    private static func effect(_ view: EvidenceView) -> [Double]? {
        view.evidence.skipEffect.map { map in
            map.enumerated().map { skipped, row in
                let later = row.enumerated().compactMap { place, value in
                    place > skipped ? value.map { min($0, 1) } : nil
                }
                return later.isEmpty ? .nan : later.reduce(0, +) / Double(later.count)
            }
        }
    }

    private static func found(_ view: EvidenceView) -> (window: Range<Int>, z: Double)? {
        effect(view).flatMap { Windows(layers: view.layers).standout(layers: $0, high: true) }
    }
}
