import Records

/// The formula behind a metric and where it comes from, for the report's glossary.
struct MetricNote {
    var formula: String
    var source: Citation
}

/// A publication, named the way one cites it.
struct Citation {
    var text: String
    var address: String?

    static func arxiv(_ text: String, _ number: String) -> Citation {
        Citation(text: "\(text), arXiv:\(number)", address: "https://arxiv.org/abs/\(number)")
    }

    static let etd = arxiv("Encode, Think, Decode (2025)", "2510.07358")
    static let gromov = arxiv("Gromov et al., block distance (2024)", "2403.17887")
    static let shortGPT = arxiv("ShortGPT (2024)", "2403.03853")
    static let csordas = arxiv("Csordás et al. (2025)", "2505.13898")
    static let lens = Citation(
        text: "nostalgebraist, interpreting GPT: the logit lens (2020)",
        address: "https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru/interpreting-gpt-the-logit-lens"
    )
    static let tunedLens = arxiv("Belrose et al., tuned lens (2023)", "2303.08112")
    static let effectiveRank = Citation(
        text: "Roy and Vetterli, The effective rank, EUSIPCO 2007",
        address: "https://www.eurasip.org/Proceedings/Eusipco/Eusipco2007/Papers/a5p-h05.pdf")
    static let participationRatio = Citation(
        text: "Gao et al., A theory of multineuronal dimensionality (2017)",
        address: "https://doi.org/10.1101/214262")
    static let layerByLayer = arxiv("Skean et al., Layer by Layer (2025)", "2502.02013")
    static let straightening = arxiv("Hosseini and Fedorenko (2023)", "2311.04930")
    static let kneedle = Citation(
        text: "Satopää et al., Finding a “Kneedle” in a Haystack, ICDCSW 2011",
        address: "https://doi.org/10.1109/ICDCSW.2011.20")

    var markup: Markup {
        guard let address else { return "\(text)" }
        return "<a href=\"\(address)\" rel=\"noreferrer\">\(text)</a>"
    }
}

extension Metric {
    /// nil for a metric this report does not know.
    var note: MetricNote? {
        switch name {
        case "angular_distance_last":
            MetricNote(
                formula:
                    "d(l) = arccos( hₗ·hₗ₊₁ / (‖hₗ‖ ‖hₗ₊₁‖) ) / π, last token of each document",
                source: .etd)
        case "angular_distance":
            MetricNote(
                formula: "d(l) = arccos( hₗ·hₗ₊₁ / (‖hₗ‖ ‖hₗ₊₁‖) ) / π, mean over all positions",
                source: .gromov)
        case "block_influence":
            MetricNote(formula: "BI(l) = 1 − E cos(hₗ, hₗ₊₁)", source: .shortGPT)
        case "contribution":
            MetricNote(formula: "E ‖uₗ‖ / ‖hₗ‖, where uₗ = hₗ₊₁ − hₗ", source: .csordas)
        case "contribution_cosine":
            MetricNote(formula: "E cos(uₗ, hₗ), where uₗ = hₗ₊₁ − hₗ", source: .csordas)
        case "entropy":
            MetricNote(
                formula: "H(pₗ) = −Σ pₗ ln pₗ, where pₗ = softmax(W_U · Norm(hₗ))", source: .lens)
        case "kl_to_final":
            MetricNote(formula: "KL(pₗ‖p_L) = Σ pₗ ln(pₗ / p_L)", source: .tunedLens)
        case "kl_from_final":
            MetricNote(formula: "KL(p_L‖pₗ) = Σ p_L ln(p_L / pₗ)", source: .tunedLens)
        case "top1_agreement":
            MetricNote(formula: "E [argmax pₗ = argmax p_L]", source: .lens)
        case "top5_agreement":
            MetricNote(formula: "E |top5(pₗ) ∩ top5(p_L)| / 5, ties to the lower id", source: .lens)
        case "cross_entropy":
            MetricNote(
                formula: "−E ln pₗ(next token), over positions with a next token in the document",
                source: .tunedLens)
        case "effective_rank":
            MetricNote(
                formula: "exp(−Σ pᵢ ln pᵢ), where pᵢ = λᵢ / Σλ of the covariance of hₗ",
                source: .effectiveRank)
        case "participation_ratio":
            MetricNote(formula: "(Σλᵢ)² / Σλᵢ²", source: .participationRatio)
        case "prompt_entropy":
            MetricNote(
                formula: "−Σ λᵢ ln λᵢ of ZZᵀ/n, rows of Z: (hₗ − mean) / ‖hₗ − mean‖ in a document",
                source: .layerByLayer)
        case "curvature":
            MetricNote(
                formula: "E arccos( vₜ·vₜ₊₁ / (‖vₜ‖ ‖vₜ₊₁‖) ), where vₜ = hₗ[t+1] − hₗ[t]",
                source: .straightening)
        default: nil
        }
    }

    /// The metrics of `known` that stand in `names`, in their order, then the others by name.
    static func ordered(_ names: Set<String>, known: [Metric]) -> [Metric] {
        let others = names.subtracting(known.map(\.name)).sorted()
        return known.filter { names.contains($0.name) }
            + others.map {
                Metric(
                    name: $0, title: $0.replacing("_", with: " "),
                    explanation: "Written by a pass that this report has no description for.")
            }
    }
}
