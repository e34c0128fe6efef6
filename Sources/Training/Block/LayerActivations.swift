import Models
import Tensors

/// What one executed layer keeps for its way back; R rows of all sequences. The other values (norms'
/// outputs, the activation) are cheap and computed again.
final class LayerActivations {
    /// The state that the layer received, [R, d].
    let input: FloatBuffer
    /// After projection and clamp, before QK-norm and rotary; nil where neither norm nor clamp asks for it.
    let rawQuery: FloatBuffer?
    let rawKey: FloatBuffer?
    /// As attention reads them.
    let query: FloatBuffer
    let key: FloatBuffer
    let value: FloatBuffer
    /// What attention mixed, [R, heads · head dimension], and log Σ exp of its scores, [R, heads].
    let mixed: FloatBuffer
    let logSums: FloatBuffer
    /// What attention adds, before a post-norm; nil without one.
    let rawAttention: FloatBuffer?
    /// The state between attention and MLP, [R, d]; nil where both read the layer's input.
    let middle: FloatBuffer?
    let gate: FloatBuffer?
    let up: FloatBuffer
    /// What the MLP adds, before a post-norm; nil without one.
    let rawMLP: FloatBuffer?

    init(_ c: ModelConfiguration, _ layer: TrainableLayer, rows: Int) {
        let queries = rows * c.headCount * c.headDimension
        let keys = rows * c.keyValueHeadCount * c.headDimension
        let states = rows * c.hiddenSize
        func buffer(_ count: Int, if wanted: Bool = true) -> FloatBuffer? {
            wanted ? FloatBuffer(uninitialized: count) : nil
        }
        input = FloatBuffer(uninitialized: states)
        rawQuery = buffer(queries, if: layer.queryNorm != nil || c.queryKeyValueClip != nil)
        rawKey = buffer(keys, if: layer.keyNorm != nil || c.queryKeyValueClip != nil)
        query = FloatBuffer(uninitialized: queries)
        key = FloatBuffer(uninitialized: keys)
        value = FloatBuffer(uninitialized: keys)
        mixed = FloatBuffer(uninitialized: queries)
        logSums = FloatBuffer(uninitialized: rows * c.headCount)
        rawAttention = buffer(states, if: layer.postAttentionNorm != nil)
        middle = buffer(states, if: !c.parallelResidual)
        gate = buffer(rows * c.intermediateSize, if: c.gatedMLP)
        up = FloatBuffer(uninitialized: rows * c.intermediateSize)
        rawMLP = buffer(states, if: layer.postMLPNorm != nil)
    }

    /// Bytes that one executed layer keeps for each row.
    static func bytesPerRow(_ c: ModelConfiguration) -> Int {
        let queries = c.headCount * c.headDimension
        let keys = c.keyValueHeadCount * c.headDimension
        var floats = c.hiddenSize + 2 * queries + 2 * keys + c.headCount
        if c.queryKeyNorm != .none || c.queryKeyValueClip != nil { floats += queries + keys }
        if c.normPlacement != .pre { floats += 2 * c.hiddenSize }
        if !c.parallelResidual { floats += c.hiddenSize }
        floats += c.intermediateSize * (c.gatedMLP ? 2 : 1)
        return 4 * floats
    }
}
