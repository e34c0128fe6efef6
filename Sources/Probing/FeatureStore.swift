import Corpus
import Models
import Plans
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

    /// Copies one example's state [width].
    package func set(_ boundary: Int, row: Int, _ state: UnsafePointer<Float>) {
        (self.boundary(boundary) + row * width).update(from: state, count: width)
    }

    /// All values: [boundaries, rows, width].
    public var values: UnsafeBufferPointer<Float> { UnsafeBufferPointer(buffer.values) }
}

/// Copies the state of the last position of each text of a block at every boundary. A tap on `resid`.
private final class FeatureTap: Tap {
    private let store: FeatureStore
    /// The row of the block's first text.
    var row = 0
    /// The position that is read of each text of the block.
    var positions: [Int] = []

    init(_ store: FeatureStore) { self.store = store }

    func wants(_ site: Site) -> Bool { site == .resid }

    func observe(_ activation: Activation) {
        let position = positions[activation.sequence]
        guard activation.positions.contains(position) else { return }
        store.set(
            activation.index, row: row + activation.sequence, activation.row(position))
    }
}

/// Runs examples through a model and a plan, up to the token that is read: what stands behind it
/// cannot matter to it.
///
/// Short examples run together in one block. At f32 a state has the same bytes as if its example had run
/// alone.
public struct FeatureExtractor {
    public let model: Transformer
    public let plan: LayerPlan

    public init(model: Transformer, plan: LayerPlan) {
        self.model = model
        self.plan = plan
    }

    /// - Parameters:
    ///   - documents: each ends with the token that is read.
    ///   - progress: called with the number of documents that went through since the last call.
    /// - Throws: `ModelError`.
    public func run(
        _ documents: [Document], progress: (Int) -> Void
    ) throws(ModelError) -> FeatureStore {
        let width = model.configuration.hiddenSize
        let store = FeatureStore(
            boundaries: plan.steps.count + 1, rows: documents.count, width: width)
        // Where frequencies depend on the text's length, texts of several lengths cannot share a block.
        let rows = model.configuration.rotaryDependsOnLength ? 0 : BlockRunner.blockLength
        let session = try Session(
            model: model, plan: plan, capacity: documents.map(\.tokens.count).max() ?? 1)
        let runner = rows > 0 ? BlockRunner(model: model) : session.runner
        let tap = FeatureTap(store)
        var caches: [KeyValueCache] = []
        for group in Self.groups(documents.map(\.tokens.count), rows: rows) {
            tap.row = group.lowerBound
            tap.positions = documents[group].map { $0.tokens.count - 1 }
            if group.count == 1 {
                session.reset()
                try session.run(documents[group.lowerBound].tokens, taps: [tap])
            } else {
                while caches.count < group.count {
                    caches.append(
                        try KeyValueCache(model: model, plan: plan, capacity: session.capacity))
                }
                for cache in caches { cache.rewind(to: 0) }
                try runner.run(
                    zip(documents[group], caches).map { .init($0.tokens, cache: $1) }, taps: [tap])
            }
            progress(group.count)
        }
        return store
    }

    /// Consecutive documents that together have at most `rows` tokens; one that has more stands alone.
    package static func groups(_ lengths: [Int], rows: Int) -> [Range<Int>] {
        var groups: [Range<Int>] = []
        var start = 0
        while start < lengths.count {
            var end = start + 1
            var sum = lengths[start]
            while end < lengths.count, sum + lengths[end] <= rows {
                sum += lengths[end]
                end += 1
            }
            groups.append(start..<end)
            start = end
        }
        return groups
    }
}
