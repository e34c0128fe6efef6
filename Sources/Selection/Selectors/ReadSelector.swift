import Files
import Plans
import Records

extension Selector {
    /// The window that makes most readable.
    static let read = Selector(
        name: "read", title: "READ",
        explanation: """
            READ(l), bits by which a layer makes an answer easier to read than its foil (docs/relevance.md); the \
            window whose mean stands out most.
            """,
        reads: [.score("read_bits")],
        predicts: "not what the model uses: READ and USE do not correlate",
        source: .etd,
        split: { view in split(found(view), view) },
        values: { view in
            ["z": .number(found(view)?.z), "read_bits": curve(view.score("read_bits"))]
        })

    private static func found(_ view: EvidenceView) -> (window: Range<Int>, z: Double)? {
        view.score("read_bits").flatMap {
            Windows(layers: view.layers).standout(layers: $0, high: true)
        }
    }
}
