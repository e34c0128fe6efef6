import CKernels
import Foundation
import Models
import Tensors

/// One decoder layer over whole sequences, forward and backward: the same for every family, since a layer
/// says what it has. Holds the scratch of one layer; knows no plans and no passes.
///
/// B sequences of T rows, R = B·T; d hidden size, F width of the MLP.
final class BlockGradients {
    let configuration: ModelConfiguration
    let arithmetic: Arithmetic
    let sequences: Int
    let length: Int
    /// Positions that rows may see from, where documents do not see each other: [R].
    var firstVisible: [Int32]?
    var rows: Int { sequences * length }
    private let rotaries: [(parameters: RotaryParameters, table: TrainingRotary)]
    private let scratch: Scratch

    private struct Scratch {
        /// [R, d]
        let normed, output, state: FloatBuffer
        /// [R, heads · head dimension] and [R, kv heads · head dimension]
        let query, key, value: FloatBuffer
        /// [R, F]
        let activated, gate, up: FloatBuffer
    }

    init(
        _ c: ModelConfiguration, arithmetic: Arithmetic, sequences: Int, length: Int
    ) {
        configuration = c
        self.arithmetic = arithmetic
        self.sequences = sequences
        self.length = length
        var kinds: [RotaryParameters] = []
        for case let rotary? in c.attention.map(\.rotary) where !kinds.contains(rotary) {
            kinds.append(rotary)
        }
        rotaries = kinds.map { ($0, TrainingRotary($0, length: length)) }
        let rows = sequences * length
        func buffer(_ width: Int) -> FloatBuffer { FloatBuffer(uninitialized: rows * width) }
        scratch = Scratch(
            normed: buffer(c.hiddenSize), output: buffer(c.hiddenSize),
            state: buffer(c.hiddenSize), query: buffer(c.headCount * c.headDimension),
            key: buffer(c.keyValueHeadCount * c.headDimension),
            value: buffer(c.keyValueHeadCount * c.headDimension),
            activated: buffer(c.intermediateSize), gate: buffer(c.intermediateSize),
            up: buffer(c.intermediateSize))
    }

    private var width: Int { configuration.hiddenSize }
    private var queryWidth: Int { configuration.headCount * configuration.headDimension }
    private var keyWidth: Int { configuration.keyValueHeadCount * configuration.headDimension }

    private func rotary(_ layer: TrainableLayer) -> TrainingRotary? {
        layer.attention.rotary.flatMap { parameters in
            rotaries.first { $0.parameters == parameters }?.table
        }
    }

    private func attention(_ layer: TrainableLayer) -> TrainingAttention {
        TrainingAttention(
            sequences: sequences, length: length, heads: configuration.headCount,
            keyValueHeads: configuration.keyValueHeadCount, width: configuration.headDimension,
            window: layer.attention.window, scale: configuration.attentionScale,
            firstVisible: firstVisible)
    }

    // MARK: Forward

    /// h [R, d] becomes the layer's output; `kept` takes what the way back needs.
    func forward(_ layer: TrainableLayer, _ h: FloatBuffer, keeping kept: LayerActivations) {
        let c = configuration
        let s = scratch
        Rows.copy(h.pointer, to: kept.input.pointer, rows * width)
        project(layer, normed(layer.attentionNorm, h), kept)
        attention(layer).forward(
            query: kept.query.pointer, key: kept.key.pointer, value: kept.value.pointer,
            mixed: kept.mixed.pointer, logSums: kept.logSums.pointer)
        let added = kept.rawAttention ?? s.output
        LinearGradients.forward(
            kept.mixed.pointer, rows: rows, into: [(layer.attentionOutput, added.pointer)],
            in: arithmetic)
        // In parallel, the MLP reads the state that attention has not been added to.
        let parallelInput =
            c.parallelResidual
            ? layer.mlpNorm.map { normed($0, h) } ?? normed(layer.attentionNorm, h) : nil
        add(layer.postAttentionNorm, added, to: h)
        if let middle = kept.middle { Rows.copy(h.pointer, to: middle.pointer, rows * width) }
        let input = parallelInput ?? normed(layer.mlpNorm, h)
        LinearGradients.forward(
            input.pointer, rows: rows,
            into: [layer.gate.flatMap { gate in kept.gate.map { (gate, $0.pointer) } }]
                .compactMap(\.self) + [(layer.up, kept.up.pointer)], in: arithmetic)
        activate(kept, into: s.activated)
        let transformed = kept.rawMLP ?? s.output
        LinearGradients.forward(
            s.activated.pointer, rows: rows, into: [(layer.down, transformed.pointer)],
            in: arithmetic)
        add(layer.postMLPNorm, transformed, to: h)
    }

