import CKernels
import Foundation
import Plans
import Tensors

// One decoder layer over the rows of a block.

extension BlockRunner {
    func run(
        _ layer: DecoderLayer, step: Int, _ plan: LayerPlan, _ places: [Place],
        _ attached: Attachments
    ) throws(ModelError) {
        let c = model.configuration
        let rows = places.last?.rows.upperBound ?? 0
        let b = buffers
        let attentionInput = normed(layer.attentionNorm, rows)
        try attend(layer, step, plan, attentionInput, places, attached)
        layer.attentionOutput(b.mixed, rows: rows, in: model.arithmetic, into: b.output)
        // In parallel, the MLP reads the state that attention has not been added to yet; without a
        // norm of its own it reads attention's input.
        let parallelInput: FloatBuffer? =
            c.parallelResidual
            ? layer.mlpNorm.map { normed($0, rows) } ?? attentionInput : nil
        try addToResidual(
            layer.postAttentionNorm, plan.place(.attentionOutput, step: step), places, attached)
        if !c.parallelResidual {
            try pass(
                plan.place(.residMid, step: step), b.hidden, c.hiddenSize, places, attached)
        }
        let mlpInput = parallelInput ?? normed(layer.mlpNorm, rows)
        MatrixProduct.multiply(
            mlpInput.pointer, rows: rows, in: model.arithmetic,
            into: [layer.gate?.target(b.gate), layer.up.target(b.up)].compactMap(\.self))
        forRows(rows) { row in
            let offset = row * c.intermediateSize
            c.activation.apply(
                b.up.pointer + offset, gate: layer.gate.map { _ in b.gate.pointer + offset },
                width: c.intermediateSize)
        }
        layer.down(b.up, rows: rows, in: model.arithmetic, into: b.output)
        try addToResidual(
            layer.postMLPNorm, plan.place(.mlpOutput, step: step), places, attached)
    }

