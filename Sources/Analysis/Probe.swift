import Corpus
import Models
import Records
import Tensors

/// A pass that `probe` can make; all of them share one run through the model.
public enum ProbePass: String, Sendable, CaseIterable {
    case angular, influence, contribution, lens, geometry
    /// Linear probes: made by the module Probing on examples of their own.
    case probes

    /// What a run makes that names no passes.
    public static let standard = Set(allCases).subtracting([.probes])
}

/// The main job: runs documents through a model once and measures every layer and boundary.
///
/// Memory holds the activations of one block of positions, the keys and values of one document and the
/// last-token distances of each document, whatever the number of tokens; for `geometry` also a second
/// moment of each boundary (8·d² bytes), and the states of one batch and of the start of one document.
public final class Probe {
    public struct Result: Sendable {
        public var layers: [LayersRecord.Layer]
        public var boundaries: [LayersRecord.Boundary]
        /// Linear CKA of all pairs of boundaries; nil when `geometry` was not asked for.
        public var cka: [[Double?]]?
        /// Angular distance at the last token: [documents][layers].
        public var documentDistances: [[Double]]
        public var selfChecks: [RunRecord.SelfCheck]
    }

    private let model: Transformer
    private let passes: Set<ProbePass>
    private let tuned: TunedLens?

    /// - Parameter tuned: a tuned lens to read with beside the plain one, in the lens pass.
    public init(
        model: Transformer, passes: Set<ProbePass> = ProbePass.standard, tuned: TunedLens? = nil
    ) {
        self.model = model
        self.passes = passes
        self.tuned = tuned
    }

    /// - Parameter progress: called with the number of tokens that went through since the last call.
    /// - Throws: `AnalysisError`; a self-check that fails on the first document stops the run.
    public func run(
        _ documents: [Document], progress: (Int) -> Void = { _ in }
    ) throws(AnalysisError) -> Result {
        let configuration = model.configuration
        let boundaries = configuration.layerCount + 1
        let geometry = LayerGeometry(
            layers: configuration.layerCount, width: configuration.hiddenSize)
        let needsGeometry = !passes.isDisjoint(with: [.angular, .influence, .contribution])
        var lensMeans = LensMeans(boundaries: boundaries)
        var tunedMeans = tuned.map { _ in LensMeans(boundaries: boundaries) }
        var addedTokens = 0
        let lens =
            passes.contains(.lens)
            ? LensTap(
                model: model, plan: .identity(layers: configuration.layerCount), tuned: tuned
            ) { position, readings, tunedReadings in
                guard position >= addedTokens else { return }
                lensMeans.take(readings)
                tunedMeans?.take(tunedReadings)
            } : nil
        let spaces =
            passes.contains(.geometry)
            ? BoundaryGeometry(
                boundaries: boundaries, width: configuration.hiddenSize, documents: documents) : nil
        var taps: [any Tap] = []
        if needsGeometry { taps.append(geometry) }
        if let lens { taps.append(lens) }
        if let spaces { taps.append(spaces) }

        var selfChecks: [RunRecord.SelfCheck] = []
        func pass() throws(ModelError) {
            let session = try Session(
                model: model, capacity: documents.map(\.tokens.count).max() ?? 1)
            for (index, document) in documents.enumerated() {
                addedTokens = document.addedTokens
                geometry.begin(document)
                lens?.begin(document.tokens)
                spaces?.begin(document)
                session.reset()
                if index == 0 {
                    selfChecks = try runChecked(document, session, taps: taps, lens, progress)
                    // What one document shows to be wrong need not run through the others.
                    guard selfChecks.allSatisfy({ $0.value <= $0.limit }) else { return }
                } else {
                    try session.run(document.tokens, taps: taps) { positions, _ in
                        progress(positions.count)
                    }
                }
                if needsGeometry { geometry.end() }
                spaces?.end()
                lensMeans.endDocument()
                tunedMeans?.endDocument()
            }
        }
        do { try pass() } catch { throw .model(error) }
        for check in selfChecks where !(check.value <= check.limit) {
            throw .selfCheckFailed(name: check.name, value: check.value, limit: check.limit)
        }
        let spaceMetrics = try spaces?.metrics()
        return Result(
            layers: (0..<configuration.layerCount).map {
                LayersRecord.Layer(
                    index: $0, metrics: geometry.estimates(layer: $0, passes: passes), scores: [:])
            },
            boundaries: lens == nil && spaces == nil
                ? []
                : (0..<boundaries).map { boundary in
                    var metrics = spaceMetrics?[boundary] ?? [:]
                    if lens != nil {
                        for (metric, mean) in zip(Metric.lens, lensMeans.means[boundary]) {
                            metrics[metric.name] = mean.estimate
                        }
                    }
                    let read = lens == nil ? nil : tunedMeans?.means[boundary]
                    return LayersRecord.Boundary(
                        index: boundary, metrics: metrics,
                        tuned: read.map { means in
                            Dictionary(
                                uniqueKeysWithValues: zip(Metric.lens, means).map {
                                    ($0.name, $1.estimate)
                                })
                        } ?? [:])
                },
            cka: spaces?.alignments(), documentDistances: geometry.lastDistances,
            selfChecks: selfChecks)
    }

    /// The first document, with the checks that every run makes.
    private func runChecked(
        _ document: Document, _ session: Session, taps: [any Tap], _ lens: LensTap?,
        _ progress: (Int) -> Void
    ) throws(ModelError) -> [RunRecord.SelfCheck] {
        let residual = ResidualSumCheck(
            width: model.configuration.hiddenSize,
            boundaries: model.configuration.layerCount + 1)
        var checks: [RunRecord.SelfCheck] = []
        let rows = min(HeadCheck.rows, document.tokens.count)
        let lensLogits = lens.map { _ in
            FloatBuffer(count: rows * model.configuration.vocabularySize)
        }
        lens?.finalLogits = lensLogits
        try session.run(document.tokens, taps: taps + [residual]) {
            positions, states throws(ModelError) in
            progress(positions.count)
            if let lensLogits, positions.lowerBound == 0 {
                checks.append(
                    try HeadCheck.run(
                        model: model, states: states, rows: rows, lensLogits: lensLogits))
            }
        }
        return [residual.result] + checks
    }
}
