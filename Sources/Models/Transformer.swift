import CKernels
import Checkpoints
import Plans
import Tensors

/// A decoder-only language model: weights in their file's own encoding, and how to use them.
///
/// Holds no state of a pass: `BlockRunner` and `KeyValueCache` do.
public final class Transformer: Sendable {
    public let configuration: ModelConfiguration
    /// Of all products with weights, and of attention.
    public let arithmetic: Arithmetic
    /// Rows are tokens: [V, d].
    public let embedding: WeightMatrix
    /// Rows are positions: [context, d]; nil where the model has rotary embeddings.
    public let positionEmbedding: WeightMatrix?
    /// Rows are tokens: [V, d]; the embedding where the two are tied.
    public let unembedding: WeightMatrix
    public let finalNorm: Norm
    public let layers: [DecoderLayer]
    /// Weights of the model, tied ones once.
    public let parameterCount: Int
    /// Names of tensors that belong to other parts of a larger model and were left alone.
    public let ignoredTensors: [String]

    init(
        configuration: ModelConfiguration, arithmetic: Arithmetic, embedding: WeightMatrix,
        positionEmbedding: WeightMatrix?, unembedding: WeightMatrix, finalNorm: Norm,
        layers: [DecoderLayer], parameterCount: Int, ignoredTensors: [String]
    ) {
        self.configuration = configuration
        self.arithmetic = arithmetic
        self.embedding = embedding
        self.positionEmbedding = positionEmbedding
        self.unembedding = unembedding
        self.finalNorm = finalNorm
        self.layers = layers
        self.parameterCount = parameterCount
        self.ignoredTensors = ignoredTensors
    }

    /// Logits [rows, V] of raw final states [rows, d]: final norm, then the unembedding. This is the
    /// plain head; the lens has code of its own and is checked against it.
    /// - Parameter position: that of a row, for the error.
    /// - Throws: `ModelError.nonFiniteLogit`: no softmax, maximum or comparison has to reckon with NaN.
    public func logits(
        of states: UnsafePointer<Float>, rows: Int, into out: UnsafeMutablePointer<Float>,
        position: (_ row: Int) -> Int = { $0 }
    ) throws(ModelError) {
        let width = configuration.hiddenSize
        ScratchPool.shared.withFloats(rows * width) { normed in
            for row in 0..<rows {
                finalNorm.apply(states + row * width, out: normed + row * width, width: width)
            }
            MatrixProduct.multiply(
                normed, rows: rows, in: arithmetic, into: [.init(unembedding, out: out)])
        }
        let vocabulary = unembedding.rows
        var finite = [Bool](repeating: true, count: rows)
        finite.withUnsafeMutableBufferPointer { finite in
            nonisolated(unsafe) let (finite, out) = (finite, out)
            Parallel.forEach(rows) { row in
                finite[row] = etd_all_finite(out + row * vocabulary, vocabulary) == 1
            }
        }
        guard let row = finite.firstIndex(of: false) else { return }
        let values = UnsafeBufferPointer(start: out + row * vocabulary, count: vocabulary)
        throw .nonFiniteLogit(
            id: values.firstIndex { !$0.isFinite } ?? 0, place: "the head", position: position(row))
    }

    /// - Parameter first: the position of the first token.
    /// - Throws: `ModelError.tokenOutOfRange`.
    func check(_ tokens: some Collection<Int32>, from first: Int) throws(ModelError) {
        let vocabulary = configuration.vocabularySize
        for (offset, token) in tokens.enumerated() where token < 0 || token >= vocabulary {
            throw .tokenOutOfRange(
                id: token, position: first + offset, vocabularySize: vocabulary)
        }
    }

    /// What the first layer receives [tokens, d]: the embeddings of `tokens` at the positions from
    /// `first`.
    package func embed(
        _ tokens: ArraySlice<Int32>, from first: Int, into out: UnsafeMutablePointer<Float>
    ) {
        let width = configuration.hiddenSize
        for (row, token) in tokens.enumerated() {
            embedding.decode(Int(token)..<Int(token) + 1, into: out + row * width)
        }
        if configuration.embeddingScale != 1 {
            etd_scale(out, configuration.embeddingScale, tokens.count * width)
        }
        if let positionEmbedding {
            positionEmbedding.withRows(first..<first + tokens.count) {
                etd_add(out, $0, tokens.count * width)
            }
        }
    }
}

/// RMSNorm, x / √(mean x² + ε) · (weight + offset), or LayerNorm, (x - mean) / √(variance + ε) · weight
/// + bias. Without a weight it counts as ones, without a bias as zeros.
public struct Norm: Sendable {
    package let type: ModelConfiguration.NormType
    package let weight: [Float]?
    package let bias: [Float]?
    package let offset: Float
    package let epsilon: Float

