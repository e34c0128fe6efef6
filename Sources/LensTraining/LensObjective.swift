import CKernels
import Foundation
import Models
import Tensors

/// Softmax over the vocabulary without logits in memory: for rows n [rows, d] of normed states,
/// log Σ_v exp(n·W_v) and E(n) = Σ_v softmax(n·W)_v · W_v, where W_v is row v of the unembedding.
///
/// That is all that KL(q‖p) and its gradient need: with z = W·n for p and q = softmax of the model's own
/// logits, KL = Σq·log q + log Σexp z - n·E_q, since Σ q_v·z_v = n·E_q; its gradient in n is E_p - E_q.
///
/// One pass over the unembedding, panel by panel, with running maximum and sum, and what was accumulated
/// scaled when the maximum moves (as in FlashAttention, Dao et al., arXiv 2205.14135): each panel is read
/// once, and no [rows, V] matrix exists. Sums run in the panels' order, so at f32 the bytes depend neither
/// on the number of rows nor on threads.
public final class LensObjective {
    private let unembedding: WeightMatrix
    private let arithmetic: Arithmetic
    private let width: Int
    /// Vocabulary ids to a panel.
    static let panelColumns = 256
    /// Vocabulary ids laid out together, over all threads.
    private let chunkColumns: Int
    private let chunk: FloatBuffer
    /// The same panels turned, for the second product.
    private let turned: [FloatBuffer]

    public init(model: Transformer) {
        unembedding = model.unembedding
        arithmetic = model.arithmetic
        width = unembedding.columns
        let panels = max(1, (1 << 21) / (Self.panelColumns * width))
        chunkColumns = panels * Self.panelColumns
        chunk = FloatBuffer(
            count: PackedColumns.floats(
                columns: min(chunkColumns, unembedding.rows), width: width, arithmetic))
        let granule = PackedColumns.columnGranule
        let columns = (width + granule - 1) / granule * granule
        turned = (0..<min(panels, (unembedding.rows + Self.panelColumns - 1) / Self.panelColumns))
            .map { _ in FloatBuffer(count: columns * Self.panelColumns) }
    }

    /// Rows of one item of work, a multiple of what products begin at.
    static var rowsPerTile: Int { max(1, 252 / PackedRows.rowGranule) * PackedRows.rowGranule }

    /// - Parameters:
    ///   - normed: the rows, from row 0.
    ///   - expected: receives E [rows, d].
    ///   - logSums: receives log Σ exp, one for each row.
    /// - Returns: of each row that has one, the first id whose logit is NaN or infinite, in order of rows;
    ///   what `expected` and `logSums` hold of such a row means nothing.
    public func run(
        _ normed: PackedRows, rows: Int, expected: UnsafeMutablePointer<Float>,
        logSums: UnsafeMutablePointer<Float>
    ) -> [(row: Int, id: Int)] {
        let maxima = FloatBuffer(count: rows)
        let sums = FloatBuffer(count: rows)
        for row in 0..<rows { maxima.pointer[row] = -.infinity }
        memset(expected, 0, rows * width * 4)
        var nonFinite = [Int?](repeating: nil, count: rows)
        for start in stride(from: 0, to: unembedding.rows, by: chunkColumns) {
            let range = start..<min(unembedding.rows, start + chunkColumns)
            nonFinite.withUnsafeMutableBufferPointer { nonFinite in
                take(
                    range, normed, rows: rows, expected: expected, maxima: maxima, sums: sums,
                    nonFinite: nonFinite)
            }
        }
        let width = self.width
        nonisolated(unsafe) let (expected, logSums) = (expected, logSums)
        Parallel.forEach((rows + 63) / 64) { index in
            for row in index * 64..<min(rows, (index + 1) * 64) {
                let sum = sums.pointer[row]
                etd_scale(expected + row * width, 1 / sum, width)
                logSums[row] = maxima.pointer[row] + Float(log(Double(sum)))
            }
        }
        return nonFinite.enumerated().compactMap { row, id in id.map { (row, $0) } }
    }

    private func take(
        _ range: Range<Int>, _ normed: PackedRows, rows: Int,
        expected: UnsafeMutablePointer<Float>, maxima: FloatBuffer, sums: FloatBuffer,
        nonFinite: UnsafeMutableBufferPointer<Int?>
    ) {
        let width = self.width
        let columns = PackedColumns(
            unembedding, range, arithmetic, memory: chunk.pointer, parallel: true)
        let panels = stride(from: 0, to: range.count, by: Self.panelColumns).map { start in
            start..<min(range.count, start + Self.panelColumns)
        }
        var turned = [PackedColumns?](repeating: nil, count: panels.count)
        turned.withUnsafeMutableBufferPointer { turned in
            nonisolated(unsafe) let turned = turned
            Parallel.forEach(panels.count) { index in
                let ids = panels[index]
                turned[index] = self.turn(
                    range.lowerBound + ids.lowerBound..<range.lowerBound + ids.upperBound,
                    into: self.turned[index])
            }
        }
        let backward = turned.compactMap(\.self)
        let tile = Self.rowsPerTile
        let arithmetic = productArithmetic
        nonisolated(unsafe) let (expected, nonFinite) = (expected, nonFinite)
        Parallel.forEach((rows + tile - 1) / tile) { index in
            let members = index * tile..<min(rows, (index + 1) * tile)
            let stride = Self.panelColumns
            let packed = PackedRows.floats(rows: members.count, width: stride, arithmetic)
            ScratchPool.shared.withFloats(members.count * stride + packed) { logits in
                for (panel, ids) in panels.enumerated() {
                    columns.multiply(
                        normed, rows: members, columns: ids, into: logits, stride: stride)
                    let weights = PackedRows(
                        logits + members.count * stride, width: ids.count, arithmetic)
                    for (place, row) in members.enumerated() {
                        let values = logits + place * stride
                        if nonFinite[row] == nil, etd_all_finite(values, ids.count) == 0 {
                            let id = ids.first { !values[$0 - ids.lowerBound].isFinite }
                            nonFinite[row] = range.lowerBound + (id ?? ids.lowerBound)
                        }
                        let factor = etd_softmax_block(
                            values, ids.count, 1, maxima.pointer + row, sums.pointer + row)
                        if factor != 1 { etd_scale(expected + row * width, factor, width) }
                        weights.store(values, row: place)
                    }
                    backward[panel].accumulate(
                        weights, rows: 0..<members.count, columns: 0..<width,
                        into: expected + members.lowerBound * width, stride: width)
                }
            }
        }
    }

    /// The rounded twin multiplies in f32; its second product does so from values that are not rounded.
    private var productArithmetic: Arithmetic {
        arithmetic == .bf16 ? .bf16 : .f32
    }

    /// Lays out the rows `ids` of the unembedding as columns.
    private func turn(_ ids: Range<Int>, into memory: FloatBuffer) -> PackedColumns {
        unembedding.withRows(ids) { values in
            PackedColumns(
                turned: values, count: width, width: ids.count, stride: width, productArithmetic,
                memory: memory.pointer)
        }
    }
}
