import CKernels
import Foundation
import Models
import Plans
import Tensors

/// Loss and gradients of all translators on one block of positions after another; sums until `clear`.
/// A tap on `resid`.
///
/// Forward, for the chosen rows of boundary l: x = h ⊘ s, t = h + r·(A'x + b'), n = Norm_f(t). With E of
/// `LensObjective`, the gradient in n is E_p - E_q; the norm's backward pass takes it to t, and A' gets
/// r·Σ g·xᵀ, b' gets r·Σ g over positions.
final class TranslatorPass: Tap {
    private let trainer: LensTrainer
    private let width: Int
    private let layers: Int
    private let objective: LensObjective
    /// Positions before this one are not trained on: they were added, or trained on before a kill.
    var first = 0
    /// Rows of the block in `states`: those of boundary 0, of boundary 1, …, of the last.
    private var rows: [[Int]] = []
    private var offsets: [Int] = []
    /// x and t of the chosen rows, [rows, d]; the last boundary has t alone.
    private let inputs: FloatBuffer
    private let states: FloatBuffer
    private let expected: FloatBuffer
    private let logSums: FloatBuffer
    private let packed: FloatBuffer
    private let normed: PackedRows

    /// Positions taken in since `clear`.
    private(set) var positions = 0
    /// Rows of each boundary among them, and the sum of their KL(p_L‖p_l).
    private(set) var counts: [Int]
    private(set) var losses: [Double]
    /// Sums over rows, [d, d] and [d] for each boundary below the last.
    let weightGradients: [FloatBuffer]
    let biasGradients: [FloatBuffer]

    init(_ trainer: LensTrainer) {
        self.trainer = trainer
        let configuration = trainer.model.configuration
        width = configuration.hiddenSize
        layers = configuration.layerCount
        objective = LensObjective(model: trainer.model)
        let every = trainer.settings.every
        let most = (BlockRunner.blockLength + every - 1) / every * layers + BlockRunner.blockLength
        inputs = FloatBuffer(count: most * width)
        states = FloatBuffer(count: most * width)
        expected = FloatBuffer(count: most * width)
        logSums = FloatBuffer(count: most)
        let arithmetic = trainer.model.arithmetic
        packed = FloatBuffer(
            count: PackedRows.floats(rows: most, width: width, arithmetic))
        normed = PackedRows(packed.pointer, width: width, arithmetic)
        counts = Array(repeating: 0, count: layers)
        losses = Array(repeating: 0, count: layers)
        let width = self.width
        weightGradients = (0..<layers).map { _ in FloatBuffer(count: width * width) }
        biasGradients = (0..<layers).map { _ in FloatBuffer(count: width) }
    }

    func clear() {
        positions = 0
        counts = Array(repeating: 0, count: layers)
        losses = Array(repeating: 0, count: layers)
        for buffer in weightGradients + biasGradients {
            memset(buffer.pointer, 0, buffer.count * 4)
        }
    }

    func wants(_ site: Site) -> Bool { site == .resid }

    /// - Throws: `ModelError.nonFiniteLogit` where the model's weights are to blame. Where translators have
    ///   left the range of f32 instead, the losses are NaN.
    func observe(_ activation: Activation) throws(ModelError) {
        if activation.index == 0 { choose(activation.positions) }
        guard !rows[layers].isEmpty else { return }
        let boundary = activation.index
        let (rows, start) = (self.rows[boundary], offsets[boundary])
        let origin = activation.positions.lowerBound
        let values = activation.values
        for (place, position) in rows.enumerated() {
            memcpy(
                states.pointer + (start + place) * width, values + (position - origin) * width,
                width * 4)
        }
        if boundary < layers { translate(boundary) }
        storeNormed(boundary)
        guard boundary == layers else { return }
        let nonFinite = objective.run(
            normed, rows: start + rows.count, expected: expected.pointer,
            logSums: logSums.pointer)
        for (row, id) in nonFinite { try checkLogit(id, row: row) }
        backward()
    }

    /// A logit of `row` is not finite: throws unless the translated state itself has no finite norm.
    private func checkLogit(_ id: Int, row: Int) throws(ModelError) {
        let boundary = offsets.lastIndex { $0 <= row } ?? 0
        let isNumber = ScratchPool.shared.withFloats(width) { values in
            trainer.model.finalNorm.apply(states.pointer + row * width, out: values, width: width)
            return etd_all_finite(values, width) == 1
        }
        guard isNumber || boundary == layers else { return }
        throw .nonFiniteLogit(
            id: id, place: "boundary \(boundary)",
            position: rows[boundary][row - offsets[boundary]])
    }

