/// A publication, named the way one cites it.
public struct Citation: Sendable, Equatable {
    public var text: String
    public var address: String?

    public init(text: String, address: String?) {
        self.text = text
        self.address = address
    }

    public static func arxiv(_ text: String, _ number: String) -> Citation {
        Citation(text: "\(text), arXiv:\(number)", address: "https://arxiv.org/abs/\(number)")
    }

    // What several modules cite; the others' stand where they are used.
    public static let etd = arxiv("Encode, Think, Decode (2025)", "2510.07358")
    public static let gromov = arxiv("Gromov et al., block distance (2024)", "2403.17887")
}

/// A number that a measuring pass makes for each layer or boundary: all that files, report, glossary and
/// schema say of it stands here, and nowhere else.
public struct Metric: Sendable, Equatable {
    public enum Place: String, Sendable {
        /// Of what a layer does: one value for each layer that runs.
        case layer
        /// Of a state: one value for each boundary between layers, h_0 … h_L.
        case boundary
    }

    /// In the files; `<name>_se` is its standard error.
    public var name: String
    public var title: String
    /// What it says, in sentences.
    public var explanation: String
    public var place: Place
    /// Such as "nats"; empty for a number without one.
    public var unit: String
    /// What values can be, rounding aside; an end is nil where there is none.
    public var least, most: Double?
    public var formula: String
    /// What a high value means, in a few words.
    public var high: String
    public var source: Citation
    /// Whether it is a mean over positions, which has a twin without attention sinks
    /// (`<name>_nosink`).
    public var isOverPositions: Bool
    /// Whether each value stands beside those of the layer's heads (`<name>_heads`).
    public var hasHeads: Bool

    public init(
        name: String, title: String, place: Place, unit: String = "", least: Double? = nil,
        most: Double? = nil, explanation: String, formula: String, high: String, source: Citation,
        isOverPositions: Bool = false,
        hasHeads: Bool = false
    ) {
        self.name = name
        self.title = title
        self.place = place
        self.unit = unit
        self.explanation = explanation
        self.least = least
        self.most = most
        self.formula = formula
        self.high = high
        self.source = source
        self.isOverPositions = isOverPositions
        self.hasHeads = hasHeads
    }

    /// The ending of a twin's name.
    public static let twinEnding = "_nosink"

    /// The same mean over positions without attention sinks, as written beside it.
    public var withoutSinks: Metric {
        var twin = self
        twin.name += Self.twinEnding
        twin.title += ", no sinks"
        twin.explanation = "\(title) over the positions that are no attention sinks."
        twin.isOverPositions = false
        twin.hasHeads = false
        return twin
    }

    /// Itself, followed by its twin where it has one.
    public var withTwin: [Metric] { isOverPositions ? [self, withoutSinks] : [self] }
}
