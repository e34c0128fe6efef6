import Models

/// The parameters of one decoder layer; what the family does not have is nil.
struct TrainableLayer {
    let attention: ModelConfiguration.Attention
    let attentionNorm: TrainableNorm?
    var query: Linear
    var key: Linear
    var value: Linear
    let queryNorm: TrainableNorm?
    let keyNorm: TrainableNorm?
    var attentionOutput: Linear
    let postAttentionNorm: TrainableNorm?
    let mlpNorm: TrainableNorm?
    var gate: Linear?
    var up: Linear
    var down: Linear
    let postMLPNorm: TrainableNorm?

    init(_ layer: DecoderLayer, index: Int) {
        func norm(_ norm: Norm?, _ name: String) -> TrainableNorm? {
            norm.map { TrainableNorm($0, name: "layers.\(index).\(name)", layer: index) }
        }
        func linear(_ projection: Projection, _ name: String) -> Linear {
            let name = "layers.\(index).\(name)"
            return Linear(
                weight: Parameter(
                    name: name + ".weight", kind: .matrix, layer: index, matrix: projection.weight),
                bias: projection.bias.map {
                    Parameter(name: name + ".bias", kind: .bias, layer: index, vector: $0)
                })
        }
        attention = layer.attention
        attentionNorm = norm(layer.attentionNorm, "attentionNorm")
        query = linear(layer.query, "query")
        key = linear(layer.key, "key")
        value = linear(layer.value, "value")
        queryNorm = norm(layer.queryNorm, "queryNorm")
        keyNorm = norm(layer.keyNorm, "keyNorm")
        attentionOutput = linear(layer.attentionOutput, "attentionOutput")
        postAttentionNorm = norm(layer.postAttentionNorm, "postAttentionNorm")
        mlpNorm = norm(layer.mlpNorm, "mlpNorm")
        gate = layer.gate.map { linear($0, "gate") }
        up = linear(layer.up, "up")
        down = linear(layer.down, "down")
        postMLPNorm = norm(layer.postMLPNorm, "postMLPNorm")
    }

    /// In the order of `LayerRole`.
    private var norms: [TrainableNorm?] {
        [attentionNorm, queryNorm, keyNorm, postAttentionNorm, mlpNorm, postMLPNorm]
    }

    private var linears: [Linear?] { [query, key, value, attentionOutput, gate, up, down] }

    /// All of them, adapters too, in a fixed order.
    var parameters: [Parameter] {
        linears.compactMap(\.self).flatMap { linear in
            [linear.weight, linear.bias, linear.adapter?.down, linear.adapter?.up]
                .compactMap(\.self)
        } + norms.compactMap(\.self).flatMap { [$0.weight, $0.bias].compactMap(\.self) }
    }

    /// Values of the products' matrices.
    var productParameters: Int {
        linears.compactMap(\.self).reduce(0) { $0 + $1.weight.count }
    }
}

extension TrainableNorm {
    init(_ norm: Norm, name: String, layer: Int?) {
        self.init(
            isLayerNorm: norm.type == .layer,
            weight: norm.weight.map {
                Parameter(name: name + ".weight", kind: .norm, layer: layer, vector: $0)
            },
            bias: norm.bias.map {
                Parameter(name: name + ".bias", kind: .bias, layer: layer, vector: $0)
            }, offset: norm.offset, epsilon: norm.epsilon)
    }
}
