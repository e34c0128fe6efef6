import CKernels
import Foundation
import Models
import Tensors

/// The logit lens: what the final norm and the unembedding read from a state at any boundary.
///
/// One pass over the unembedding serves all boundaries of a block of positions: their normed states
/// stand as rows of one matrix, and each panel of the unembedding is multiplied once and its logits are
/// folded into running statistics while they are in cache. No [T, V] matrix exists. Norm statistics come
/// from the state itself, never from the model's own pass.
public final class LogitLens {
    public let model: Transformer
    /// Unembedding rows per product, so that a tile's logits stay in the second-level cache.
    static let panelRows = 256
    /// Rows of the stacked matrix per tile, about; whole positions.
    static let rowsPerTile = 256
    private let decodedRows: Int
    private let decoded: FloatBuffer

    public init(model: Transformer) {
        self.model = model
        let width = model.configuration.hiddenSize
        // Several panels are decoded together, over all threads, into about 4 MiB.
        let panels = max(1, (1 << 20) / (Self.panelRows * width))
        decodedRows = panels * Self.panelRows
        decoded = FloatBuffer(count: decodedRows * width)
    }

    /// What the lens reads at one boundary of one position. p is the lens distribution, q the model's
    /// output (the lens at the last boundary). Natural logarithms.
    public struct Reading: Sendable {
        public var entropy: Double
        /// KL(p‖q).
        public var klToFinal: Double
        /// KL(q‖p).
        public var klFromFinal: Double
        /// -log p(target); nil without a target.
        public var crossEntropy: Double?
        /// The five most likely ids, best first; equal logits keep the lower id first. Fewer only for
        /// a vocabulary below five.
        public var topIDs: [Int32]
        /// log p of `topIDs`.
        public var topLogProbabilities: [Double]
    }

    /// Reads a block.
    /// - Parameters:
    ///   - normed: final-normed states [positions, boundaries, d]; the last boundary is the output.
    ///   - targets: the id whose probability is wanted at each position, or -1.
    ///   - finalLogits: if given, receives the last boundary's logits of the first positions, as many
    ///     as it has room for: [rows, V].
    ///   - body: called in order of positions with the readings of all boundaries.
    public func read(
        _ normed: UnsafePointer<Float>, positions: Int, boundaries: Int, targets: [Int32],
        finalLogits: FloatBuffer? = nil,
        _ body: (_ position: Int, _ readings: [Reading]) -> Void
    ) {
        let count = positions * boundaries
        let states = UnsafeMutablePointer<etd_lens_row_t>.allocate(capacity: count)
        defer { states.deallocate() }
        for row in 0..<count { etd_lens_row_begin(states + row) }
        let vocabulary = model.unembedding.rows
        for start in stride(from: 0, to: vocabulary, by: decodedRows) {
            let range = start..<min(vocabulary, start + decodedRows)
            decodePanels(range)
            takePanels(
                range, normed, positions: positions, boundaries: boundaries, targets: targets,
                states: states, finalLogits: finalLogits)
        }
        for position in 0..<positions {
            let rows = states + position * boundaries
            let last = rows[boundaries - 1]
            body(position, (0..<boundaries).map { Self.reading(rows[$0], final: last) })
        }
    }

    private func decodePanels(_ range: Range<Int>) {
        let width = model.configuration.hiddenSize
        let chunk = 64
        nonisolated(unsafe) let target = decoded.pointer
        Parallel.forEach((range.count + chunk - 1) / chunk) { index in
            let first = range.lowerBound + index * chunk
            let rows = first..<min(range.upperBound, first + chunk)
            self.model.unembedding.decode(rows, into: target + index * chunk * width)
        }
    }

    private func takePanels(
        _ range: Range<Int>, _ normed: UnsafePointer<Float>, positions: Int, boundaries: Int,
        targets: [Int32], states: UnsafeMutablePointer<etd_lens_row_t>,
        finalLogits: FloatBuffer?
    ) {
        let width = model.configuration.hiddenSize
        let vocabulary = model.unembedding.rows
        let tile = max(1, Self.rowsPerTile / boundaries)
        nonisolated(unsafe) let normed = normed
        nonisolated(unsafe) let states = states
        Parallel.forEach((positions + tile - 1) / tile) { index in
            let members = index * tile..<min(positions, (index + 1) * tile)
            let rows = members.count * boundaries
            let needed = (rows + 1) * Self.panelRows
            ScratchPool.shared.withFloats(needed) { logits in
                let weights = logits + rows * Self.panelRows
                for first in stride(
                    from: range.lowerBound, to: range.upperBound, by: Self.panelRows)
                {
                    let columns = min(Self.panelRows, range.upperBound - first)
                    MatrixProduct.tile(
                        normed + members.lowerBound * boundaries * width, rows: rows, stride: width,
                        self.decoded.pointer + (first - range.lowerBound) * width, columns: columns,
                        depth: width, into: logits, outStride: Self.panelRows)
                    for (place, position) in members.enumerated() {
                        let panel = logits + place * boundaries * Self.panelRows
                        etd_lens_panel(
                            states + position * boundaries, panel, boundaries, Self.panelRows,
                            Int32(first), columns, targets[position], weights)
                        if let finalLogits, (position + 1) * vocabulary <= finalLogits.count {
                            memcpy(
                                finalLogits.pointer + position * vocabulary + first,
                                panel + (boundaries - 1) * Self.panelRows, columns * 4)
                        }
                    }
                }
            }
        }
    }

    /// The divergences are sums of rounded terms: a value below zero by rounding is given as zero.
    private static func reading(_ row: etd_lens_row_t, final: etd_lens_row_t) -> Reading {
        let logSum = Double(row.maximum) + log(row.sum)
        let finalLogSum = Double(final.maximum) + log(final.sum)
        let top = withUnsafeBytes(of: row.top_id) { Array($0.bindMemory(to: Int32.self)) }
        let values = withUnsafeBytes(of: row.top_value) { Array($0.bindMemory(to: Float.self)) }
        let present = top.count { $0 >= 0 }
        return Reading(
            entropy: max(0, log(row.sum) - row.sum_shifted / row.sum),
            klToFinal: max(0, row.sum_difference / row.sum - logSum + finalLogSum),
            klFromFinal: max(0, row.final_difference / final.sum - finalLogSum + logSum),
            crossEntropy: row.target_logit.isNaN ? nil : logSum - Double(row.target_logit),
            topIDs: Array(top.prefix(present)),
            topLogProbabilities: values.prefix(present).map { Double($0) - logSum })
    }
}
