import Corpus
import Models
import Tensors

/// The states that probes read: one token of each example, at every boundary, in f32.
///
/// Memory: boundaries × examples × d × 4 bytes, for one task at a time.
public final class FeatureStore: @unchecked Sendable {
    public let boundaries: Int
    public let rows: Int
    public let width: Int
    private let buffer: FloatBuffer

    public init(boundaries: Int, rows: Int, width: Int) {
        self.boundaries = boundaries
        self.rows = rows
        self.width = width
        buffer = FloatBuffer(count: boundaries * rows * width)
    }

    /// [rows, width] of one boundary.
    public func boundary(_ index: Int) -> UnsafeMutablePointer<Float> {
        precondition(index >= 0 && index < boundaries)
        return buffer.pointer + index * rows * width
    }

    /// All values: [boundaries, rows, width].
    public var values: UnsafeBufferPointer<Float> { UnsafeBufferPointer(buffer.values) }
}

/// Copies the state of one position of each document at every boundary. A tap on `resid`.
final class FeatureTap: Tap {
    private let store: FeatureStore
    private var row = 0
    private var position = 0

    init(_ store: FeatureStore) { self.store = store }

    func begin(row: Int, position: Int) {
        self.row = row
        self.position = position
    }

    func wants(_ site: Site) -> Bool { site == .resid }

    func observe(_ activation: Activation) {
        guard activation.positions.contains(position) else { return }
        (store.boundary(activation.index) + row * store.width)
            .update(from: activation.row(position), count: store.width)
    }
}

/// Runs examples through a model and a plan, up to the token that is read: what stands behind it
/// cannot matter to it.
public struct FeatureExtractor {
    public let model: Transformer
    public let plan: LayerPlan

    public init(model: Transformer, plan: LayerPlan) {
        self.model = model
        self.plan = plan
    }

    /// - Parameters:
    ///   - documents: each ends with the token that is read.
    ///   - progress: called with 1 after each.
    /// - Throws: `ModelError`.
    public func run(
        _ documents: [Document], progress: (Int) -> Void
    ) throws(ModelError) -> FeatureStore {
        let store = FeatureStore(
            boundaries: plan.steps.count + 1, rows: documents.count,
            width: model.configuration.hiddenSize)
        let tap = FeatureTap(store)
        let session = try Session(
            model: model, plan: plan, capacity: documents.map(\.tokens.count).max() ?? 1)
        for (row, document) in documents.enumerated() {
            tap.begin(row: row, position: document.tokens.count - 1)
            session.reset()
            try session.run(document.tokens, taps: [tap])
            progress(1)
        }
        return store
    }
}
