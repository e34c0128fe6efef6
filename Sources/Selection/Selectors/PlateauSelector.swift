import Files
import Plans
import Records

extension Selector {
    /// The window of middle layers that turns the state least for its length.
    static let plateau = Selector(
        name: "plateau", title: "Plateau window",
        explanation: """
            Of all windows, the one whose mean angular distance lies deepest below the average of as many \
            middle layers drawn at random: (μ - mean) / (σ·√((m-n)/(n·(m-1)))).
            """,
        reads: [.metric("angular_distance_last")],
        predicts: "nothing that was measured",
        source: .gromov,
        split: { windows($0)?.leading?.split }, values: { windows($0)?.evidence ?? .null })

    private static func windows(_ view: EvidenceView) -> PlateauWindows? {
        view.angular?.windows
            ?? view.means("angular_distance_last").map { PlateauWindows(distances: $0) }
    }
}

extension PlateauWindows {
    fileprivate var evidence: JSON {
        [
            "rule": .string(
                "of all windows, the one whose mean angular distance lies deepest below the average "
                    + "of as many middle layers drawn at random, in standard deviations (depth)"),
            "edge": .number(edge),
            "shortest": .number(lengths.lowerBound),
            "longest": .number(lengths.upperBound),
            "depth": .number(leading?.depth),
        ]
    }
}
