import Corpus
import Records

/// How `Probe` measures, beyond which passes it makes.
public struct ProbeOptions: Sendable {
    /// A tuned lens to read with beside the plain one, in the lens pass.
    public var tuned: TunedLens?
    /// What the geometry does with attention sinks; means over positions always keep them, and their twins
    /// never do.
    public var sinks = SinksRecord.Policy.drop
    /// The positions that the lens reads.
    public var lensPositions = PositionSelection.all
    /// Whether documents stop when a metric is known well enough.
    public var until: StandardErrorBound?
    /// Whether blocks of documents are kept for the jackknife of what is no sum over documents.
    public var makesEvidence = false
    /// What part of the text this run sees; nil for all of it.
    public var shard: Shard?

    /// Consecutive documents of a text.
    public struct Shard: Sendable, Equatable {
        /// The number of the first document in the text.
        public var first: Int
        /// Of the whole text.
        public var textDocuments: Int
        /// Of the whole text, without added ones.
        public var textTokens: Int

        public init(first: Int, textDocuments: Int, textTokens: Int) {
            self.first = first
            self.textDocuments = textDocuments
            self.textTokens = textTokens
        }
    }

    public init() {}
}

/// A condition to stop at: the standard error of a metric is at most a bound at every layer or boundary.
public struct StandardErrorBound: Sendable, Equatable, CustomStringConvertible {
    public var metric: String
    public var bound: Double

    /// Documents before which no run stops: a standard error of few documents says little.
    public static let leastDocuments = 20

    public init(metric: String, bound: Double) {
        self.metric = metric
        self.bound = bound
    }

    public var description: String { "\(metric) \(bound)" }
}
