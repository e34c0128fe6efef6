import Records

/// What saved runs hold of a model: everything that a selector may read, without the model.
public struct SavedEvidence: Sendable {
    /// Values of one metric by document, as sums and how many values are in them.
    public struct Table: Sendable {
        /// Layers or boundaries.
        public var places: Int
        /// [documents][places]; NaN where a document has no value.
        public var sums: [Double]
        public var counts: [Double]

        public init(places: Int, sums: [Double], counts: [Double]) {
            precondition(sums.count == counts.count)
            self.places = places
            self.sums = sums
            self.counts = counts
        }
    }

    /// Angular distances of pairs of boundaries.
    public struct Pairs: Sendable {
        public var pairs: [(Int, Int)]
        /// [documents][pairs]
        public var values: [Double]

        public init(pairs: [(Int, Int)], values: [Double]) {
            self.pairs = pairs
            self.values = values
        }
    }

    /// A window of layers that a scan skipped or repeated.
    public struct Window: Sendable {
        public var kind: String
        public var start: Int
        public var length: Int
        /// nil for skip.
        public var iterations: Int?
        /// Change of each item's margin, NaN where the window did not see it. [items]
        public var margins: [Double]
        /// Change of -log P summed over each document's scored tokens. [documents]
        public var nll: [Double]

        public init(
            kind: String, start: Int, length: Int, iterations: Int?, margins: [Double],
            nll: [Double]
        ) {
            self.kind = kind
            self.start = start
            self.length = length
            self.iterations = iterations
            self.margins = margins
            self.nll = nll
        }

        public var layers: Range<Int> { start..<start + length }
    }

    public struct Scans: Sendable {
        public var windows: [Window]
        /// For each item, whether it was kept for confirmation.
        public var isConfirmation: [Bool]
        /// Scored tokens of each document.
        public var scored: [Double]
        /// Each item's margin under the model as it is; empty where it is not known, and with it the accuracy.
        public var baseMargins: [Double]

        public init(
            windows: [Window], isConfirmation: [Bool], scored: [Double], baseMargins: [Double] = []
        ) {
            self.baseMargins = baseMargins
            self.windows = windows
            self.isConfirmation = isConfirmation
            self.scored = scored
        }
    }

    /// How a looped window goes on: the mean over documents of ‖T^k h - T^(k-1) h‖/‖h‖ by k.
    public struct Dynamics: Sendable {
        public var start: Int
        public var length: Int
        public var change: [Double]

        public init(start: Int, length: Int, change: [Double]) {
            self.start = start
            self.length = length
            self.change = change
        }
    }

    /// What USE rests on.
    public struct Use: Sendable {
        /// Change of the log-odds, [items][layers].
        public var changes: [[Double]]
        public var textDamage: [Double]

        public init(changes: [[Double]], textDamage: [Double]) {
            self.changes = changes
            self.textDamage = textDamage
        }
    }

    public var model: ModelRecord
    public var documents: Int
    /// By metric name.
    public var tables: [String: Table] = [:]
    public var pairs: Pairs?
    /// Over all pairs of boundaries, such as `cka`.
    public var matrices: [String: [[Double?]]] = [:]
    /// Values of the whole run by boundary, of metrics that are no sums over documents.
    public var whole: [String: [Double?]] = [:]
    /// Scores of the layers, such as `read_bits`.
    public var scores: [String: [Double?]] = [:]
    public var scans: Scans?
    /// Mean relative change of what a later layer adds, by skipped and later layer.
    public var skipEffect: [[Double?]]?
    public var dynamics: [Dynamics] = []
    public var use: Use?

    public init(model: ModelRecord, documents: Int) {
        self.model = model
        self.documents = documents
    }

    public var layers: Int { model.layers }
}
