import Models
import Tensors

/// A decoder-only model whose weights can change: f32 master values of everything the forward pass reads.
/// Knows no files; `ModelFiles` writes its weights back under their names.
public final class TrainableModel {
    public let configuration: ModelConfiguration
    /// Of the products with weights; attention, sums and the residual stream are f32.
    public let arithmetic: Arithmetic
    let embedding: TrainingEmbedding
    /// The embedding's own where the two are tied.
    let unembedding: Parameter
    let finalNorm: TrainableNorm
    var layers: [TrainableLayer]

    /// Decodes all weights of `model`; nothing is trained yet.
    public init(_ model: Transformer, arithmetic: Arithmetic = .f32) {
        configuration = model.configuration
        self.arithmetic = arithmetic
        let tokens = Parameter(name: "embedding", kind: .embedding, matrix: model.embedding)
        embedding = TrainingEmbedding(
            tokens: tokens,
            positions: model.positionEmbedding.map {
                Parameter(name: "positionEmbedding", kind: .positions, matrix: $0)
            }, scale: model.configuration.embeddingScale)
        unembedding =
            model.configuration.tiedEmbeddings
            ? tokens
            : Parameter(name: "unembedding", kind: .unembedding, matrix: model.unembedding)
        finalNorm = TrainableNorm(model.finalNorm, name: "finalNorm", layer: nil)
        layers = model.layers.enumerated().map { TrainableLayer($1, index: $0) }
    }

    /// Every parameter once, in a fixed order: embeddings, layers, final norm, unembedding.
    public var parameters: [Parameter] {
        [embedding.tokens, embedding.positions].compactMap(\.self)
            + layers.flatMap(\.parameters)
            + [finalNorm.weight, finalNorm.bias].compactMap(\.self)
            + (unembedding === embedding.tokens ? [] : [unembedding])
    }

    public var trained: [Parameter] { parameters.filter(\.isTrained) }

    /// Chooses what is trained.
    public func train(where condition: (Parameter) -> Bool) {
        for parameter in parameters { parameter.setTrained(condition(parameter)) }
    }

    func clearGradients() {
        for parameter in trained { parameter.clearGradient() }
    }
}

// MARK: Memory

extension TrainableModel {
    /// Of values, gradients and two moments.
    public var stateBytes: Int {
        parameters.reduce(0) { $0 + $1.count * ($1.isTrained ? 16 : 4) }
    }

    /// What an executed layer keeps for each row where everything is kept.
    public var keptBytesPerRow: Int { LayerActivations.bytesPerRow(configuration) }

    /// One layer's scratch and the head's block of logits, about.
    public func scratchBytes(rows: Int) -> Int {
        let c = configuration
        let queries = (c.headCount + c.keyValueHeadCount) * c.headDimension
        return 4 * rows * (6 * c.hiddenSize + 2 * queries + 3 * c.intermediateSize) + (64 << 20)
    }
}
