import CKernels
import Foundation
import Tensors

/// One document on its way through a model: runs a layer plan over blocks of positions and shows taps
/// what passes.
///
/// Memory: activations of one block, and keys and values of `capacity` positions per executed step.
/// Not for use from several threads at once.
public final class Session {
    /// Positions that go through all steps together.
    public static let blockLength = 512

    public let model: Transformer
    public let plan: LayerPlan
    /// The most positions one document may have.
    public let capacity: Int
    /// Positions run since the last `reset`.
    public private(set) var position = 0

    private let slots: [KeyValueSlot]
    private let rotary: [RotaryTable]
    /// The table of each layer; nil where positions are learned.
    private let rotaryOfLayer: [RotaryTable?]
    private let buffers: Buffers
    /// [block, heads, capacity]: made when a tap first wants it.
    private lazy var pattern = FloatBuffer(
        count: min(capacity, Self.blockLength) * model.configuration.headCount * capacity)

    /// What one block needs, T = block rows.
    private struct Buffers {
        let hidden, normed, query, key, value, mixed, output, gate, up: FloatBuffer

        init(_ c: ModelConfiguration, rows: Int) {
            hidden = FloatBuffer(count: rows * c.hiddenSize)
            normed = FloatBuffer(count: rows * c.hiddenSize)
            query = FloatBuffer(count: rows * c.headCount * c.headDimension)
            key = FloatBuffer(count: rows * c.keyValueHeadCount * c.headDimension)
            value = FloatBuffer(count: rows * c.keyValueHeadCount * c.headDimension)
            mixed = FloatBuffer(count: rows * c.headCount * c.headDimension)
            output = FloatBuffer(count: rows * c.hiddenSize)
            gate = FloatBuffer(count: c.gatedMLP ? rows * c.intermediateSize : 0)
            up = FloatBuffer(count: rows * c.intermediateSize)
        }
    }

    /// - Parameter branches: whether `run(_:branches:)` will be called; it needs room of its own.
    /// - Throws: `ModelError.tooLong` if `capacity` exceeds the model's context, `.invalidPlan` if the
    ///   plan names a layer the model lacks, `.memory` if keys and values do not fit.
    public init(
        model: Transformer, plan: LayerPlan? = nil, capacity: Int, branches: Bool = false
    ) throws(ModelError) {
        let c = model.configuration
        guard capacity <= c.contextLength else {
            throw .tooLong(tokens: capacity, context: c.contextLength)
        }
        let plan = plan ?? .identity(layers: c.layerCount)
        for step in plan.steps where step.layer < 0 || step.layer >= c.layerCount {
            throw .invalidPlan(
                problem: "the plan runs layer \(step.layer), but the model has layers 0 to "
                    + "\(c.layerCount - 1)")
        }
        try PlanMemory.check(
            c, steps: plan.steps.count, positions: capacity + (branches ? Self.blockLength : 0))
        self.model = model
        self.plan = plan
        self.capacity = capacity
        slots = plan.steps.map { _ in
            KeyValueSlot(
                heads: c.keyValueHeadCount, capacity: capacity + (branches ? Self.blockLength : 0),
                headDimension: c.headDimension)
        }
        var kinds: [(parameters: RotaryParameters, table: RotaryTable)] = []
        rotaryOfLayer = c.attention.map { attention in
            guard let parameters = attention.rotary else { return nil }
            if let known = kinds.first(where: { $0.parameters == parameters }) {
                return known.table
            }
            let table = RotaryTable(parameters, positions: capacity)
            kinds.append((parameters, table))
            return table
        }
        rotary = kinds.map { $0.table }
        buffers = Buffers(
            c, rows: branches ? Self.blockLength : min(capacity, Self.blockLength))
    }

    /// Starts a new document.
    public func reset() { position = 0 }

    /// Forgets the positions from `length` on, so that a text that begins alike can go on from there.
    /// What then runs has the same bytes as if all of it had run anew, but not in a model whose rotary
    /// frequencies depend on the length of the text (`RotaryParameters.dependsOnLength`).
    public func rewind(to length: Int) {
        precondition(0...position ~= length, "rewind to a position that was not run")
        position = length
    }

