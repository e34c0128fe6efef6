import Corpus
import Models
import Records
import Tensors

/// A pass that `probe` can make; all of them share one run through the model.
public enum ProbePass: String, Sendable, CaseIterable {
    case angular, influence, contribution, lens
    /// Linear probes: made by the module Probing on examples of their own.
    case probes

    /// What a run makes that names no passes.
    public static let standard = Set(allCases).subtracting([.probes])
}

/// The main job: runs documents through a model once and measures every layer and boundary.
///
/// Memory holds the activations of one block of positions, the keys and values of one document and the
/// last-token distances of each document, whatever the number of tokens.
public final class Probe {
    public struct Result: Sendable {
        public var layers: [LayersRecord.Layer]
        public var boundaries: [LayersRecord.Boundary]
        /// Angular distance at the last token: [documents][layers].
        public var documentDistances: [[Double]]
        public var selfChecks: [RunRecord.SelfCheck]
    }

    private let model: Transformer
    private let passes: Set<ProbePass>

    public init(model: Transformer, passes: Set<ProbePass> = ProbePass.standard) {
        self.model = model
        self.passes = passes
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
        var addedTokens = 0
        let lens =
            passes.contains(.lens)
            ? LensTap(model: model, boundaries: boundaries) { position, readings in
                if position >= addedTokens { lensMeans.take(readings) }
            } : nil
        var taps: [any Tap] = []
        if needsGeometry { taps.append(geometry) }
        if let lens { taps.append(lens) }

        var selfChecks: [RunRecord.SelfCheck] = []
        do {
            let session = try Session(
                model: model, capacity: documents.map(\.tokens.count).max() ?? 1)
            for (index, document) in documents.enumerated() {
                addedTokens = document.addedTokens
                geometry.begin(document)
                lens?.begin(document.tokens)
                session.reset()
                if index == 0 {
                    selfChecks = try runChecked(document, session, taps: taps, lens, progress)
                } else {
                    try session.run(document.tokens, taps: taps) { positions, _ in
                        progress(positions.count)
                    }
                }
                if needsGeometry { geometry.end() }
                lensMeans.endDocument()
            }
        } catch {
            throw .model(error)
        }
        for check in selfChecks where !(check.value <= check.limit) {
            throw .selfCheckFailed(name: check.name, value: check.value, limit: check.limit)
        }
        return Result(
            layers: (0..<configuration.layerCount).map {
                LayersRecord.Layer(
                    index: $0, metrics: geometry.estimates(layer: $0, passes: passes), scores: [:])
            },
            boundaries: lens == nil
                ? []
                : (0..<boundaries).map { boundary in
                    LayersRecord.Boundary(
                        index: boundary,
                        metrics: Dictionary(
                            uniqueKeysWithValues: zip(
                                Metric.perBoundary.map(\.name),
                                lensMeans.means[boundary].map(\.estimate))))
                },
            documentDistances: geometry.lastDistances, selfChecks: selfChecks)
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
        try session.run(document.tokens, taps: taps + [residual]) { positions, states in
            progress(positions.count)
            if let lensLogits, positions.lowerBound == 0 {
                checks.append(
                    HeadCheck.run(
                        model: model, states: states, rows: rows, lensLogits: lensLogits))
            }
        }
        return [residual.result] + checks
    }
}