    /// Which positions each boundary takes: one of `every`, the first one by turns.
    private func choose(_ block: Range<Int>) {
        let every = trainer.settings.every
        rows = (0..<layers).map { boundary in
            block.filter { $0 >= first && ($0 + boundary) % every == 0 }
        }
        rows.append(block.filter { $0 >= first && (layers >= every || rows.joined().contains($0)) })
        offsets = []
        var start = 0
        for chosen in rows {
            offsets.append(start)
            start += chosen.count
        }
    }

    /// From h in `states`: x into `inputs`, t into `states`.
    private func translate(_ boundary: Int) {
        let translator = trainer.translators[boundary]
        let (start, count, width) = (offsets[boundary], rows[boundary].count, self.width)
        nonisolated(unsafe) let x = inputs.pointer + start * width
        nonisolated(unsafe) let t = states.pointer + start * width
        let inverse = translator.inverseScale.pointer
        let scale = translator.outputScale
        ScratchPool.shared.withFloats(count * width) { made in
            nonisolated(unsafe) let made = made
            Parallel.forEach(count) { row in
                for index in 0..<width {
                    x[row * width + index] = t[row * width + index] * inverse[index]
                }
            }
            MatrixProduct.multiply(
                x, rows: count, in: .f32,
                into: [
                    .init(
                        translator.weight.values.matrix(rows: width, columns: width), out: made)
                ])
            let bias = translator.bias.values.pointer
            Parallel.forEach(count) { row in
                for index in 0..<width {
                    t[row * width + index] += scale * (made[row * width + index] + bias[index])
                }
            }
        }
    }

    private func storeNormed(_ boundary: Int) {
        let (start, count, width) = (offsets[boundary], rows[boundary].count, self.width)
        let norm = trainer.model.finalNorm
        Parallel.forEach(count) { row in
            ScratchPool.shared.withFloats(width) { values in
                norm.apply(
                    self.states.pointer + (start + row) * width, out: values, width: width)
                self.normed.store(values, row: start + row)
            }
        }
    }

    private func backward() {
        let width = self.width
        let final = offsets[layers]
        // The first row of each position of the last boundary, to find a position's q by.
        var places: [Int: Int] = [:]
        for (place, position) in rows[layers].enumerated() { places[position] = final + place }
        let norm = trainer.model.finalNorm
        // -Σ q·log q of each row of the last boundary.
        let entropies = FloatBuffer(count: rows[layers].count)
        Parallel.forEach(rows[layers].count) { place in
            ScratchPool.shared.withFloats(width) { values in
                let row = final + place
                norm.apply(self.states.pointer + row * width, out: values, width: width)
                let mean = etd_pair_products(values, self.expected.pointer + row * width, width).hg
                entropies.pointer[place] = self.logSums.pointer[row] - Float(mean)
            }
        }
        let rowLosses = FloatBuffer(count: final)
        let (rows, offsets) = (self.rows, self.offsets)
        Parallel.forEach(layers) { boundary in
            let translator = self.trainer.translators[boundary]
            let (start, count) = (offsets[boundary], rows[boundary].count)
            guard count > 0 else { return }
            let granule = PackedColumns.columnGranule
            let columns = (width + granule - 1) / granule * granule
            let packedLeft = PackedRows.floats(rows: width, width: count, .f32)
            ScratchPool.shared.withFloats(columns * count + packedLeft + width) { scratch in
                let values = scratch + columns * count + packedLeft
                for (place, position) in rows[boundary].enumerated() {
                    let row = start + place
                    guard let target = places[position] else { continue }
                    let g = self.expected.pointer + row * width
                    let q = self.expected.pointer + target * width
                    let state = self.states.pointer + row * width
                    norm.apply(state, out: values, width: width)
                    let mean = Float(etd_pair_products(values, q, width).hg)
                    rowLosses.pointer[row] =
                        self.logSums.pointer[row] - mean - entropies.pointer[target - final]
                    for index in 0..<width { g[index] -= q[index] }
                    norm.backward(state, gradient: g, out: g, width: width)
                    etd_scale(g, translator.outputScale, width)
                    etd_add(self.biasGradients[boundary].pointer, g, width)
                }
                let right = PackedColumns(
                    turned: self.inputs.pointer + start * width, count: width, width: count,
                    stride: width, memory: scratch)
                let left = PackedRows(
                    turned: self.expected.pointer + start * width, count: width, width: count,
                    stride: width, memory: scratch + columns * count)
                right.accumulate(
                    left, rows: 0..<width, columns: 0..<width,
                    into: self.weightGradients[boundary].pointer, stride: width)
            }
        }
        positions += rows[layers].count
        for boundary in 0..<layers {
            counts[boundary] += rows[boundary].count
            for place in rows[boundary].indices {
                losses[boundary] += Double(rowLosses.pointer[offsets[boundary] + place])
            }
        }
    }
}
