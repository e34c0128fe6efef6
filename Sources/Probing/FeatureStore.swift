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

    /// Copies one example's state [width].
    func set(_ boundary: Int, row: Int, _ state: UnsafePointer<Float>) {
        (self.boundary(boundary) + row * width).update(from: state, count: width)
    }

    /// All values: [boundaries, rows, width].
    public var values: UnsafeBufferPointer<Float> { UnsafeBufferPointer(buffer.values) }
}

/// Copies the state of one position of a document at every boundary. A tap on `resid`.
private final class FeatureTap: Tap {
    private let store: FeatureStore
    private let row: Int
    private let position: Int

    init(_ store: FeatureStore, row: Int, position: Int) {
        self.store = store
        self.row = row
        self.position = position
    }

    func wants(_ site: Site) -> Bool { site == .resid }

    func observe(_ activation: Activation) {
        guard activation.positions.contains(position) else { return }
        store.set(activation.index, row: row, activation.row(position))
    }
}

/// Runs examples through a model and a plan, up to the token that is read: what stands behind it
/// cannot matter to it.
///
/// Short examples run together, as branches of one block that begin at the text's start. At f32 a state
/// has the same bytes as if its example had run alone.
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
        let rows = model.configuration.rotaryDependsOnLength ? 0 : Session.blockLength
        let session = try Session(
            model: model, plan: plan, capacity: documents.map(\.tokens.count).max() ?? 1,
            branches: rows > 0)
        for group in Self.groups(documents.map(\.tokens.count), rows: rows) {
            session.reset()
            if group.count == 1 {
                let tokens = documents[group.lowerBound].tokens
                let tap = FeatureTap(store, row: group.lowerBound, position: tokens.count - 1)
                try session.run(tokens, taps: [tap])
            } else {
                let branches = documents[group].map(\.tokens)
                try session.run([], branches: branches) { boundary, states in
                    var end = 0
                    for (row, branch) in zip(group, branches) {
                        end += branch.count
                        store.set(boundary, row: row, states + (end - 1) * width)
                    }
                }
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
