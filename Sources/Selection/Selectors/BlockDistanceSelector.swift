import Files
import Plans
import Records

extension Selector {
    /// The block whose input and output point the same way, for its length.
    static let blocks = Selector(
        name: "block_distance", title: "Block distance",
        explanation: """
            d(h_l, h_{l+n}) = arccos(cos)/π at the last token, for all l and n. Of windows of one length the \
            closest pair; lengths are compared by how far that lies below their mean, in standard \
            deviations.
            """,
        reads: [.pairs], predicts: "damage to text when the block is cut; not reasoning",
        source: .gromov,
        split: { view in split(found(view), view) },
        values: { view in
            ["z": .number(found(view)?.z)]
        })

    private static func found(_ view: EvidenceView) -> (window: Range<Int>, z: Double)? {
        guard let distances = view.distances() else { return nil }
        return Windows(layers: view.layers).standout { window in
            -distances[window.lowerBound][window.upperBound]
        }
    }
}
