import Corpus
import Models
import Plans
import Records
import Tensors

/// The main job: runs documents through a model once and makes every pass that was chosen.
///
/// Memory holds the activations of one block of positions, the keys and values of one document, what each
/// pass keeps of the current one, and 16 bytes for each document, metric and layer or boundary; for
/// `geometry` also a second moment of each boundary (8·d² bytes).
public final class Probe {
    public struct Result: Sendable {
        public var layers: [LayersRecord.Layer] = []
        public var boundaries: [LayersRecord.Boundary] = []
        /// Over all pairs of boundaries, by name and in order.
        public var matrices: [(name: String, values: [[Double?]])] = []
        public var selfChecks: [RunRecord.SelfCheck] = []
        /// What the geometry and the twins of means leave out; nil when no pass was made.
        public var sinks: SinksRecord?
        /// The values behind the means.
        public var evidence = ProbeEvidence()
        /// Documents that were run: fewer than given where a bound was met.
        public var documents = 0
        /// Whether the bound that was asked for was met; nil without one.
        public var metBound: Bool?
        /// What a person should know of the measurement, a line each.
        public var notes: [String] = []
        /// What a shard keeps for `merge`, beside its evidence.
        public var kept: ShardSums?
    }

    private let model: Transformer
    private let plan: LayerPlan
    private let passes: [MeasuringPass]
    private let options: ProbeOptions

    /// - Parameter plan: what to run; the model as it is when nil.
    public init(
        model: Transformer, plan: LayerPlan? = nil,
        passes: [MeasuringPass] = MeasuringPass.standard, options: ProbeOptions = ProbeOptions()
    ) {
        self.model = model
        self.plan = plan ?? .identity(layers: model.configuration.layerCount)
        self.passes = MeasuringPass.all.filter { pass in passes.contains { $0.name == pass.name } }
        self.options = options
    }

    /// - Parameter progress: called with the number of tokens that went through since the last call.
    /// - Throws: `AnalysisError`; a self-check that fails on the first document stops the run.
    public func run(
        _ documents: [Document], progress: (Int) -> Void = { _ in }
    ) throws(AnalysisError) -> Result {
        let context = PassContext(
            model: model, plan: plan, documents: documents, options: options)
        var result = Result()
        do {
            let measurements = try passes.map { try $0.make(context) }
            let measuring = Measuring(context, measurements)
            let loop = try DocumentLoop(
                model: model, plan: plan, longest: context.longest,
                taps: passes.isEmpty ? [] : [measuring])
            let first = options.shard?.first ?? 0
            for (index, document) in documents.enumerated() {
                if index == 0 {
                    result.selfChecks = try runChecked(
                        document, first, loop, measurements, progress)
                    // What one document shows to be wrong need not run through the others.
                    for check in result.selfChecks where !(check.value <= check.limit) {
                        throw AnalysisError.selfCheckFailed(
                            name: check.name, value: check.value, limit: check.limit)
                    }
                } else {
                    try loop.run(document, index: first + index) { positions, _ in
                        progress(positions.count)
                    }
                }
                result.documents = index + 1
                if try options.until?.isMet(after: index + 1, measurements) == true {
                    result.metBound = true
                    break
                }
            }
            try loop.finish()
            if options.until != nil { result.metBound = result.metBound ?? false }
            let found = try zip(passes, measurements).map { ($0, try $1.results()) }
            result.evidence = ProbeEvidence(documents.prefix(result.documents))
            result.collect(found, plan: plan, layers: model.configuration.layerCount)
            if !passes.isEmpty {
                let counts = context.sinks.counts
                result.sinks = SinksRecord(
                    policy: options.sinks, positions: counts.positions, first: counts.first,
                    massive: counts.massive)
            }
        } catch { throw AnalysisError(error) }
        return result
    }

    /// The first document, with the checks that every run makes.
    private func runChecked(
        _ document: Document, _ index: Int, _ loop: DocumentLoop,
        _ measurements: [any PassMeasurement], _ progress: (Int) -> Void
    ) throws -> [RunRecord.SelfCheck] {
        let residual = ResidualSumCheck(
            width: model.configuration.hiddenSize, boundaries: plan.steps.count + 1)
        var checks: [RunRecord.SelfCheck] = []
        let rows = min(HeadCheck.rows, document.tokens.count)
        var logits: FloatBuffer?
        for pass in measurements where logits == nil {
            let room = FloatBuffer(count: rows * model.configuration.vocabularySize)
            if pass.fillLogits(room) { logits = room }
        }
        try loop.run(document, index: index, extra: [residual]) {
            positions, states throws(ModelError) in
            progress(positions.count)
            if let logits, positions.lowerBound == 0 {
                checks.append(
                    try HeadCheck.run(
                        model: model, states: states, rows: rows, lensLogits: logits))
            }
        }
        return [residual.result] + checks
    }
}

