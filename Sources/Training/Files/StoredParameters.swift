import Checkpoints
import Models
import Tensors

/// The way from a model's parameters back to the tensors of its files: names, fused matrices, turned ones.
public struct StoredParameters {
    /// A parameter's part of a stored tensor.
    private struct Part {
        let parameter: Parameter
        let place: MatrixPlace
    }

    private let parts: [String: [Part]]

    /// - Throws: `ModelError` for a checkpoint of no known family.
    public init(_ model: TrainableModel, in checkpoint: Checkpoint) throws(ModelError) {
        let places = try ParameterPlaces(checkpoint)
        var parts: [String: [Part]] = [:]
        func add(_ parameter: Parameter?, _ place: MatrixPlace?, _ suffix: String) {
            guard let parameter, let place else { return }
            parts[place.name + suffix, default: []].append(
                Part(parameter: parameter, place: place))
        }
        func whole(_ name: String, _ parameter: Parameter?) -> MatrixPlace? {
            parameter.map {
                MatrixPlace(whole: name, rows: $0.rows, columns: $0.columns)
            }
        }
        func norm(_ norm: TrainableNorm?, _ name: String?) {
            guard let norm, let name else { return }
            add(norm.weight, whole(name, norm.weight), ".weight")
            add(norm.bias, whole(name, norm.bias), ".bias")
        }
        func linear(_ linear: Linear?, _ place: MatrixPlace?) {
            add(linear?.weight, place, ".weight")
            add(linear?.bias, place, ".bias")
        }
        let embedding = model.embedding
        add(embedding.tokens, whole(places.embedding, embedding.tokens), ".weight")
        if let name = places.positions {
            add(embedding.positions, whole(name, embedding.positions), ".weight")
        }
        for (layer, roles) in zip(model.layers, places.layers) {
            linear(layer.query, roles[.query])
            linear(layer.key, roles[.key])
            linear(layer.value, roles[.value])
            linear(layer.attentionOutput, roles[.attentionOutput])
            linear(layer.gate, roles[.gate])
            linear(layer.up, roles[.up])
            linear(layer.down, roles[.down])
            norm(layer.attentionNorm, roles[.attentionNorm]?.name)
            norm(layer.queryNorm, roles[.queryNorm]?.name)
            norm(layer.keyNorm, roles[.keyNorm]?.name)
            norm(layer.postAttentionNorm, roles[.postAttentionNorm]?.name)
            norm(layer.mlpNorm, roles[.mlpNorm]?.name)
            norm(layer.postMLPNorm, roles[.postMLPNorm]?.name)
        }
        norm(model.finalNorm, places.finalNorm)
        // A tied model may store a copy.
        add(model.unembedding, whole(places.unembedding, model.unembedding), ".weight")
        self.parts = parts.filter { checkpoint.tensors[$0.key] != nil }
    }

    /// Names of the tensors that parameters make up.
    public var names: Set<String> { Set(parts.keys) }

    /// The values of a stored tensor in its own shape and order, from those of its parameters: their weights,
    /// gradients or moments. Nil for a tensor that is no parameter.
    public func values(
        of name: String, count: Int, from buffer: (Parameter) -> FloatBuffer?
    ) -> FloatBuffer? {
        guard let parts = parts[name] else { return nil }
        // The usual case: the tensor is the parameter.
        if parts.count == 1, parts[0].place.isPlain(count: count) {
            return buffer(parts[0].parameter)
        }
        let out = FloatBuffer(count: count)
        for part in parts {
            guard let source = buffer(part.parameter) else { continue }
            let place = part.place
            let width = part.parameter.isVector ? 1 : part.parameter.columns
            for row in 0..<source.count / width {
                let stored = place.stored(row)
                for column in 0..<width {
                    let target =
                        place.isTransposed && !part.parameter.isVector
                        ? column * place.storedRows + stored : stored * width + column
                    out.pointer[target] = source.pointer[row * width + column]
                }
            }
        }
        return out
    }
}
