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
    /// Vocabulary ids per product, so that a tile's logits stay in the second-level cache.
    static let panelColumns = 256
    /// Vocabulary ids laid out together, over all threads: 8 MiB, which the third-level cache holds.
    private let chunkColumns: Int
    private let chunk: FloatBuffer

    public init(model: Transformer) {
        self.model = model
        let unembedding = model.unembedding
        let width = unembedding.columns
        let panels = max(1, (1 << 21) / (Self.panelColumns * width))
        chunkColumns = panels * Self.panelColumns
        chunk = FloatBuffer(
            count: PackedColumns.floats(
                columns: min(chunkColumns, unembedding.rows), width: width,
                model.arithmetic))
    }

    /// Where the normed states of a block stand in the stacked matrix: all boundaries of a position
    /// together, several positions in a tile, which begins where products may begin.
    struct Layout {
        let boundaries: Int
        let positionsPerTile: Int
        let rowsPerTile: Int

        /// About 256 rows to a tile, with as few unused ones as can be.
        init(boundaries: Int) {
            self.boundaries = boundaries
            let granule = PackedRows.rowGranule
            func padded(_ positions: Int) -> Int {
                (positions * boundaries + granule - 1) / granule * granule
            }
            let candidates = max(1, 128 / boundaries)...max(1, 256 / boundaries)
            let best = candidates.reversed().min {
                padded($0) * $1 < padded($1) * $0
            }
            positionsPerTile = best ?? 1
            rowsPerTile = padded(positionsPerTile)
        }

        func rows(positions: Int) -> Int { tiles(positions: positions) * rowsPerTile }

        func tiles(positions: Int) -> Int {
            (positions + positionsPerTile - 1) / positionsPerTile
        }

        func row(position: Int, boundary: Int) -> Int {
            position / positionsPerTile * rowsPerTile
                + position % positionsPerTile * boundaries + boundary
        }
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
    ///   - normed: final-normed states, as `layout` places them; the last boundary is the output.
    ///   - targets: the id whose probability is wanted at each position, or -1.
    ///   - finalLogits: if given, receives the last boundary's logits of the first positions, as many
    ///     as it has room for: [rows, V].
    ///   - place: names a row of a position for an error, such as "boundary 3".
    ///   - documentPositions: of each position of the block in its document, for an error.
    ///   - body: called in order of positions with the readings of all boundaries.
    /// - Throws: `ModelError.nonFiniteLogit`, before `body` is called.
    func read(
        _ normed: PackedRows, _ layout: Layout, positions: Int, targets: [Int32],
        finalLogits: FloatBuffer? = nil, documentPositions: [Int],
        place: (_ row: Int) -> String,
        _ body: (_ position: Int, _ readings: [Reading]) -> Void
    ) throws(ModelError) {
        let boundaries = layout.boundaries
        let count = positions * boundaries
        let states = UnsafeMutablePointer<etd_lens_row_t>.allocate(capacity: count)
        defer { states.deallocate() }
        for row in 0..<count { etd_lens_row_begin(states + row) }
        let vocabulary = model.unembedding.rows
        for start in stride(from: 0, to: vocabulary, by: chunkColumns) {
            let range = start..<min(vocabulary, start + chunkColumns)
            let columns = PackedColumns(
                model.unembedding, range, model.arithmetic, memory: chunk.pointer, parallel: true)
            take(
                columns, firstID: start, normed, layout, positions: positions, targets: targets,
                states: states, finalLogits: finalLogits)
        }
        for row in 0..<count where states[row].non_finite_id >= 0 {
            throw .nonFiniteLogit(
                id: Int(states[row].non_finite_id), place: place(row % boundaries),
                position: documentPositions[row / boundaries])
        }
        for position in 0..<positions {
            let rows = states + position * boundaries
            let last = rows[boundaries - 1]
            body(position, (0..<boundaries).map { Self.reading(rows[$0], final: last) })
        }
    }

    private func take(
        _ columns: PackedColumns, firstID: Int, _ normed: PackedRows, _ layout: Layout,
        positions: Int, targets: [Int32], states: UnsafeMutablePointer<etd_lens_row_t>,
        finalLogits: FloatBuffer?
    ) {
        let vocabulary = model.unembedding.rows
        let boundaries = layout.boundaries
        let stride = Self.panelColumns
        nonisolated(unsafe) let states = states
        Parallel.forEach(layout.tiles(positions: positions)) { tile in
            let first = tile * layout.positionsPerTile
            let members = first..<min(positions, first + layout.positionsPerTile)
            let firstRow = tile * layout.rowsPerTile
            let rows = firstRow..<firstRow + members.count * boundaries
            ScratchPool.shared.withFloats((rows.count + 1) * stride) { logits in
                let weights = logits + rows.count * stride
                for start in Swift.stride(from: 0, to: columns.count, by: stride) {
                    let range = start..<min(columns.count, start + stride)
                    columns.multiply(
                        normed, rows: rows, columns: range, into: logits, stride: stride)
                    for (place, position) in members.enumerated() {
                        let panel = logits + place * boundaries * stride
                        etd_lens_panel(
                            states + position * boundaries, panel, boundaries, stride,
                            Int32(firstID + start), range.count, targets[position], weights)
                        if let finalLogits, (position + 1) * vocabulary <= finalLogits.count {
                            memcpy(
                                finalLogits.pointer + position * vocabulary + firstID + start,
                                panel + (boundaries - 1) * stride, range.count * 4)
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
            entropy: .propagatingMaximum(0, log(row.sum) - row.sum_shifted / row.sum),
            klToFinal: .propagatingMaximum(
                0, row.sum_difference / row.sum - logSum + finalLogSum),
            klFromFinal: .propagatingMaximum(
                0, row.final_difference / final.sum - finalLogSum + logSum),
            crossEntropy: row.target_logit.isNaN ? nil : logSum - Double(row.target_logit),
            topIDs: Array(top.prefix(present)),
            topLogProbabilities: values.prefix(present).map { Double($0) - logSum })
    }
}
