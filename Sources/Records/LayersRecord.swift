import Files

/// An estimate with its standard error over documents; both nil where undefined, never NaN.
public struct Estimate: Sendable, Equatable {
    public var mean: Double?
    /// nil with fewer than two documents.
    public var standardError: Double?

    public init(mean: Double?, standardError: Double?) {
        self.mean = mean
        self.standardError = standardError
    }
}

/// `layers.json`, schema `etd-layers/v1`: what one run measured, per layer and per boundary.
///
/// Metrics are kept by name in the order they are written, since passes can be chosen and later
/// passes add their own; `Metric` holds the names and what they mean.
public struct LayersRecord: Sendable, Equatable {
    public static let schema = "etd-layers/v1"

    public struct Layer: Sendable, Equatable {
        public var index: Int
        /// By `Metric.name`; every layer of a record has the same names.
        public var metrics: [String: Estimate]
        /// Scores derived from the metrics, by name.
        public var scores: [String: Double?]

        public init(index: Int, metrics: [String: Estimate], scores: [String: Double?]) {
            self.index = index
            self.metrics = metrics
            self.scores = scores
        }
    }

    public struct Boundary: Sendable, Equatable {
        /// 0 is the embedding output, L the state after the last layer, before the final norm.
        public var index: Int
        public var metrics: [String: Estimate]
        /// What the tuned lens reads, by the names of `Metric.lens`; empty without one.
        public var tuned: [String: Estimate]

        public init(
            index: Int, metrics: [String: Estimate], tuned: [String: Estimate] = [:]
        ) {
            self.index = index
            self.metrics = metrics
            self.tuned = tuned
        }
    }

    public var model: ModelRecord
    public var data: DataRecord
    /// `f32` or `bf16`: the arithmetic of the matrix products.
    public var precision: String
    /// L entries; metrics are empty when no pass over layers was asked for.
    public var layers: [Layer]
    /// L + 1 entries, or none when no pass over boundaries was run.
    public var boundaries: [Boundary]
    /// Linear CKA of all pairs of boundaries, [L + 1][L + 1]; nil when it was not measured.
    public var cka: [[Double?]]?
    /// What the geometry and the twins of means leave out; nil when neither was measured, or by a version
    /// that kept sinks.
    public var sinks: SinksRecord?
    /// What linear probes read; nil when they were not fitted.
    public var probes: ProbesRecord?
    /// Where the boundaries' tuned readings come from; nil without a tuned lens.
    public var tunedLens: TunedLensRecord?

    public init(
        model: ModelRecord, data: DataRecord, precision: String, layers: [Layer],
        boundaries: [Boundary], cka: [[Double?]]? = nil, sinks: SinksRecord? = nil,
        probes: ProbesRecord? = nil,
        tunedLens: TunedLensRecord? = nil
    ) {
        self.model = model
        self.data = data
        self.precision = precision
        self.layers = layers
        self.boundaries = boundaries
        self.cka = cka
        self.sinks = sinks
        self.probes = probes
        self.tunedLens = tunedLens
    }

    /// Takes in what linear probes read. Their scores become the layers' where they speak of the base
    /// model, each layer run once.
    public mutating func take(_ probes: ProbesRecord) {
        self.probes = probes
        guard probes.plan == nil, probes.relevance.count == layers.count else { return }
        for (index, step) in probes.relevance.enumerated() {
            layers[index].scores["reasoning_relevance"] = step.score.value
            layers[index].scores["reasoning_relevance_low"] = step.score.low
            layers[index].scores["reasoning_relevance_high"] = step.score.high
            layers[index].scores["reasoning_gain"] = step.reasoningGain.value
            layers[index].scores["surface_gain"] = step.surfaceGain.value
        }
    }

    /// One value per layer, nil where a layer has none.
    public func layerMeans(_ metric: Metric) -> [Double?] {
        layers.map { $0.metrics[metric.name]?.mean ?? nil }
    }

    /// One value per boundary, nil where a boundary has none.
    public func boundaryMeans(_ metric: Metric) -> [Double?] {
        boundaries.map { $0.metrics[metric.name]?.mean ?? nil }
    }
}

/// The model a record speaks of.
public struct ModelRecord: Sendable, Equatable {
    public var path: String
    public var architecture: String
    public var layers: Int
    public var hiddenSize: Int
    public var vocabularySize: Int
    public var parameters: Int
    public var fingerprint: String
    /// SHA-256 of the files, only when `--hash` asked for it.
    public var sha256: [String: String]?

    public init(
        path: String, architecture: String, layers: Int, hiddenSize: Int, vocabularySize: Int,
        parameters: Int, fingerprint: String, sha256: [String: String]? = nil
    ) {
        self.path = path
        self.architecture = architecture
        self.layers = layers
        self.hiddenSize = hiddenSize
        self.vocabularySize = vocabularySize
        self.parameters = parameters
        self.fingerprint = fingerprint
        self.sha256 = sha256
    }
}

