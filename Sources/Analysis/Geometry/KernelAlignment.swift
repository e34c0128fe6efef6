import CKernels
import Foundation
import Tensors

/// Linear centred kernel alignment (CKA) between the states of all pairs of boundaries, from token Gram
/// matrices of mini-batches.
///
/// Each n tokens taken in are a batch; K = XXᵀ for the batch's states X [n, d] at each boundary, and
/// HSIC₁(K, L) is the unbiased estimator of Song et al. 2012. Its means over batches give
/// CKA(K, L) = HSIC₁(K, L) / √(HSIC₁(K, K)·HSIC₁(L, L)) (Nguyen et al. 2021). Cost and memory depend on the
/// sample, not on the text, and no [d, d] cross-covariance exists.
package final class KernelAlignment {
    /// n, tokens of a batch.
    package static let batchTokens = 256

    private let boundaries: Int
    private let width: Int
    private let room = KernelAlignment.batchTokens
    /// [boundaries][n, d]
    private let batch: FloatBuffer
    private var filled = 0
    /// [boundaries, boundaries], sums of HSIC₁ over batches; the lower triangle.
    private var sums: [Double]
    private var batches = 0
    /// The jackknife's block of documents that runs; nil without blocks.
    private var block: Int?
    /// The same sums over the batches that begin in a block.
    private var blockSums: [[Double]] = []
    private var blockBatches: [Int] = []
    /// The block in which the current batch began.
    private var batchBlock = 0
    /// Tokens taken in.
    package private(set) var tokens = 0

    package init(boundaries: Int, width: Int) {
        self.boundaries = boundaries
        self.width = width
        batch = FloatBuffer(count: boundaries * room * width)
        sums = Array(repeating: 0, count: boundaries * boundaries)
    }

    /// The document that comes next belongs to this block of the jackknife.
    package func begin(block: Int?) {
        self.block = block
        guard block != nil, blockSums.isEmpty else { return }
        blockSums = Array(
            repeating: Array(repeating: 0, count: sums.count), count: JackknifeBlocks.count)
        blockBatches = Array(repeating: 0, count: JackknifeBlocks.count)
    }

    /// Takes in one token.
    /// - Parameter state: its state [d] at a boundary.
    package func add(_ state: (Int) -> UnsafePointer<Float>) {
        if filled == 0 { batchBlock = block ?? 0 }
        for boundary in 0..<boundaries {
            memcpy(
                batch.pointer + (boundary * room + filled) * width, state(boundary), width * 4)
        }
        tokens += 1
        filled += 1
        if filled == room {
            take(filled)
            filled = 0
        }
    }

    /// Adds HSIC₁ of all pairs over the first `rows` rows.
    ///
    /// With U the U-centred K (Székely and Rizzo 2014), zero on its diagonal,
    /// HSIC₁(K, L) = Σ U·V / (n(n - 3)), which is Song's formula: one product of the stacked U gives all
    /// pairs. States are centred first, which U-centring makes no difference to but for rounding.
    private func take(_ rows: Int) {
        let pairs = rows * (rows - 1) / 2
        let (width, boundaries, room) = (self.width, self.boundaries, self.room)
        nonisolated(unsafe) let batch = self.batch.pointer
        ScratchPool.shared.withDoubles(boundaries * (pairs + boundaries)) { stacked in
            nonisolated(unsafe) let stacked = stacked
            Parallel.forEach(boundaries) { boundary in
                Self.centredGram(
                    batch + boundary * room * width, rows: rows, width: width,
                    into: stacked + boundary * pairs)
            }
            let products = stacked + boundaries * pairs
            DoubleMatrix.rowGram(
                stacked, rows: boundaries, width: pairs, stride: pairs, into: products,
                outStride: boundaries)
            // Each pair of tokens stands once in the triangle.
            let factor = 2 / (Double(rows) * Double(rows - 3))
            for row in 0..<boundaries {
                for column in 0...row {
                    let term = factor * products[row * boundaries + column]
                    sums[row * boundaries + column] += term
                    if !blockSums.isEmpty {
                        blockSums[batchBlock][row * boundaries + column] += term
                    }
                }
            }
        }
        batches += 1
        if !blockBatches.isEmpty { blockBatches[batchBlock] += 1 }
    }

    /// The strict lower triangle of U, row by row, for states [rows, width].
    private static func centredGram(
        _ states: UnsafePointer<Float>, rows n: Int, width: Int,
        into out: UnsafeMutablePointer<Double>
    ) {
        ScratchPool.shared.withDoubles(n * width + n * n + width + n) { scratch in
            let (wide, gram) = (scratch, scratch + n * width)
            let (mean, totals) = (gram + n * n, gram + n * n + width)
            mean.update(repeating: 0, count: width)
            totals.update(repeating: 0, count: n)
            for row in 0..<n {
                etd_widen(states + row * width, wide + row * width, width)
                for column in 0..<width { mean[column] += wide[row * width + column] }
            }
            for column in 0..<width { mean[column] /= Double(n) }
            for row in 0..<n {
                for column in 0..<width { wide[row * width + column] -= mean[column] }
            }
            DoubleMatrix.rowGram(
                wide, rows: n, width: width, stride: width, into: gram, outStride: n)
            for row in 1..<n {
                for column in 0..<row {
                    totals[row] += gram[row * n + column]
                    totals[column] += gram[row * n + column]
                }
            }
            let total = (0..<n).reduce(0) { $0 + totals[$1] }
            let shared = total / (Double(n - 1) * Double(n - 2))
            var place = 0
            for row in 1..<n {
                for column in 0..<row {
                    out[place] =
                        gram[row * n + column] - (totals[row] + totals[column]) / Double(n - 2)
                        + shared
                    place += 1
                }
            }
        }
    }

    /// [boundaries][boundaries], symmetric, ones on the diagonal; nil where a boundary's states do not vary.
    ///
    /// A text with less than one batch is one smaller batch; four tokens are the least.
    package func alignments() -> [[Double?]] {
        if batches == 0, filled >= 4 { take(filled) }
        return alignments(of: sums)
    }

    /// The lower triangle without the diagonal, row by row, leaving out the batches that begin in one block
    /// after the other; NaN where undefined, or where nothing is left. Ask for `alignments` before.
    package func alignmentsWithoutBlocks() -> [[Double]] {
        blockSums.indices.map { block in
            let rest = zip(sums, blockSums[block]).map { $0 - $1 }
            let found = alignments(of: rest)
            let isEmpty = batches == blockBatches[block]
            return (0..<boundaries).flatMap { row in
                (0..<row).map { isEmpty ? .nan : found[row][$0] ?? .nan }
            }
        }
    }

    private func alignments(of sums: [Double]) -> [[Double?]] {
        func sum(_ row: Int, _ column: Int) -> Double {
            sums[max(row, column) * boundaries + min(row, column)]
        }
        return (0..<boundaries).map { row in
            (0..<boundaries).map { column in
                let (own, other) = (sum(row, row), sum(column, column))
                guard own > 0, other > 0 else { return nil }
                if row == column { return 1 }
                let value = sum(row, column) / (own.squareRoot() * other.squareRoot())
                return value.isFinite ? min(1, max(-1, value)) : nil
            }
        }
    }
}
