import CKernels
import Foundation
import Models
import Tensors

/// A forward pass that knows no plans, slots, taps or sessions: one loop over the model's layers, for one
/// short document at once. It uses the same products and kernels, so its bytes must be the same.
struct PlainForward {
    let model: Transformer

    func logits(_ tokens: [Int32]) -> [Float] {
        let c = model.configuration
        let rows = tokens.count
        let width = c.hiddenSize
        let hidden = FloatBuffer(count: rows * width)
        model.embed(tokens[...], into: hidden.pointer)
        for layer in model.layers {
            add(layer.postAttentionNorm, attention(layer, hidden, rows), to: hidden, rows)
            add(layer.postMLPNorm, mlp(layer, hidden, rows), to: hidden, rows)
        }
        var logits = [Float](repeating: 0, count: rows * c.vocabularySize)
        model.logits(of: hidden.pointer, rows: rows, into: &logits)
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
        func heads(_ projection: Projection, _ norm: Norm?, _ count: Int) -> FloatBuffer {
            let values = project(projection, input, rows)
            let perHead = c.queryKeyNorm == .perHead
            return normed(
                norm, values, perHead ? rows * count : rows,
                perHead ? c.headDimension : count * c.headDimension)
        }
        let query = heads(layer.query, layer.queryNorm, c.headCount)
        let key = heads(layer.key, layer.keyNorm, c.keyValueHeadCount)
        let value = project(layer.value, input, rows)
        let table = RotaryTable(layer.attention.rotary, positions: rows)
        func rotate(_ values: FloatBuffer, _ count: Int) {
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
                    let target = slot.offset(head: head, position: row) + index
                    slot.keys[target] = key[source]
                    slot.values[target] = value[source]
                }
            }
        }
        let mixed = FloatBuffer(count: rows * c.headCount * c.headDimension)
        BlockedAttention.run(
            queries: query, slot: slot, heads: c.headCount, keyValueHeads: c.keyValueHeadCount,
            positions: 0..<rows, window: layer.attention.window, scale: c.attentionScale, out: mixed
        )
        return project(layer.attentionOutput, mixed, rows)
    }

    private func mlp(_ layer: DecoderLayer, _ hidden: FloatBuffer, _ rows: Int) -> FloatBuffer {
        let c = model.configuration
        let input = normed(layer.mlpNorm, hidden, rows, c.hiddenSize)
        let gate = project(layer.gate, input, rows)
        let up = project(layer.up, input, rows)
        for row in 0..<rows {
            let g = gate.pointer + row * c.intermediateSize
            let u = up.pointer + row * c.intermediateSize
            switch c.activation {
            case .silu: etd_silu_gate(g, u, g, c.intermediateSize)
            case .geluTanh: etd_gelu_tanh_gate(g, u, g, c.intermediateSize)
            }
        }
        return project(layer.down, gate, rows)
    }
}
