import Corpus
import Models
import Plans
import Records
import Tensors

/// A kind of measurement that `probe` can make; all that are chosen share one run through the model.
///
/// A pass owns its tap, its metrics, its values by document and its section of the report. Adding one is a
/// file with its declaration and its `PassMeasurement`, and a line in `all` (docs/adding-a-pass.md).
public struct MeasuringPass: Sendable {
    public let declaration: PassDeclaration
    /// Whether a run makes it that names no passes.
    public let isStandard: Bool
    let make: @Sendable (PassContext) throws -> any PassMeasurement
    /// Adds to the merged tables of shards what does not follow from each table by itself.
    let merge: @Sendable (ProbeShards, PassResults) throws(AnalysisError) -> PassResults

    init(
        _ declaration: PassDeclaration, isStandard: Bool = true,
        merge: @escaping @Sendable (ProbeShards, PassResults) throws(AnalysisError) -> PassResults =
            {
                (_, tables) throws(AnalysisError) in tables
            },
        make: @escaping @Sendable (PassContext) throws -> any PassMeasurement
    ) {
        self.declaration = declaration
        self.isStandard = isStandard
        self.merge = merge
        self.make = make
    }

    public var name: String { declaration.name }

    /// Every pass, in the order of the files and the report.
    public static let all: [MeasuringPass] = [
        .angular, .influence, .contribution, .lens, .geometry, .blocks, .attention, .norms,
    ]

    public static let standard = all.filter(\.isStandard)

    public static func named(_ name: String) -> MeasuringPass? { all.first { $0.name == name } }
}

/// A pass at work: a tap that is also told, at each document's end, which positions are sinks.
package protocol PassMeasurement: Tap {
    /// The document that `begin` named has gone through. Called in the order of the documents.
    /// - Parameter sinks: for each position whether it is an attention sink or an added token.
    func end(_ document: Document, sinks: [Bool]) throws(AnalysisError)
    /// The tables so far, of metrics that are means over documents.
    var tables: [DocumentTable] { get }
    /// What was measured, once all documents have gone through.
    func results() throws(AnalysisError) -> PassResults
    /// Room for the last boundary's logits of the first positions, of a pass that computes them; others
    /// return false.
    func fillLogits(_ buffer: FloatBuffer) -> Bool
    /// Takes in what waits for more documents, so that tables hold all that have ended.
    func flush() throws(AnalysisError)
}

extension PassMeasurement {
    package func fillLogits(_ buffer: FloatBuffer) -> Bool { false }
    package func flush() throws(AnalysisError) {}
}

/// What a pass has measured.
package struct PassResults {
    /// One for each metric and twin, in the order of the files.
    package var tables: [DocumentTable]
    /// Of each head: places are heads within layers.
    package var heads: [DocumentTable] = []
    /// Readings of the tuned lens, by the plain lens's names.
    package var tuned: [DocumentTable] = []
    /// Values of the whole run by place, of metrics that are no sums over documents.
    package var whole: [(metric: Metric, values: [Double?])] = []
    /// Over all pairs of boundaries, by name.
    package var matrices: [(name: String, values: [[Double?]])] = []
    /// Over pairs of boundaries, by document.
    package var pairs: PairValues?
    /// Of each of `whole` and `matrices`, leaving out one block of documents after the other.
    package var jackknife: [JackknifeValues] = []
    /// What a person should know of the measurement, a line each.
    package var notes: [String] = []
    /// Sums that a shard keeps for `merge`.
    package var kept: ShardSums?

    package init(tables: [DocumentTable] = []) { self.tables = tables }
}

/// What a pass may ask of the run that it is part of.
package final class PassContext {
    package let model: Transformer
    package let plan: LayerPlan
    /// All that will be run here; only their lengths matter.
    package let documents: [Document]
    package let options: ProbeOptions
    /// Asked at a document's end, and by passes that keep sums of states.
    package let sinks: SinkFinder
    /// Taps that several passes read; each is begun and observes before them.
    private(set) var shared: [any Tap] = []
    private var turns: LayerTurns?

    init(model: Transformer, plan: LayerPlan, documents: [Document], options: ProbeOptions) {
        self.model = model
        self.plan = plan
        self.documents = documents
        self.options = options
        sinks = SinkFinder(
            boundaries: plan.steps.count + 1,
            longest: documents.map(\.tokens.count).max() ?? 1)
    }

    /// Executed layers.
    package var steps: Int { plan.steps.count }
    package var boundaries: Int { steps + 1 }
    package var width: Int { model.configuration.hiddenSize }
    package var longest: Int { documents.map(\.tokens.count).max() ?? 1 }

    /// How each layer turns the state, which three passes read: measured once.
    func layerTurns() -> LayerTurns {
        if let turns { return turns }
        let made = LayerTurns(layers: steps, width: width, longest: longest)
        turns = made
        shared.append(made)
        return made
    }

    /// An empty table for a metric.
    func table(_ metric: Metric, places: Int? = nil) -> DocumentTable {
        DocumentTable(
            metric, places: places ?? (metric.place == .layer ? steps : boundaries))
    }
}
