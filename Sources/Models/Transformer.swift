import CKernels
import Checkpoints
import Tensors

/// A decoder-only language model: weights in their file's own encoding, and how to use them.
///
/// Holds no state of a pass; `Session` does.
public final class Transformer: Sendable {
    public let configuration: ModelConfiguration
    /// Rows are tokens: [V, d].
    public let embedding: WeightMatrix
    /// Rows are tokens: [V, d]; the embedding where the two are tied.
    public let unembedding: WeightMatrix
    public let finalNorm: Norm
    public let layers: [DecoderLayer]
    /// Weights of the model, tied ones once.
    public let parameterCount: Int
    /// Names of tensors that belong to other parts of a larger model and were left alone.
    public let ignoredTensors: [String]

    init(
        configuration: ModelConfiguration, embedding: WeightMatrix, unembedding: WeightMatrix,
        finalNorm: Norm, layers: [DecoderLayer], parameterCount: Int, ignoredTensors: [String]
    ) {
        self.configuration = configuration
        self.embedding = embedding
        self.unembedding = unembedding
        self.finalNorm = finalNorm
        self.layers = layers
        self.parameterCount = parameterCount
        self.ignoredTensors = ignoredTensors
    }

    /// Logits [rows, V] of raw final states [rows, d]: final norm, then the unembedding. This is the
    /// plain head; the lens has code of its own and is checked against it.
    public func logits(
        of states: UnsafePointer<Float>, rows: Int, into out: UnsafeMutablePointer<Float>
    ) {
        let width = configuration.hiddenSize
        ScratchPool.shared.withFloats(rows * width) { normed in
            for row in 0..<rows {
                finalNorm.apply(states + row * width, out: normed + row * width, width: width)
            }
            MatrixProduct.multiply(normed, rows: rows, by: unembedding, into: out)
        }
    }

    /// Embedding outputs [tokens, d] as the first layer receives them.
    package func embed(_ tokens: ArraySlice<Int32>, into out: UnsafeMutablePointer<Float>) {
        let width = configuration.hiddenSize
        for (row, token) in tokens.enumerated() {
            embedding.decode(Int(token)..<Int(token) + 1, into: out + row * width)
        }
        if configuration.embeddingScale != 1 {
            etd_scale(out, configuration.embeddingScale, tokens.count * width)
        }
    }
}

/// RMSNorm: x / √(mean x² + ε) · (weight + offset).
public struct Norm: Sendable {
    let weight: [Float]
    let offset: Float
    let epsilon: Float

    /// Normalises one row; `out` may be `x`.
    public func apply(
        _ x: UnsafePointer<Float>, out: UnsafeMutablePointer<Float>, width: Int
    ) {
        etd_rms_norm(x, weight, offset, epsilon, out, width)
    }
}

/// A linear map with its bias, if it has one.
package struct Projection: Sendable {
    package let weight: WeightMatrix
    package let bias: [Float]?

    package func callAsFunction(_ x: FloatBuffer, rows: Int, into out: FloatBuffer) {
        MatrixProduct.multiply(x.pointer, rows: rows, by: weight, bias: bias, into: out.pointer)
    }
}

/// The weights of one decoder layer. Norms that the family does not have are nil.
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
    package let gate: Projection
    package let up: Projection
    package let down: Projection
    package let postMLPNorm: Norm?

    /// Weights of the matrix products.
    var productParameters: Int {
        [query, key, value, attentionOutput, gate, up, down].reduce(0) {
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