    /// Queries, keys and values of `input`, and what attention mixes of them into `mixed`.
    private func attend(
        _ layer: DecoderLayer, _ step: Int, _ plan: LayerPlan, _ input: FloatBuffer,
        _ places: [Place], _ attached: Attachments
    ) throws(ModelError) {
        let c = model.configuration
        let rows = places.last?.rows.upperBound ?? 0
        let b = buffers
        MatrixProduct.multiply(
            input.pointer, rows: rows, in: model.arithmetic,
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
        try pass(plan.place(.query, step: step), b.query, queryWidth, places, attached)
        try pass(plan.place(.key, step: step), b.key, keyWidth, places, attached)
        try pass(plan.place(.value, step: step), b.value, keyWidth, places, attached)
        let slots = rotateAndStore(step, rotary.table(ofLayer: plan.steps[step].layer), places)
        let attention = BlockedAttention(
            queries: b.query,
            texts: zip(places, slots).map { place, slot in
                guard let chosen = place.chosen else {
                    return .init(rows: place.rows, position: place.position, slot: slot)
                }
                return .init(
                    rows: place.rows, positions: place.rows.map(place.key(ofRow:)),
                    lowest: chosen.lowest(window: layer.attention.window), slot: slot)
            }, heads: c.headCount, keyValueHeads: c.keyValueHeadCount,
            window: layer.attention.window, scale: c.attentionScale,
            arithmetic: model.arithmetic, out: b.mixed)
        attention.run()
        if attached.wants(.attentionPattern) {
            try passPattern(attention, plan.place(.attentionPattern, step: step), places, attached)
        }
    }

    /// The attention weights of each text, one after the other: their width depends on its length. Where
    /// something may have written to them, what they mix is computed anew.
    private func passPattern(
        _ attention: BlockedAttention, _ place: StatePlace, _ places: [Place],
        _ attached: Attachments
    ) throws(ModelError) {
        let heads = model.configuration.headCount
        for (sequence, text) in places.enumerated() where !text.rows.isEmpty {
            let keys = text.positions.upperBound
            let needed = text.rows.count * heads * keys
            if pattern.count < needed { pattern = FloatBuffer(count: needed) }
            attention.pattern(text: sequence, into: pattern)
            var isEdited = false
            for intervention in attached.interventions where intervention.wants(place.site) {
                isEdited = true
                try intervention.edit(
                    EditableActivation(
                        place: place, sequence: sequence, positions: text.positions,
                        width: heads * keys, values: pattern.pointer))
            }
            for tap in attached.taps where tap.wants(place.site) {
                try tap.observe(
                    Activation(
                        place: place, sequence: sequence, positions: text.positions,
                        width: heads * keys, values: UnsafePointer(pattern.pointer)))
            }
            if isEdited { attention.mix(pattern, text: sequence) }
        }
    }

    // MARK: Parts of a layer

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

    /// hidden += norm(output); the normed output stays in its buffer for those who look.
    private func addToResidual(
        _ norm: Norm?, _ place: StatePlace, _ places: [Place], _ attached: Attachments
    ) throws(ModelError) {
        let width = model.configuration.hiddenSize
        let rows = places.last?.rows.upperBound ?? 0
        if let norm {
            forRows(rows) { row in
                let output = self.buffers.output.pointer + row * width
                norm.apply(output, out: output, width: width)
            }
        }
        try pass(place, buffers.output, width, places, attached)
        forRows(rows) { row in
            etd_add(
                self.buffers.hidden.pointer + row * width,
                self.buffers.output.pointer + row * width, width)
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

    /// Rotates queries in place, and keys on their way into the caches: the first dimensions of each
    /// head, as many as the table has.
    /// - Returns: what each text sees: its cache's slot, for a branch one that shares its trunk's pages.
    private func rotateAndStore(
        _ step: Int, _ table: RotaryTable?, _ places: [Place]
    ) -> [KeyValueSlot] {
        var slots = places.map { $0.cache.slots[step] }
        store(slots, table, places.indices.filter { places[$0].trunk == nil }, places)
        let branches = places.indices.filter { places[$0].trunk != nil }
        // Now that their trunk's keys are there.
        for index in branches { slots[index].prepare(places[index].positions) }
        store(slots, table, branches, places)
        return slots
    }

    /// - Parameter chosen: the texts whose rows are stored.
    private func store(
        _ slots: [KeyValueSlot], _ table: RotaryTable?, _ chosen: [Int], _ places: [Place]
    ) {
        let c = model.configuration
        let width = c.headDimension
        let chunk = 16
        let pieces = chosen.flatMap { text in
            let rows = places[text].rows
            return stride(from: rows.lowerBound, to: rows.upperBound, by: chunk).map {
                (text: text, rows: $0..<min($0 + chunk, rows.upperBound))
            }
        }
        func store(_ row: Int, of text: Int) {
            let position = places[text].position(ofRow: row)
            func turn(_ head: UnsafeMutablePointer<Float>) {
                guard let table else { return }
                let offset = position * table.half
                etd_rotate(
                    head, table.cosine.pointer + offset, table.sine.pointer + offset, table.half)
            }
            for head in 0..<c.headCount {
                turn(buffers.query.pointer + (row * c.headCount + head) * width)
            }
            let (page, place) = places[text].key(ofRow: row).quotientAndRemainder(
                dividingBy: KeyValuePage.positions)
            guard let page = slots[text].pages[page] else { return }
            for head in 0..<c.keyValueHeadCount {
                let source = (row * c.keyValueHeadCount + head) * width
                let key = buffers.key.pointer + source
                turn(key)
                memcpy(page.keys(head: head) + place * width, key, width * 4)
                memcpy(
                    page.values(head: head) + place * width, buffers.value.pointer + source,
                    width * 4)
            }
        }
        Parallel.forEach(pieces.count) { index in
            for row in pieces[index].rows { store(row, of: pieces[index].text) }
        }
    }
}
