import CKernels
import Foundation
import Models
import Tensors

/// A forward pass that knows no plans, slots, taps or sessions: one loop over the model's layers, for one
/// short document at once. It uses the same products and kernels, so its bytes must be the same.
struct PlainForward {
    let model: Transformer

    func logits(_ tokens: [Int32]) throws(ModelError) -> [Float] {
        let c = model.configuration
        let rows = tokens.count
        let width = c.hiddenSize
        let hidden = FloatBuffer(count: rows * width)
        model.embed(tokens[...], from: 0, into: hidden.pointer)
        for layer in model.layers {
            let attended = attention(layer, hidden, rows)
            if c.parallelResidual {
                // Both of the layer's input, then both added.
                let transformed = mlp(layer, hidden, rows)
                add(layer.postAttentionNorm, attended, to: hidden, rows)
                add(layer.postMLPNorm, transformed, to: hidden, rows)
            } else {
                add(layer.postAttentionNorm, attended, to: hidden, rows)
                add(layer.postMLPNorm, mlp(layer, hidden, rows), to: hidden, rows)
            }
        }
        var logits = [Float](repeating: 0, count: rows * c.vocabularySize)
        try model.logits(of: hidden.pointer, rows: rows, into: &logits)
        return logits
    }

    private func normed(_ norm: Norm?, _ x: FloatBuffer, _ rows: Int, _ width: Int) -> FloatBuffer {
        guard let norm else { return x }
        let out = FloatBuffer(count: rows * width)
        for row in 0..<rows {
            norm.apply(x.pointer + row * width, out: out.pointer + row * width, width: width)
        }
        return out
    }

    private func add(_ norm: Norm?, _ change: FloatBuffer, to hidden: FloatBuffer, _ rows: Int) {
        let width = model.configuration.hiddenSize
        let change = normed(norm, change, rows, width)
        for index in 0..<rows * width { hidden[index] += change[index] }
    }

    private func project(_ projection: Projection, _ x: FloatBuffer, _ rows: Int) -> FloatBuffer {
        let out = FloatBuffer(count: rows * projection.weight.rows)
        projection(x, rows: rows, into: out)
        return out
    }

    private func attention(_ layer: DecoderLayer, _ hidden: FloatBuffer, _ rows: Int) -> FloatBuffer
    {
        let c = model.configuration
        let input = normed(layer.attentionNorm, hidden, rows, c.hiddenSize)
        func clipped(_ projection: Projection) -> FloatBuffer {
            let values = project(projection, input, rows)
            if let clip = c.queryKeyValueClip {
                for index in 0..<values.count {
                    values[index] = min(max(values[index], -clip), clip)
                }
            }
            return values
        }
        func heads(_ projection: Projection, _ norm: Norm?, _ count: Int) -> FloatBuffer {
            let values = clipped(projection)
            let perHead = c.queryKeyNorm == .perHead
            return normed(
                norm, values, perHead ? rows * count : rows,
                perHead ? c.headDimension : count * c.headDimension)
        }
        let query = heads(layer.query, layer.queryNorm, c.headCount)
        let key = heads(layer.key, layer.keyNorm, c.keyValueHeadCount)
        let value = clipped(layer.value)
        let table = layer.attention.rotary.map { RotaryTable($0, positions: rows) }
        func rotate(_ values: FloatBuffer, _ count: Int) {
            guard let table else { return }
            for row in 0..<rows {
                for head in 0..<count {
                    etd_rotate(
                        values.pointer + (row * count + head) * c.headDimension,
                        table.cosine.pointer + row * table.half,
                        table.sine.pointer + row * table.half, table.half)
                }
            }
        }
        rotate(query, c.headCount)
        rotate(key, c.keyValueHeadCount)
        let slot = KeyValueSlot(
            heads: c.keyValueHeadCount, capacity: rows, headDimension: c.headDimension)
        for row in 0..<rows {
            for head in 0..<c.keyValueHeadCount {
                for index in 0..<c.headDimension {
                    let source = (row * c.keyValueHeadCount + head) * c.headDimension + index
                    let target = slot.offset(head: head, place: row) + index
                    slot.keys[target] = key[source]
                    slot.values[target] = value[source]
                }
            }
        }
        let mixed = FloatBuffer(count: rows * c.headCount * c.headDimension)
        BlockedAttention(
            queries: query, slot: slot, heads: c.headCount, keyValueHeads: c.keyValueHeadCount,
            window: layer.attention.window, scale: c.attentionScale, out: mixed
        ).run([BlockSegment(rows: 0..<rows, position: 0, place: 0)])
        return project(layer.attentionOutput, mixed, rows)
    }

    private func mlp(_ layer: DecoderLayer, _ hidden: FloatBuffer, _ rows: Int) -> FloatBuffer {
        let c = model.configuration
        let input = normed(layer.mlpNorm, hidden, rows, c.hiddenSize)
        let up = project(layer.up, input, rows)
        let gate = layer.gate.map { project($0, input, rows) }
        for row in 0..<rows {
            let offset = row * c.intermediateSize
            let u = up.pointer + offset
            switch (c.activation, gate.map { $0.pointer + offset }) {
            case (.silu, let g?): etd_silu_gate(g, u, u, c.intermediateSize)
            case (.silu, nil): etd_silu(u, u, c.intermediateSize)
            case (.geluTanh, let g?): etd_gelu_tanh_gate(g, u, u, c.intermediateSize)
            case (.geluTanh, nil): etd_gelu_tanh(u, u, c.intermediateSize)
            case (.gelu, let g?): etd_gelu_gate(g, u, u, c.intermediateSize)
            case (.gelu, nil): etd_gelu(u, u, c.intermediateSize)
            }
        }
        return project(layer.down, up, rows)
    }
}