    /// Queries, keys and values as attention reads them.
    private func project(
        _ layer: TrainableLayer, _ input: FloatBuffer, _ kept: LayerActivations
    ) {
        let c = configuration
        let query = kept.rawQuery ?? kept.query
        let key = kept.rawKey ?? kept.key
        LinearGradients.forward(
            input.pointer, rows: rows,
            into: [
                (layer.query, query.pointer), (layer.key, key.pointer),
                (layer.value, kept.value.pointer),
            ], in: arithmetic)
        if let clip = c.queryKeyValueClip {
            for (values, width) in [(query, queryWidth), (key, keyWidth), (kept.value, keyWidth)] {
                Rows.pieces(rows * width) { etd_clamp(values.pointer + $0, clip, $1) }
            }
        }
        let perHead = c.queryKeyNorm == .perHead
        for (norm, raw, out, width) in [
            (layer.queryNorm, query, kept.query, queryWidth),
            (layer.keyNorm, key, kept.key, keyWidth),
        ] {
            guard let norm else {
                if raw !== out { Rows.copy(raw.pointer, to: out.pointer, rows * width) }
                continue
            }
            let size = perHead ? c.headDimension : width
            norm.apply(raw.pointer, rows: rows * width / size, width: size, out: out.pointer)
        }
        if let rotary = rotary(layer) {
            rotary.apply(
                kept.query.pointer, rows: rows, length: length, heads: c.headCount,
                width: c.headDimension, back: false)
            rotary.apply(
                kept.key.pointer, rows: rows, length: length, heads: c.keyValueHeadCount,
                width: c.headDimension, back: false)
        }
    }

    /// The state through `norm` in a buffer of its own, or the state itself.
    private func normed(_ norm: TrainableNorm?, _ state: FloatBuffer) -> FloatBuffer {
        guard let norm else { return state }
        norm.apply(state.pointer, rows: rows, width: width, out: scratch.normed.pointer)
        return scratch.normed
    }

    /// h += norm(change); `change` stays as it is.
    private func add(_ norm: TrainableNorm?, _ change: FloatBuffer, to h: FloatBuffer) {
        guard let norm else { return Rows.add(h.pointer, change.pointer, rows * width) }
        norm.apply(change.pointer, rows: rows, width: width, out: scratch.output.pointer)
        Rows.add(h.pointer, scratch.output.pointer, rows * width)
    }

    private func activate(_ kept: LayerActivations, into out: FloatBuffer) {
        let c = configuration
        Rows.pieces(rows * c.intermediateSize) { start, count in
            memcpy(out.pointer + start, kept.up.pointer + start, count * 4)
            c.activation.apply(
                out.pointer + start, gate: kept.gate.map { $0.pointer + start }, width: count)
        }
    }

    // MARK: Backward

    /// g [R, d], the loss's gradient in the layer's output, becomes that in its input; parameters' gradients
    /// are added to theirs.
    func backward(_ layer: TrainableLayer, _ g: FloatBuffer, kept: LayerActivations) {
        if configuration.parallelResidual {
            // Both parts read the input and both add to the output: s.state collects what they give.
            memset(scratch.state.pointer, 0, rows * width * 4)
            backwardMLP(layer, g, kept, input: kept.input, into: scratch.state)
            backwardAttention(layer, g, kept, into: scratch.state)
            Rows.add(g.pointer, scratch.state.pointer, rows * width)
        } else {
            backwardMLP(layer, g, kept, input: kept.middle ?? kept.input, into: g)
            backwardAttention(layer, g, kept, into: g)
        }
    }

    /// out += the gradient in `input` by way of the MLP; g is that of the MLP's addition.
    private func backwardMLP(
        _ layer: TrainableLayer, _ g: FloatBuffer, _ kept: LayerActivations, input: FloatBuffer,
        into out: FloatBuffer
    ) {
        let c = configuration
        let s = scratch
        let added = unnormed(layer.postMLPNorm, kept.rawMLP, g)
        activate(kept, into: s.activated)
        // down: its input's gradient goes into s.up.
        layer.down.backward(
            s.activated.pointer, gradient: added.pointer, rows: rows, adds: false,
            into: s.up.pointer, in: arithmetic)
        Rows.pieces(rows * c.intermediateSize) { start, count in
            c.activation.backward(
                gate: kept.gate.map { $0.pointer + start }, up: kept.up.pointer + start,
                gradient: s.up.pointer + start,
                dGate: kept.gate.map { _ in s.gate.pointer + start }, dUp: s.up.pointer + start,
                count: count)
        }
        let norm = layer.mlpNorm ?? (c.parallelResidual ? layer.attentionNorm : nil)
        let normed = normed(norm, input)
        layer.up.backward(
            normed.pointer, gradient: s.up.pointer, rows: rows, adds: false,
            into: s.output.pointer, in: arithmetic)
        layer.gate?.backward(
            normed.pointer, gradient: s.gate.pointer, rows: rows, adds: true,
            into: s.output.pointer, in: arithmetic)
        addBack(norm, input, s.output, to: out)
    }