    /// Normalises one row; `out` may be `x`.
    public func apply(
        _ x: UnsafePointer<Float>, out: UnsafeMutablePointer<Float>, width: Int
    ) {
        switch type {
        case .rms: etd_rms_norm(x, weight, offset, epsilon, out, width)
        case .layer: etd_layer_norm(x, weight, bias, epsilon, out, width)
        }
    }
}

extension ModelConfiguration.Activation {
    /// up = activation(gate) · up, or activation(up) where there is no gate.
    package func apply(
        _ up: UnsafeMutablePointer<Float>, gate: UnsafePointer<Float>?, width: Int
    ) {
        switch (self, gate) {
        case (.silu, let gate?): etd_silu_gate(gate, up, up, width)
        case (.silu, nil): etd_silu(up, up, width)
        case (.geluTanh, let gate?): etd_gelu_tanh_gate(gate, up, up, width)
        case (.geluTanh, nil): etd_gelu_tanh(up, up, width)
        case (.gelu, let gate?): etd_gelu_gate(gate, up, up, width)
        case (.gelu, nil): etd_gelu(up, up, width)
        }
    }
}

/// A linear map with its bias, if it has one.
package struct Projection: Sendable {
    package let weight: WeightMatrix
    package let bias: [Float]?

    package func callAsFunction(
        _ x: FloatBuffer, rows: Int, in arithmetic: Arithmetic, into out: FloatBuffer
    ) {
        MatrixProduct.multiply(x.pointer, rows: rows, in: arithmetic, into: [target(out)])
    }

    package func target(_ out: FloatBuffer) -> MatrixProduct.Target {
        MatrixProduct.Target(weight, bias: bias, out: out.pointer)
    }
}

/// The weights of one decoder layer. What the family does not have is nil.
public struct DecoderLayer: Sendable {
    package let attention: ModelConfiguration.Attention
    package let attentionNorm: Norm?
    package let query: Projection
    package let key: Projection
    package let value: Projection
    package let queryNorm: Norm?
    package let keyNorm: Norm?
    package let attentionOutput: Projection
    package let postAttentionNorm: Norm?
    package let mlpNorm: Norm?
    package let gate: Projection?
    package let up: Projection
    package let down: Projection
    package let postMLPNorm: Norm?

    /// Weights of the matrix products.
    var productParameters: Int {
        [query, key, value, attentionOutput, gate, up, down].compactMap(\.self).reduce(0) {
            $0 + $1.weight.rows * $1.weight.columns
        }
    }
}

extension Transformer {
    /// Multiply-adds count two. The matrix products of the executed layers and the unembedding; the
    /// attention scores, which depend on the position, are left out.
    public func flopsPerToken(_ plan: LayerPlan) -> Double {
        let steps = plan.steps.reduce(0) { $0 + layers[$1.layer].productParameters }
        return 2 * Double(steps + unembedding.rows * unembedding.columns)
    }

    /// Keys and values in f32, one slot per executed step.
    public func keyValueBytesPerToken(_ plan: LayerPlan) -> Double {
        Double(
            plan.steps.count * 2 * configuration.keyValueHeadCount * configuration.headDimension * 4
        )
    }
}

extension Transformer {
    /// Weights of each part of the model, which add up to `parameterCount`; a tied unembedding has none.
    public var parametersByPart: [(part: String, count: Int)] {
        func count(_ matrix: WeightMatrix?) -> Int { matrix.map { $0.rows * $0.columns } ?? 0 }
        func count(_ projections: [Projection?]) -> Int {
            projections.reduce(0) { $0 + count($1?.weight) + ($1?.bias?.count ?? 0) }
        }
        func count(_ norms: [Norm?]) -> Int {
            norms.reduce(0) { $0 + ($1?.weight?.count ?? 0) + ($1?.bias?.count ?? 0) }
        }
        var attention = 0
        var mlp = 0
        var norms = count([finalNorm])
        for layer in layers {
            attention += count([layer.query, layer.key, layer.value, layer.attentionOutput])
            mlp += count([layer.gate, layer.up, layer.down])
            norms += count([
                layer.attentionNorm, layer.queryNorm, layer.keyNorm, layer.postAttentionNorm,
                layer.mlpNorm, layer.postMLPNorm,
            ])
        }
        return [
            ("embedding", count(embedding)), ("position embedding", count(positionEmbedding)),
            ("attention", attention), ("mlp", mlp), ("norms", norms),
            ("unembedding", configuration.tiedEmbeddings ? 0 : count(unembedding)),
        ]
    }
}
