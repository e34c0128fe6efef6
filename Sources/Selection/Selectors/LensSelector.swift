import Files
import Foundation
import Plans
import Records

extension Selector {
    /// Stages of the logit lens; where the last begins the decoder sets in.
    static let lens = lens(
        name: "lens", title: "Logit lens trajectory", prefix: "",
        source: .arxiv("nostalgebraist's logit lens, in Belrose et al. (2023)", "2303.08112"))

    /// The same of the tuned lens.
    static let tunedLens = lens(
        name: "tuned_lens", title: "Tuned lens trajectory", prefix: "tuned_",
        source: .arxiv("Belrose et al. (2023)", "2303.08112"))

    private static func lens(
        name: String, title: String, prefix: String, source: Citation
    ) -> Selector {
        let entropy = prefix + "entropy"
        let divergence = prefix + "kl_to_final"
        @Sendable func stages(_ view: EvidenceView) -> Stages? {
            guard let h = view.means(entropy), let kl = view.means(divergence) else { return nil }
            return Stages.of(features: [h, kl])
        }
        return Selector(
            name: name, title: title,
            explanation: """
                Entropy H(p_l) and KL(p_l‖p_L) by boundary, cut into three contiguous stages of least \
                squares; the third is the decoder.
                """,
            reads: [.metric(entropy), .metric(divergence)],
            predicts: "where the output forms; not reasoning", source: source,
            split: { stages($0)?.split },
            values: { view in
                [
                    "gain_over_two": .number(stages(view)?.gain),
                    "decoder_onset": .number(
                        stages(view).map { view.layers - $0.split.decoder }),
                    "entropy": curve(view.means(entropy)),
                    "kl_to_final": curve(view.means(divergence)),
                ]
            })
    }
}
