/// Angular distances at the last token, and what several selectors ask of them, computed once.
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
        resamples: Int = EvidenceResampler.resamples, seed: UInt64 = 0
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
