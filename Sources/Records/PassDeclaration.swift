/// What a measuring pass says of itself: its metrics, and what a report draws of them. A value, so that
/// whoever draws needs to know no pass by name.
public struct PassDeclaration: Sendable {
    /// As `--passes` names it.
    public var name: String
    /// For `--help`, in a few words.
    public var summary: String
    /// In the order of the files.
    public var metrics: [Metric]
    /// In the order of the report. Passes that name the same section share it.
    public var sections: [PassSection]

    public init(name: String, summary: String, metrics: [Metric], sections: [PassSection]) {
        self.name = name
        self.summary = summary
        self.metrics = metrics
        self.sections = sections
    }
}

/// A section of the report.
public struct PassSection: Sendable {
    /// A paragraph above the pictures.
    public enum Paragraph: Sendable {
        case text(String)
        /// Text, and a link behind it.
        case cited(String, Citation)
        /// How many attention sinks there are and what the run does with them.
        case sinks
        /// Where the tuned lens came from, and where it is not nearer to the output by this metric.
        case tunedLens(Metric)
    }

    /// Of the address within the page.
    public var id: String
    public var title: String
    /// In the list of sections at the top.
    public var short: String
    public var introduction: [Paragraph]
    public var figures: [PassFigure]

    public init(
        id: String, title: String, short: String, introduction: [Paragraph] = [],
        figures: [PassFigure]
    ) {
        self.id = id
        self.title = title
        self.short = short
        self.introduction = introduction
        self.figures = figures
    }
}

/// A picture of what a pass measured. `{hidden_size}` in its caption stands for the model's d.
public struct PassFigure: Sendable {
    /// A line of a picture and its name there.
    public struct Series: Sendable {
        public var metric: Metric
        public var name: String

        public init(_ metric: Metric, _ name: String) {
            self.metric = metric
            self.name = name
        }
    }

    public enum Kind: Sendable {
        /// One or more lines over layers or boundaries.
        case lines([Series])
        /// Bars over layers.
        case bars(Metric, tone: Int)
        /// The plain and the tuned lens.
        case lenses(Metric)
        /// All pairs of boundaries, from `LayersRecord.matrices`.
        case pairs(matrix: String, valueName: String, isLikeness: Bool)
        /// Layers by heads, from `LayersRecord.Layer.heads`.
        case heads(Metric)
    }

    public var id: String
    public var title: String
    public var caption: String
    public var kind: Kind
    public var yLabel: String
    /// The end of the axis, where it has one.
    public var top: Double?
    public var includesZero: Bool
    /// Whether it takes the whole width of the page.
    public var isWide: Bool

    public init(
        _ id: String, title: String, caption: String, _ kind: Kind, yLabel: String = "",
        top: Double? = nil, includesZero: Bool = true, isWide: Bool = false
    ) {
        self.id = id
        self.title = title
        self.caption = caption
        self.kind = kind
        self.yLabel = yLabel
        self.top = top
        self.includesZero = includesZero
        self.isWide = isWide
    }

    /// The metrics that it draws.
    public var metrics: [Metric] {
        switch kind {
        case .lines(let series): series.map(\.metric)
        case .bars(let metric, _), .heads(let metric): [metric]
        // Those of the plain lens have pictures of their own.
        case .lenses, .pairs: []
        }
    }
}

extension PassDeclaration {
    /// Whether its values leave attention sinks out, unless a run keeps them.
    public var leavesOutSinks: Bool {
        sections.flatMap(\.introduction).contains {
            if case .sinks = $0 { true } else { false }
        }
    }
}

extension [PassDeclaration] {
    /// Every metric of a place, in the order of the files, without twins.
    public func metrics(_ place: Metric.Place) -> [Metric] {
        flatMap(\.metrics).filter { $0.place == place }
    }

    /// The sections in order, each once: what passes share is put together.
    public var sections: [PassSection] {
        var all: [PassSection] = []
        for section in flatMap(\.sections) {
            if let index = all.firstIndex(where: { $0.id == section.id }) {
                all[index].figures += section.figures
            } else {
                all.append(section)
            }
        }
        return all
    }
}
