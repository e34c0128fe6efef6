import Files
import OrderedCollections

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
/// Metrics are kept by name in the order they are written, since passes can be chosen and add their own;
/// `Metric` says what a name means.
public struct LayersRecord: Sendable, Equatable {
    public static let schema = "etd-layers/v1"

    /// Metrics by name, in the order of the file.
    public typealias Metrics = OrderedDictionary<String, Estimate>

    /// Where a row of a looped model stands; a plan without loops needs none.
    public struct Step: Sendable, Equatable {
        /// The layer that runs.
        public var layer: Int
        /// The pass of the loop, from 1; nil outside the loop.
        public var iteration: Int?

        public init(layer: Int, iteration: Int?) {
            self.layer = layer
            self.iteration = iteration
        }
    }

    public struct Layer: Sendable, Equatable {
        /// Of a looped model the executed layer.
        public var index: Int
        public var step: Step?
        /// By `Metric.name`; every layer of a record has the same names.
        public var metrics: Metrics
        /// A value for each head, by the name of the metric that is their mean.
        public var heads: OrderedDictionary<String, [Double?]>
        /// Scores derived from the metrics, by name.
        public var scores: [String: Double?]

        public init(
            index: Int, step: Step? = nil, metrics: Metrics,
            heads: OrderedDictionary<String, [Double?]> = [:], scores: [String: Double?]
        ) {
            self.index = index
            self.step = step
            self.metrics = metrics
            self.heads = heads
            self.scores = scores
        }
    }

    public struct Boundary: Sendable, Equatable {
        /// 0 is the embedding output, L the state after the last layer, before the final norm.
        public var index: Int
        /// The step that made the state; nil for the embedding, and in a plan without loops.
        public var step: Step?
        public var metrics: Metrics
        /// What the tuned lens reads, by the plain lens's names; empty without one.
        public var tuned: Metrics

        public init(
            index: Int, step: Step? = nil, metrics: Metrics, tuned: Metrics = [:]
        ) {
            self.index = index
            self.step = step
            self.metrics = metrics
            self.tuned = tuned
        }
    }

    /// Layers and boundaries of the model without loops.
    public struct Base: Sendable, Equatable {
        public var layers: [Layer]
        public var boundaries: [Boundary]

        public init(layers: [Layer], boundaries: [Boundary]) {
            self.layers = layers
            self.boundaries = boundaries
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
    /// What was measured of all pairs of boundaries, [L + 1][L + 1], by name, such as linear CKA
    /// (`cka`).
    public var matrices: OrderedDictionary<String, [[Double?]]>
    /// The executed plan, such as `9-9*3-12`; nil for the model as it is.
    public var plan: String?
    /// The same text through the model as it is, beside a looped plan's.
    public var base: Base?
    /// Which positions the lens read, such as `last`; nil for all.
    public var lensPositions: String?
    /// Which shard of a run this is, such as `2/8`; nil for a whole one.
    public var shard: String?
    /// What the geometry and the twins of means leave out; nil when neither was measured, or by a version
    /// that kept sinks.
    public var sinks: SinksRecord?
    /// What linear probes read; nil when they were not fitted.
    public var probes: ProbesRecord?
    /// What READ and USE of the layers' scores rest on; nil where they were not measured.
    public var relevance: RelevanceRecord?
    /// Where the boundaries' tuned readings come from; nil without a tuned lens.
    public var tunedLens: TunedLensRecord?

    public init(
        model: ModelRecord, data: DataRecord, precision: String, layers: [Layer],
        boundaries: [Boundary], matrices: OrderedDictionary<String, [[Double?]]> = [:],
        plan: String? = nil, base: Base? = nil, lensPositions: String? = nil,
        sinks: SinksRecord? = nil, probes: ProbesRecord? = nil,
        tunedLens: TunedLensRecord? = nil
    ) {
        self.model = model
        self.data = data
        self.precision = precision
        self.layers = layers
        self.boundaries = boundaries
        self.matrices = matrices
        self.plan = plan
        self.base = base
        self.lensPositions = lensPositions
        self.sinks = sinks
        self.probes = probes
        self.tunedLens = tunedLens
    }

    /// One value per layer, nil where a layer has none.
    public func layerMeans(_ name: String) -> [Double?] {
        layers.map { $0.metrics[name]?.mean ?? nil }
    }

    /// One value per boundary, nil where a boundary has none.
    public func boundaryMeans(_ name: String) -> [Double?] {
        boundaries.map { $0.metrics[name]?.mean ?? nil }
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
