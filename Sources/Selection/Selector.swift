import Files
import Plans
import Records

/// A rule that reads evidence and proposes a split. Pure: it runs no model, and the same evidence gives the
/// same proposal.
///
/// Adding one is a file in Selectors/ and a line in `all` (docs/extending.md). What each says goes into the
/// split file's `evidence` under its name; which of them decides is for `AngularKneedleSelector` to say.
public struct Selector: Sendable {
    /// In the split file.
    public let name: String
    public let title: String
    /// What it does, in a sentence with its formula.
    public let explanation: String
    /// The metrics of `layers.json` that it reads.
    public let reads: [String]
    /// What it has been seen to predict: damage to text, reasoning, or nothing.
    public let predicts: String
    public let source: Citation
    let propose: @Sendable (LayerEvidence) -> SplitRecord.Evidence

    init(
        name: String, title: String, explanation: String, reads: [String], predicts: String,
        source: Citation, propose: @escaping @Sendable (LayerEvidence) -> SplitRecord.Evidence
    ) {
        self.name = name
        self.title = title
        self.explanation = explanation
        self.reads = reads
        self.predicts = predicts
        self.source = source
        self.propose = propose
    }

    /// Every selector, in the order of the split file.
    public static let all: [Selector] = [.kneedle, .plateau]

    /// What the selector says of some evidence.
    public func callAsFunction(_ evidence: LayerEvidence) -> SplitRecord.Evidence {
        propose(evidence)
    }
}

/// What a run has measured by layer, and what several selectors ask of it, computed once.
public struct LayerEvidence: Sendable {
    /// Mean angular distance at the last token; NaN where a layer has none. [L]
    public let distances: [Double]
    public let kneedle: Kneedle
    public let seed: UInt64
    /// Kneedle's reading of `distances`.
    public let proposal: AngularSplit
    /// How often resamples of the documents give which split; nil with too few documents.
    public let distribution: SplitBootstrap.Distribution?
    public let windows: PlateauWindows

    /// - Parameter documents: distances of each document; those that are not finite are left out of the
    ///   bootstrap. [D][L]
    public init(
        distances: [Double], documents: [[Double]], kneedle: Kneedle = Kneedle(sensitivity: 1),
        resamples: Int = 1000, seed: UInt64 = 0
    ) {
        self.distances = distances
        self.kneedle = kneedle
        self.seed = seed
        proposal = AngularSplit(distances: distances, kneedle: kneedle)
        windows = PlateauWindows(distances: distances)
        distribution = SplitBootstrap(resamples: resamples, seed: seed, kneedle: kneedle)
            .run(documents: documents.filter { $0.allSatisfy(\.isFinite) })
    }
}
