import Checkpoints
import Tensors

/// Where a matrix that the forward pass reads, [rows, columns], is stored: which rows of which tensor, and
/// whether the tensor lies turned round. Its bias is stored in the same order.
package struct MatrixPlace: Sendable {
    package enum Order: Sendable, Equatable {
        /// Stored rows from this one on.
        case from(Int)
        /// Several matrices by turns, head by head: GPT-NeoX.
        case byHead(headDimension: Int, count: Int, place: Int)
        /// llama.cpp's converter turns each head's half-split rows into interleaved pairs: row j of a head is
        /// stored at 2j (first half) or 2(j - half) + 1 (second half).
        case interleaved(headDimension: Int)
    }

    /// Without `.weight` or `.bias`.
    package let name: String
    package let rows: Int
    package let columns: Int
    /// Of the tensor, those of other matrices included.
    package let storedRows: Int
    /// The tensor is [columns, storedRows].
    package let isTransposed: Bool
    package let order: Order

    init(
        name: String, rows: Int, columns: Int, storedRows: Int, isTransposed: Bool, order: Order
    ) {
        self.name = name
        self.rows = rows
        self.columns = columns
        self.storedRows = storedRows
        self.isTransposed = isTransposed
        self.order = order
    }

    /// A tensor that is the matrix, or the vector, as it stands.
    package init(whole name: String, rows: Int, columns: Int) {
        self.init(
            name: name, rows: rows, columns: columns, storedRows: rows, isTransposed: false,
            order: .from(0))
    }

    /// Whether a tensor of `count` values is this matrix as it stands, or its bias.
    package func isPlain(count: Int) -> Bool {
        !isTransposed && order == .from(0) && (count == rows * columns || count == rows)
    }

    /// The stored row of row `row`.
    package func stored(_ row: Int) -> Int {
        switch order {
        case .from(let first): return first + row
        case .byHead(let width, let count, let place):
            let (head, dimension) = row.quotientAndRemainder(dividingBy: width)
            return (head * count + place) * width + dimension
        case .interleaved(let width):
            let (head, place) = row.quotientAndRemainder(dividingBy: width)
            let half = width / 2
            return head * width + (place < half ? 2 * place : 2 * (place - half) + 1)
        }
    }

    /// The rows of a stored matrix, in place.
    func of(_ whole: WeightMatrix) -> WeightMatrix {
        if case .from(let first) = order {
            return first == 0 && rows == whole.rows ? whole : whole.rows(first..<first + rows)
        }
        return whole.rows(order: (0..<rows).map { Int32(stored($0)) })
    }

    /// The values of a stored bias.
    func of(_ values: [Float]) -> [Float] { (0..<rows).map { values[stored($0)] } }
}

/// Where every parameter of a model is stored: what writing changed weights back needs.
package struct ParameterPlaces: Sendable {
    /// Of each layer what its family has.
    package let layers: [[LayerRole: MatrixPlace]]
    // Without `.weight` or `.bias`.
    package let embedding: String
    package let positions: String?
    package let finalNorm: String
    /// Read only where it is not tied.
    package let unembedding: String

    /// - Throws: `ModelError`.
    package init(_ checkpoint: Checkpoint) throws(ModelError) {
        self = try Transformer.loader(of: checkpoint, arithmetic: .f32).places()
    }

    init(
        layers: [[LayerRole: MatrixPlace]], embedding: String, positions: String?,
        finalNorm: String, unembedding: String
    ) {
        self.layers = layers
        self.embedding = embedding
        self.positions = positions
        self.finalNorm = finalNorm
        self.unembedding = unembedding
    }
}

extension LayerRole {
    package var isNorm: Bool {
        switch self {
        case .attentionNorm, .queryNorm, .keyNorm, .postAttentionNorm, .mlpNorm, .postMLPNorm: true
        default: false
        }
    }
}