/// The tuned lens that a record was measured with.
public struct TunedLensRecord: Sendable, Equatable {
    public var path: String
    public var sha256: String
    /// Positions it was trained on, and their text.
    public var tokens: Int
    public var data: String
    /// Arithmetic of the products in its training.
    public var precision: String

    public init(path: String, sha256: String, tokens: Int, data: String, precision: String) {
        self.path = path
        self.sha256 = sha256
        self.tokens = tokens
        self.data = data
        self.precision = precision
    }
}

/// The text a record was measured on.
public struct DataRecord: Sendable, Equatable {
    public var path: String
    public var documents: Int
    public var tokens: Int
    public var sequenceLength: Int
    public var bos: String

    public init(path: String, documents: Int, tokens: Int, sequenceLength: Int, bos: String) {
        self.path = path
        self.documents = documents
        self.tokens = tokens
        self.sequenceLength = sequenceLength
        self.bos = bos
    }
}

/// A number measured per layer or per boundary: its name in the files and what it says.
public struct Metric: Sendable, Equatable {
    public var name: String
    public var title: String
    public var explanation: String

    public init(name: String, title: String, explanation: String) {
        self.name = name
        self.title = title
        self.explanation = explanation
    }
}

extension Metric {
    public static let angularDistanceLast = Metric(
        name: "angular_distance_last", title: "Angular distance, last token",
        explanation: """
            arccos of the cosine between the states before and after the layer, divided by π, at the \
            last token of each document. 0: same direction; 0.5: at right angles. This is the curve \
            from which ETD proposes its split.
            """)
    public static let angularDistance = Metric(
        name: "angular_distance", title: "Angular distance, all tokens",
        explanation: "The same distance, averaged over every position.")
    public static let blockInfluence = Metric(
        name: "block_influence", title: "Block influence",
        explanation: """
            1 minus the mean cosine between the states before and after the layer (ShortGPT). A low \
            value says that the layer changes directions little, not that it does not matter.
            """)
    public static let contribution = Metric(
        name: "contribution", title: "Contribution",
        explanation: "Length of what the layer adds, relative to the state it is added to.")
    public static let contributionCosine = Metric(
        name: "contribution_cosine", title: "Contribution cosine",
        explanation: """
            Cosine between what the layer adds and the state it is added to: positive strengthens, \
            negative erases, near 0 writes something new.
            """)
    public static let perLayer = [
        angularDistanceLast, angularDistance, blockInfluence, contribution, contributionCosine,
    ]

    public static let entropy = Metric(
        name: "entropy", title: "Lens entropy",
        explanation: """
            Entropy, in nats, of the next-token distribution that the final norm and the unembedding \
            read from the state at this boundary (logit lens).
            """)
    public static let klToFinal = Metric(
        name: "kl_to_final", title: "KL(lens‖output)",
        explanation: "Divergence of the lens distribution from the model's output, in nats.")
    public static let klFromFinal = Metric(
        name: "kl_from_final", title: "KL(output‖lens)",
        explanation: "Divergence of the model's output from the lens distribution, in nats.")
    public static let top1Agreement = Metric(
        name: "top1_agreement", title: "Top-1 agreement",
        explanation: "Share of positions where lens and output prefer the same token.")
    public static let top5Agreement = Metric(
        name: "top5_agreement", title: "Top-5 agreement",
        explanation: "Mean share of the output's five most likely tokens among the lens's five.")
    public static let crossEntropy = Metric(
        name: "cross_entropy", title: "Lens cross-entropy",
        explanation: """
            Mean -log probability, in nats, that the lens gives the token that follows in the document.
            """)
    public static let lens = [
        entropy, klToFinal, klFromFinal, top1Agreement, top5Agreement, crossEntropy,
    ]

    public static let effectiveRank = Metric(
        name: "effective_rank", title: "Effective rank",
        explanation: """
            In how many directions the states at this boundary vary over positions: the exponential \
            of the entropy of the covariance's normalised eigenvalues. A few directions of huge variance \
            bring it near 1, whatever the others hold.
            """)
    public static let participationRatio = Metric(
        name: "participation_ratio", title: "Participation ratio",
        explanation: """
            The same question with more weight on the largest directions. Never above the effective rank.
            """)
    public static let promptEntropy = Metric(
        name: "prompt_entropy", title: "Prompt entropy",
        explanation: """
            How many different things the states of one document say at this boundary, in nats: the \
            matrix-based entropy of the Gram matrix of its states, centred and scaled to length 1, over \
            its first 512 positions. High: every token has a direction of its own; low: compressed.
            """)
    public static let curvature = Metric(
        name: "curvature", title: "Curvature",
        explanation: """
            Mean angle, in radians, between one step from token to token and the next. 0: a straight \
            path; 2π/3 (2.09): what states unrelated to one another give.
            """)
    public static let geometry = [effectiveRank, participationRatio, promptEntropy, curvature]

    public static let perBoundary = lens + geometry
}
