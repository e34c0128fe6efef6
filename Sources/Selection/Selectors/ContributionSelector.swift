import Files
import Foundation
import Plans
import Records

extension Selector {
    /// Where layers stop writing something new and refine what is there.
    static let contribution = Selector(
        name: "contribution", title: "Contribution",
        explanation: """
            E ‖u_l‖/‖h_l‖ (its logarithm) and E cos(u_l, h_l) by layer, cut into three contiguous stages of \
            least squares: write, refine, and what prepares the output.
            """,
        reads: [.metric("contribution"), .metric("contribution_cosine")],
        predicts: "damage to text; not reasoning",
        source: .arxiv("Csordás et al. (2025)", "2505.13898"),
        split: { stages($0)?.split },
        values: { view in
            [
                "gain_over_two": .number(stages(view)?.gain),
                "contribution": curve(view.means("contribution")),
                "cosine": curve(view.means("contribution_cosine")),
            ]
        })

    private static func stages(_ view: EvidenceView) -> Stages? {
        guard let length = view.means("contribution"),
            let cosine = view.means("contribution_cosine"), length.allSatisfy({ $0 > 0 })
        else { return nil }
        // Layers stand where boundaries do; one more keeps the last layer a stage's member.
        func padded(_ values: [Double]) -> [Double] { values + [values.last ?? 0] }
        return Stages.of(features: [padded(length.map { log($0) }), padded(cosine)])
    }
}