    /// Runs `tokens` at the positions after those already run, block by block.
    ///
    /// - Parameter onBlock: called after each block with its positions and the raw final states
    ///   [block, d], valid only during the call.
    /// - Throws: `ModelError.tokenOutOfRange`, `.tooLong`, `.nonFinite` naming the layer, `.noSuchSite`
    ///   if a tap wants what the layers do not have, and whatever a tap throws.
    public func run(
        _ tokens: [Int32], taps: [any Tap] = [],
        onBlock: (Range<Int>, UnsafePointer<Float>) throws(ModelError) -> Void = { _, _ in }
    ) throws(ModelError) {
        guard position + tokens.count <= capacity else {
            throw .tooLong(tokens: position + tokens.count, context: capacity)
        }
        if model.configuration.parallelResidual, taps.contains(where: { $0.wants(.residMid) }) {
            throw .noSuchSite(site: .residMid, architecture: model.configuration.architecture)
        }
        try checkTokens(tokens)
        let length = position + tokens.count
        for table in rotary { table.update(position..<length, length: length) }
        var start = 0
        while start < tokens.count {
            let end = min(start + Self.blockLength, tokens.count)
            let segment = BlockSegment(rows: 0..<end - start, position: position, place: position)
            try runBlock(tokens[start..<end], [segment], taps: taps)
            let positions = position..<position + end - start
            position = positions.upperBound
            try onBlock(positions, UnsafePointer(buffers.hidden.pointer))
            start = end
        }
    }

    /// Runs `tokens` at the positions after those already run and, in the same block, several
    /// continuations of them. No branch sees another, and nothing of them is kept: `position` moves by
    /// `tokens` alone. The states have the same bytes as those of `run`.
    ///
    /// The session was made with `branches: true`; tokens and branches together have at most
    /// `blockLength` rows.
    /// - Parameter onBoundary: called with each boundary, from 0 to the plan's last, and the raw states of
    ///   the tokens, then of the branches, one after the other: [rows, d], valid only during the call.
    /// - Throws: as `run`.
    public func run(
        _ tokens: [Int32], branches: [[Int32]],
        onBoundary: (Int, UnsafePointer<Float>) throws(ModelError) -> Void
    ) throws(ModelError) {
        try checkTokens(tokens)
        let border = position + tokens.count
        var rows = tokens.count
        var segments: [BlockSegment] = []
        if rows > 0 {
            segments.append(BlockSegment(rows: 0..<rows, position: position, place: position))
        }
        for branch in branches {
            guard border + branch.count <= capacity else {
                throw .tooLong(tokens: border + branch.count, context: capacity)
            }
            try checkTokens(branch)
            segments.append(
                BlockSegment(
                    rows: rows..<rows + branch.count, position: border, place: position + rows))
            rows += branch.count
        }
        precondition(rows <= Self.blockLength, "one block has at most blockLength rows")
        precondition(!model.configuration.rotaryDependsOnLength)
        try runBlock(
            (tokens + branches.flatMap(\.self))[...], segments, taps: [], onBoundary: onBoundary)
        position = border
    }

    private func checkTokens(_ tokens: [Int32]) throws(ModelError) {
        let vocabulary = model.configuration.vocabularySize
        for (offset, token) in tokens.enumerated() where token < 0 || token >= vocabulary {
            throw .tokenOutOfRange(
                id: token, position: position + offset, vocabularySize: vocabulary)
        }
    }