extension Probe.Result {
    /// Puts together what the passes have measured, each metric where its declaration has it.
    /// - Parameter layers: of the model.
    mutating func collect(
        _ found: [(pass: MeasuringPass, results: PassResults)], plan: LayerPlan, layers count: Int
    ) {
        let isLooped = plan != .identity(layers: count)
        func step(_ index: Int) -> LayersRecord.Step? {
            guard isLooped, index >= 0 else { return nil }
            let step = plan.steps[index]
            return LayersRecord.Step(layer: step.layer, iteration: step.iteration)
        }
        layers = plan.steps.indices.map {
            LayersRecord.Layer(index: $0, step: step($0), metrics: [:], scores: [:])
        }
        var rows = (0...plan.steps.count).map {
            LayersRecord.Boundary(index: $0, step: step($0 - 1), metrics: [:])
        }
        var hasBoundaries = false
        for (pass, found) in found {
            for metric in pass.declaration.metrics.flatMap(\.withTwin) {
                let values: [Estimate]
                if let table = found.tables.first(where: { $0.metric == metric }) {
                    values = (0..<table.places).map(table.estimate)
                    evidence.add(table)
                } else if let whole = found.whole.first(where: { $0.metric == metric }) {
                    values = whole.values.map { Estimate(mean: $0, standardError: nil) }
                } else {
                    continue
                }
                for (place, value) in values.enumerated() {
                    if metric.place == .layer {
                        layers[place].metrics[metric.name] = value
                    } else {
                        rows[place].metrics[metric.name] = value
                        hasBoundaries = true
                    }
                }
            }
            for table in found.heads {
                let heads = table.places / max(1, layers.count)
                for layer in layers.indices {
                    layers[layer].heads[table.metric.name] = (0..<heads).map {
                        table.estimate(layer * heads + $0).mean
                    }
                }
                evidence.add(table, ending: ProbeEvidence.headsEnding)
            }
            for table in found.tuned {
                for place in 0..<table.places {
                    rows[place].tuned[table.metric.name] = table.estimate(place)
                }
                evidence.add(table, prefix: ProbeEvidence.tunedBeginning)
            }
            matrices += found.matrices
            evidence.pairs = evidence.pairs ?? found.pairs.map(ProbeEvidence.Pairs.init)
            for values in found.jackknife {
                evidence.jackknife.append((values.name, values.values))
            }
            kept = kept ?? found.kept
            notes += found.notes
        }
        if hasBoundaries { boundaries = rows }
    }
}

extension StandardErrorBound {
    /// Whether every place's standard error is at most the bound. Places without values do not count.
    func isMet(after documents: Int, _ measurements: [any PassMeasurement]) throws -> Bool {
        // Asking makes the lens read what waits, so not at every document.
        guard documents >= Self.leastDocuments, documents % 10 == 0 else { return false }
        for measurement in measurements {
            try measurement.flush()
            guard let table = measurement.tables.first(where: { $0.metric.name == metric }) else {
                continue
            }
            return (0..<table.places).allSatisfy { place in
                let estimate = table.estimate(place)
                return estimate.mean == nil || (estimate.standardError ?? .infinity) <= bound
            }
        }
        return false
    }
}

/// The passes as one tap: what is a sink is known at a document's end, and before the passes end it.
private final class Measuring: Tap {
    private let sinks: SinkFinder
    private let taps: [any Tap]
    private let passes: [any PassMeasurement]
    private var document = Document(tokens: [])

    init(_ context: PassContext, _ passes: [any PassMeasurement]) {
        sinks = context.sinks
        self.passes = passes
        taps = [context.sinks] + context.shared + passes.map { $0 as any Tap }
    }

    func wants(_ site: Site) -> Bool { taps.contains { $0.wants(site) } }

    func begin(_ document: Document, index: Int) throws {
        self.document = document
        for tap in taps { try tap.begin(document, index: index) }
    }

    func observe(_ activation: Activation) throws(ModelError) {
        for tap in taps where tap.wants(activation.site) { try tap.observe(activation) }
    }

    func end() throws {
        sinks.end()
        for pass in passes { try pass.end(document, sinks: sinks.leftOut) }
    }
}
