import Files
import Plans
import Records

extension Selector {
    /// The window that reasoning items rely on beyond what text does.
    static let use = Selector(
        name: "use", title: "USE",
        explanation: """
            USE(l) = -(D - (a + b·N)), nats that items lose without the layer beyond what text loses \
            (docs/relevance.md); the window whose mean stands out most.
            """,
        reads: [.score("use")],
        predicts: "reasoning under skipping, on other items of the same tasks",
        source: .etd,
        split: { view in split(found(view), view) },
        values: { view in ["z": .number(found(view)?.z), "use": curve(view.score("use"))] })

    private static func found(_ view: EvidenceView) -> (window: Range<Int>, z: Double)? {
        view.score("use").flatMap {
            Windows(layers: view.layers).standout(layers: $0, high: true)
        }
    }
}