    /// - Parameter segments: one, if taps look on.
    private func runBlock(
        _ tokens: ArraySlice<Int32>, _ segments: [BlockSegment], taps: [any Tap],
        onBoundary: (Int, UnsafePointer<Float>) throws(ModelError) -> Void = { _, _ in }
    ) throws(ModelError) {
        let c = model.configuration
        for segment in segments {
            let start = tokens.startIndex + segment.rows.lowerBound
            model.embed(
                tokens[start..<start + segment.rows.count], from: segment.position,
                into: buffers.hidden.pointer + segment.rows.lowerBound * c.hiddenSize)
        }
        try checkFinite(segments, "the embedding")
        let positions = (segments.first?.position ?? 0)..<(segments.first?.keyCount ?? 0)
        try show(.resid, 0, nil, positions, buffers.hidden, c.hiddenSize, taps)
        try onBoundary(0, UnsafePointer(buffers.hidden.pointer))
        for (index, step) in plan.steps.enumerated() {
            try runStep(index, step, segments, positions, taps: taps)
            try checkFinite(segments, "layer \(step.layer)")
            try show(.resid, index + 1, step, positions, buffers.hidden, c.hiddenSize, taps)
            try onBoundary(index + 1, UnsafePointer(buffers.hidden.pointer))
        }
    }

    private func runStep(
        _ index: Int, _ step: LayerPlan.Step, _ segments: [BlockSegment], _ positions: Range<Int>,
        taps: [any Tap]
    ) throws(ModelError) {
        let c = model.configuration
        let layer = model.layers[step.layer]
        let rows = segments.last?.rows.upperBound ?? 0
        let b = buffers

        let attentionInput = normed(layer.attentionNorm, rows)
        MatrixProduct.multiply(
            attentionInput.pointer, rows: rows,
            into: [
                layer.query.target(b.query), layer.key.target(b.key), layer.value.target(b.value),
            ])
        let queryWidth = c.headCount * c.headDimension
        let keyWidth = c.keyValueHeadCount * c.headDimension
        if let clip = c.queryKeyValueClip {
            etd_clamp(b.query.pointer, clip, rows * queryWidth)
            etd_clamp(b.key.pointer, clip, rows * keyWidth)
            etd_clamp(b.value.pointer, clip, rows * keyWidth)
        }
        normHeads(layer.queryNorm, b.query, rows: rows, heads: c.headCount)
        normHeads(layer.keyNorm, b.key, rows: rows, heads: c.keyValueHeadCount)
        try show(.query, index, step, positions, b.query, queryWidth, taps)
        try show(.key, index, step, positions, b.key, keyWidth, taps)
        try show(.value, index, step, positions, b.value, keyWidth, taps)
        rotateAndStore(slots[index], rotaryOfLayer[step.layer], segments)
        let attention = BlockedAttention(
            queries: b.query, slot: slots[index], heads: c.headCount,
            keyValueHeads: c.keyValueHeadCount, window: layer.attention.window,
            scale: c.attentionScale, arithmetic: layer.attentionOutput.weight.arithmetic,
            out: b.mixed)
        attention.run(segments)
        if taps.contains(where: { $0.wants(.attentionPattern) }) {
            attention.pattern(positions, into: pattern)
            try show(
                .attentionPattern, index, step, positions, pattern,
                c.headCount * positions.upperBound, taps)
        }
        layer.attentionOutput(b.mixed, rows: rows, into: b.output)
        // In parallel, the MLP reads the state that attention has not been added to yet; without a
        // norm of its own it reads attention's input.
        let parallelInput: FloatBuffer? =
            c.parallelResidual
            ? layer.mlpNorm.map { normed($0, rows) } ?? attentionInput : nil
        addToResidual(layer.postAttentionNorm, rows)
        try show(.attentionOutput, index, step, positions, b.output, c.hiddenSize, taps)
        try show(.residMid, index, step, positions, b.hidden, c.hiddenSize, taps)

        let mlpInput = parallelInput ?? normed(layer.mlpNorm, rows)
        MatrixProduct.multiply(
            mlpInput.pointer, rows: rows,
            into: [layer.gate?.target(b.gate), layer.up.target(b.up)].compactMap(\.self))
        forRows(rows) { row in
            let offset = row * c.intermediateSize
            c.activation.apply(
                b.up.pointer + offset, gate: layer.gate.map { _ in b.gate.pointer + offset },
                width: c.intermediateSize)
        }
        layer.down(b.up, rows: rows, into: b.output)
        addToResidual(layer.postMLPNorm, rows)
        try show(.mlpOutput, index, step, positions, b.output, c.hiddenSize, taps)
    }

