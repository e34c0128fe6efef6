import Records

extension Citation {
    static let kneedle = Citation(
        text: "Satopää et al., Finding a “Kneedle” in a Haystack, ICDCSW 2011",
        address: "https://doi.org/10.1109/ICDCSW.2011.20")

    var markup: Markup {
        guard let address else { return "\(text)" }
        return "<a href=\"\(address)\" rel=\"noreferrer\">\(text)</a>"
    }
}