    private func backwardAttention(
        _ layer: TrainableLayer, _ g: FloatBuffer, _ kept: LayerActivations, into out: FloatBuffer
    ) {
        let c = configuration
        let s = scratch
        let added = unnormed(layer.postAttentionNorm, kept.rawAttention, g)
        ScratchPool.shared.withFloats(rows * queryWidth) { mixed in
            layer.attentionOutput.backward(
                kept.mixed.pointer, gradient: added.pointer, rows: rows, adds: false,
                into: mixed, in: arithmetic)
            attention(layer).backward(
                .init(
                    query: kept.query.pointer, key: kept.key.pointer, value: kept.value.pointer,
                    mixed: kept.mixed.pointer, logSums: kept.logSums.pointer),
                gradient: mixed, query: s.query.pointer, key: s.key.pointer,
                value: s.value.pointer)
        }
        if let rotary = rotary(layer) {
            rotary.apply(
                s.query.pointer, rows: rows, length: length, heads: c.headCount,
                width: c.headDimension, back: true)
            rotary.apply(
                s.key.pointer, rows: rows, length: length, heads: c.keyValueHeadCount,
                width: c.headDimension, back: true)
        }
        backHeads(layer.queryNorm, kept.rawQuery, s.query, queryWidth)
        backHeads(layer.keyNorm, kept.rawKey, s.key, keyWidth)
        if let clip = c.queryKeyValueClip {
            clipBack(s.query, kept.rawQuery ?? kept.query, clip, queryWidth)
            clipBack(s.key, kept.rawKey ?? kept.key, clip, keyWidth)
            clipBack(s.value, kept.value, clip, keyWidth)
        }
        let normed = normed(layer.attentionNorm, kept.input)
        for (index, (linear, gradient)) in [
            (layer.query, s.query), (layer.key, s.key), (layer.value, s.value),
        ].enumerated() {
            linear.backward(
                normed.pointer, gradient: gradient.pointer, rows: rows, adds: index > 0,
                into: s.output.pointer, in: arithmetic)
        }
        addBack(layer.attentionNorm, kept.input, s.output, to: out)
    }

    /// The gradient before a post-norm from that behind it.
    private func unnormed(
        _ norm: TrainableNorm?, _ raw: FloatBuffer?, _ g: FloatBuffer
    ) -> FloatBuffer {
        guard let norm, let raw else { return g }
        norm.backward(
            raw.pointer, gradient: g.pointer, rows: rows, width: width, adds: false,
            into: scratch.output.pointer)
        return scratch.output
    }

    /// out += the gradient before a norm of `input` from that behind it.
    private func addBack(
        _ norm: TrainableNorm?, _ input: FloatBuffer, _ gradient: FloatBuffer, to out: FloatBuffer
    ) {
        guard let norm else { return Rows.add(out.pointer, gradient.pointer, rows * width) }
        norm.backward(
            input.pointer, gradient: gradient.pointer, rows: rows, width: width, adds: true,
            into: out.pointer)
    }

    private func backHeads(
        _ norm: TrainableNorm?, _ raw: FloatBuffer?, _ gradient: FloatBuffer, _ width: Int
    ) {
        guard let norm, let raw else { return }
        let size = configuration.queryKeyNorm == .perHead ? configuration.headDimension : width
        norm.backward(
            raw.pointer, gradient: gradient.pointer, rows: rows * width / size, width: size,
            adds: false, into: gradient.pointer)
    }

    /// No gradient through values that were clamped.
    private func clipBack(
        _ gradient: FloatBuffer, _ values: FloatBuffer, _ clip: Float, _ width: Int
    ) {
        Rows.pieces(rows * width) { start, count in
            for index in start..<start + count where values.pointer[index].magnitude >= clip {
                gradient.pointer[index] = 0
            }
        }
    }
}