    // MARK: Parts of a step

    /// The hidden state through `norm` into a buffer of its own, or the hidden state itself.
    private func normed(_ norm: Norm?, _ rows: Int) -> FloatBuffer {
        guard let norm else { return buffers.hidden }
        let width = model.configuration.hiddenSize
        forRows(rows) { row in
            norm.apply(
                self.buffers.hidden.pointer + row * width,
                out: self.buffers.normed.pointer + row * width, width: width)
        }
        return buffers.normed
    }

    /// hidden += norm(output); the normed output stays in its buffer for the taps.
    private func addToResidual(_ norm: Norm?, _ rows: Int) {
        let width = model.configuration.hiddenSize
        forRows(rows) { row in
            let output = self.buffers.output.pointer + row * width
            norm?.apply(output, out: output, width: width)
            etd_add(self.buffers.hidden.pointer + row * width, output, width)
        }
    }

    private func normHeads(_ norm: Norm?, _ values: FloatBuffer, rows: Int, heads: Int) {
        guard let norm else { return }
        let c = model.configuration
        let perHead = c.queryKeyNorm == .perHead
        let width = perHead ? c.headDimension : heads * c.headDimension
        let count = perHead ? heads : 1
        forRows(rows) { row in
            for item in 0..<count {
                let place = values.pointer + (row * count + item) * width
                norm.apply(place, out: place, width: width)
            }
        }
    }

    /// Rotates queries in place, and keys on their way into the slot: the first dimensions of each head,
    /// as many as the table has.
    private func rotateAndStore(
        _ slot: KeyValueSlot, _ table: RotaryTable?, _ segments: [BlockSegment]
    ) {
        let c = model.configuration
        let width = c.headDimension
        forRows(segments.last?.rows.upperBound ?? 0) { row in
            guard let segment = segments.first(where: { $0.rows.contains(row) }) else { return }
            let position = segment.position(ofRow: row)
            func turn(_ head: UnsafeMutablePointer<Float>) {
                guard let table else { return }
                let offset = position * table.half
                etd_rotate(
                    head, table.cosine.pointer + offset, table.sine.pointer + offset, table.half)
            }
            for head in 0..<c.headCount {
                turn(self.buffers.query.pointer + (row * c.headCount + head) * width)
            }
            for head in 0..<c.keyValueHeadCount {
                let source = (row * c.keyValueHeadCount + head) * width
                let target = slot.offset(head: head, place: segment.place(ofRow: row))
                memcpy(
                    slot.keys.pointer + target, self.buffers.key.pointer + source, width * 4)
                turn(slot.keys.pointer + target)
                memcpy(
                    slot.values.pointer + target, self.buffers.value.pointer + source, width * 4)
            }
        }
    }

    /// Row-wise work in chunks of rows, over all threads.
    private func forRows(_ rows: Int, _ body: (Int) -> Void) {
        let chunk = 16
        Parallel.forEach((rows + chunk - 1) / chunk) { index in
            for row in index * chunk..<min(rows, (index + 1) * chunk) { body(row) }
        }
    }

    private func checkFinite(
        _ segments: [BlockSegment], _ place: String
    ) throws(ModelError) {
        let width = model.configuration.hiddenSize
        let rows = segments.last?.rows.upperBound ?? 0
        guard etd_all_finite(buffers.hidden.pointer, rows * width) == 0 else { return }
        for segment in segments {
            for row in segment.rows
            where etd_all_finite(buffers.hidden.pointer + row * width, width) == 0 {
                throw .nonFinite(place: place, position: segment.position(ofRow: row))
            }
        }
    }

    private func show(
        _ site: Site, _ index: Int, _ step: LayerPlan.Step?, _ positions: Range<Int>,
        _ buffer: FloatBuffer, _ width: Int, _ taps: [any Tap]
    ) throws(ModelError) {
        for tap in taps where tap.wants(site) {
            try tap.observe(
                Activation(
                    site: site, index: index, step: step, positions: positions, width: width,
                    values: UnsafePointer(buffer.pointer)))
        }
    }
}
