import Foundation
import Models
import Tensors

/// One weight of a model in training: its f32 master values and, where it is trained, the gradient's sums.
///
/// Parameters are those that the decoder block computes with: a matrix that a file fuses (queries, keys and
/// values of GPT-2) is several here, each in the form [outputs, inputs].
public final class Parameter: @unchecked Sendable {
    public enum Kind: String, Sendable {
        case matrix, norm, bias, embedding, positions, unembedding, adapter, router
    }

    /// Such as `layers.3.query.weight`.
    public let name: String
    public let kind: Kind
    /// Of the model; nil outside the layers.
    public let layer: Int?
    /// Outputs; 1 for a vector.
    public let rows: Int
    /// Inputs, or values of a vector.
    public let columns: Int
    public let isVector: Bool
    /// [rows, columns].
    public let values: FloatBuffer
    /// The same; nil while it is not trained.
    public private(set) var gradient: FloatBuffer?

    public var count: Int { rows * columns }

    package init(
        name: String, kind: Kind, layer: Int? = nil, rows: Int = 1, columns: Int,
        isVector: Bool = false
    ) {
        self.name = name
        self.kind = kind
        self.layer = layer
        self.rows = rows
        self.columns = columns
        self.isVector = isVector
        values = FloatBuffer(count: rows * columns)
    }

    /// A vector's values.
    convenience init(name: String, kind: Kind, layer: Int?, vector: [Float]) {
        self.init(
            name: name, kind: kind, layer: layer, columns: vector.count, isVector: true)
        _ = values.values.update(fromContentsOf: vector)
    }

    /// A stored weight, decoded.
    convenience init(name: String, kind: Kind, layer: Int? = nil, matrix: WeightMatrix) {
        self.init(
            name: name, kind: kind, layer: layer, rows: matrix.rows, columns: matrix.columns)
        nonisolated(unsafe) let target = values.pointer
        let step = 256
        Parallel.forEach((matrix.rows + step - 1) / step) { index in
            let range = index * step..<min(matrix.rows, (index + 1) * step)
            matrix.decode(range, into: target + range.lowerBound * matrix.columns)
        }
    }

    public var isTrained: Bool { gradient != nil }

    /// Gives it a gradient, at zero, or takes it away.
    package func setTrained(_ trained: Bool) {
        if trained, gradient == nil { gradient = FloatBuffer(count: count) }
        if !trained { gradient = nil }
    }

    package func clearGradient() {
        guard let gradient else { return }
        Rows.pieces(count) { start, length in
            memset(gradient.pointer + start, 0, length * 4)
        }
    }

    /// The values as a product's right side.
    var matrix: WeightMatrix { values.matrix(rows: rows, columns: columns) }
}

/// y = x·Wᵀ + b, with W [N, K].
package struct Linear {
    let weight: Parameter
    let bias: Parameter?
    /// What is added to W where low-rank adapters are trained.
    var adapter: Adapter?

    package init(weight: Parameter, bias: Parameter?, adapter: Adapter? = nil) {
        self.weight = weight
        self.bias = bias
        self.adapter = adapter
    }
}

/// Low-rank addition to a matrix (Hu et al., arXiv 2106.09685): y += scale · (x·Aᵀ)·Bᵀ.
package struct Adapter {
    /// A [rank, K].
    let down: Parameter
    /// B [N, rank], at first 0.
    let up: Parameter
    /// alpha / rank.
    let scale: Float

    package init(down: Parameter, up: Parameter, scale: Float) {
        self.down = down
        self.up = up
        self.scale = scale
    }
}
