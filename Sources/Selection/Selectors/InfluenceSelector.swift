import Files
import Plans
import Records

extension Selector {
    /// The window that changes directions least, over all tokens.
    static let influence = Selector(
        name: "block_influence", title: "Block influence",
        explanation: """
            BI(l) = 1 - E cos(h_l, h_{l+1}) over all tokens; the window whose mean lies deepest below that of as \
            many middle layers drawn at random.
            """,
        reads: [.metric("block_influence")], predicts: "damage to text; not reasoning",
        source: .arxiv("ShortGPT (2024)", "2403.03853"),
        split: { view in split(found(view), view) },
        values: { view in
            ["z": .number(found(view)?.z), "curve": curve(view.means("block_influence"))]
        })

    private static func found(_ view: EvidenceView) -> (window: Range<Int>, z: Double)? {
        view.means("block_influence").flatMap {
            Windows(layers: view.layers).standout(layers: $0, high: false)
        }
    }
}
