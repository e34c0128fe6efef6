import Corpus
import Models
import Plans
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
/// last-token distances of each document, and for the current one each value at each position, whatever
/// the number of tokens; for `geometry` also a second
/// moment of each boundary (8·d² bytes), and the states of one batch, of one block, of the start of one
/// document and of positions that may be massive.
public final class Probe {
    public struct Result: Sendable {
        public var layers: [LayersRecord.Layer]
        public var boundaries: [LayersRecord.Boundary]
        /// Linear CKA of all pairs of boundaries; nil when `geometry` was not asked for.
        public var cka: [[Double?]]?
        /// Angular distance at the last token: [documents][layers].
        public var documentDistances: [[Double]]
        public var selfChecks: [RunRecord.SelfCheck]
        /// What the geometry and the twins of means leave out; nil when neither was asked for.
        public var sinks: SinksRecord?
    }

    private let model: Transformer
    private let passes: Set<ProbePass>
    private let tuned: TunedLens?
    private let sinkPolicy: SinksRecord.Policy

    /// - Parameters:
    ///   - tuned: a tuned lens to read with beside the plain one, in the lens pass.
    ///   - sinks: what the geometry does with attention sinks; means over positions always keep them,
    ///     and their twins never do.
    public init(
        model: Transformer, passes: Set<ProbePass> = ProbePass.standard, tuned: TunedLens? = nil,
        sinks: SinksRecord.Policy = .drop
    ) {
        self.model = model
        self.passes = passes
        self.tuned = tuned
        sinkPolicy = sinks
    }

    /// - Parameter progress: called with the number of tokens that went through since the last call.
    /// - Throws: `AnalysisError`; a self-check that fails on the first document stops the run.
    public func run(
        _ documents: [Document], progress: (Int) -> Void = { _ in }
    ) throws(AnalysisError) -> Result {
        let configuration = model.configuration
        let boundaries = configuration.layerCount + 1
        let longest = documents.map(\.tokens.count).max() ?? 1
        let geometry = LayerGeometry(
            layers: configuration.layerCount, width: configuration.hiddenSize, longest: longest)
        let sinks = SinkFinder(boundaries: boundaries, longest: longest)
        let needsGeometry = !passes.isDisjoint(with: [.angular, .influence, .contribution])
        var lensMeans = LensMeans(boundaries: boundaries, longest: longest)
        var tunedMeans = tuned.map { _ in LensMeans(boundaries: boundaries, longest: longest) }
        let lens =
            passes.contains(.lens)
            ? LensTap(
                model: model, plan: .identity(layers: configuration.layerCount), tuned: tuned
            ) { position, readings, tunedReadings in
                lensMeans.take(position, readings)
                tunedMeans?.take(position, tunedReadings)
            } : nil
        let spaces =
            passes.contains(.geometry)
            ? BoundaryGeometry(
                boundaries: boundaries, width: configuration.hiddenSize, documents: documents,
                sinks: sinkPolicy == .drop ? sinks : nil) : nil
        let measuring = Measuring(
            sinks: sinks, geometry: needsGeometry ? geometry : nil, lens: lens, spaces: spaces
        ) { document, sinks in
            lensMeans.end(document, sinks: sinks)
            tunedMeans?.end(document, sinks: sinks)
        }

        var selfChecks: [RunRecord.SelfCheck] = []
        do {
            let loop = try DocumentLoop(
                model: model, longest: longest, taps: measuring.isEmpty ? [] : [measuring])
            for (index, document) in documents.enumerated() {
                if index == 0 {
                    selfChecks = try runChecked(document, loop, lens, progress)
                    // What one document shows to be wrong need not run through the others.
                    for check in selfChecks where !(check.value <= check.limit) {
                        throw AnalysisError.selfCheckFailed(
                            name: check.name, value: check.value, limit: check.limit)
                    }
                } else {
                    try loop.run(document, index: index) { positions, _ in
                        progress(positions.count)
                    }
                }
            }
            try loop.finish()
        } catch { throw AnalysisError(error) }
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
                    guard lens != nil else {
                        return LayersRecord.Boundary(index: boundary, metrics: metrics)
                    }
                    metrics.merge(lensMeans.estimates(boundary: boundary)) { $1 }
                    return LayersRecord.Boundary(
                        index: boundary, metrics: metrics,
                        tuned: tunedMeans?.estimates(boundary: boundary) ?? [:])
                },
            cka: spaces?.alignments(), documentDistances: geometry.lastDistances,
            selfChecks: selfChecks,
            sinks: measuring.isEmpty
                ? nil
                : SinksRecord(
                    policy: sinkPolicy, positions: sinks.counts.positions,
                    first: sinks.counts.first, massive: sinks.counts.massive))
    }

    /// The first document, with the checks that every run makes.
    private func runChecked(
        _ document: Document, _ loop: DocumentLoop, _ lens: LensTap?, _ progress: (Int) -> Void
    ) throws -> [RunRecord.SelfCheck] {
        let residual = ResidualSumCheck(
            width: model.configuration.hiddenSize,
            boundaries: model.configuration.layerCount + 1)
        var checks: [RunRecord.SelfCheck] = []
        let rows = min(HeadCheck.rows, document.tokens.count)
        let lensLogits = lens.map { _ in
            FloatBuffer(count: rows * model.configuration.vocabularySize)
        }
        lens?.finalLogits = lensLogits
        try loop.run(document, index: 0, extra: [residual]) {
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

/// The passes as one tap: what is a sink is known at a document's end, and before the passes end it.
private final class Measuring: Tap {
    private let sinks: SinkFinder
    private let geometry: LayerGeometry?
    private let lens: LensTap?
    private let spaces: BoundaryGeometry?
    private let endLens: (_ document: Document, _ sinks: [Bool]) -> Void
    private var document = Document(tokens: [])

    init(
        sinks: SinkFinder, geometry: LayerGeometry?, lens: LensTap?, spaces: BoundaryGeometry?,
        endLens: @escaping (_ document: Document, _ sinks: [Bool]) -> Void
    ) {
        self.sinks = sinks
        self.geometry = geometry
        self.lens = lens
        self.spaces = spaces
        self.endLens = endLens
    }

    var isEmpty: Bool { geometry == nil && lens == nil && spaces == nil }

    func wants(_ site: Site) -> Bool { site == .resid }

    func begin(_ document: Document, index: Int) {
        self.document = document
        sinks.begin(document, index: index)
        geometry?.begin(document, index: index)
        lens?.begin(document, index: index)
        spaces?.begin(document, index: index)
    }

    func observe(_ activation: Activation) throws(ModelError) {
        sinks.observe(activation)
        geometry?.observe(activation)
        try lens?.observe(activation)
        spaces?.observe(activation)
    }

    func end() {
        sinks.end()
        geometry?.end(sinks: sinks.leftOut)
        spaces?.end()
        if lens != nil { endLens(document, sinks.leftOut) }
    }
}
