import CKernels
import Corpus
import Foundation
import Models
import Plans
import Tensors

/// Linear centred kernel alignment (CKA) between the states of all pairs of boundaries, from token Gram
/// matrices of mini-batches. A tap on `resid`. Positions of added tokens are left out.
///
/// Every `stride`-th position enters a batch of n tokens; K = XXᵀ for the batch's states X [n, d] at each
/// boundary, and HSIC₁(K, L) is the unbiased estimator of Song et al. 2012. Its means over batches give
/// CKA(K, L) = HSIC₁(K, L) / √(HSIC₁(K, K)·HSIC₁(L, L)) (Nguyen et al. 2021). Cost and memory depend on the
/// sample, not on the text, and no [d, d] cross-covariance exists.
public final class KernelAlignment: Tap {
    /// n, tokens of a batch.
    public static let batchTokens = 256
    /// About as many tokens are looked at, spread over the whole text.
    public static let sampleTokens = 4096

    private let boundaries: Int
    private let width: Int
    private let stride: Int
    private let room: Int
    /// [boundaries][room, d]
    private let batch: FloatBuffer
    private var filled = 0
    private var document = Document(tokens: [])
    /// Counted positions of the documents before the current one.
    private var seen = 0
    /// [boundaries, boundaries], sums of HSIC₁ over batches; the lower triangle.
    private var sums: [Double]
    public private(set) var batches = 0

    /// - Parameter tokens: of the whole text, from which the stride follows.
    public init(boundaries: Int, width: Int, tokens: Int) {
        self.boundaries = boundaries
        self.width = width
        stride = max(1, (tokens + Self.sampleTokens - 1) / Self.sampleTokens)
        // A block may bring more than a batch still lacks.
        room = Self.batchTokens - 1 + (BlockRunner.blockLength + stride - 1) / stride
        batch = FloatBuffer(count: boundaries * room * width)
        sums = Array(repeating: 0, count: boundaries * boundaries)
    }

    public func wants(_ site: Site) -> Bool { site == .resid }

    public func begin(_ document: Document, index: Int) { self.document = document }

    public func end() { seen += document.tokens.count - document.addedTokens }

    public func observe(_ activation: Activation) {
        var rows = filled
        for position in activation.positions where position >= document.addedTokens {
            guard (seen + position - document.addedTokens) % stride == 0 else { continue }
            memcpy(
                batch.pointer + (activation.index * room + rows) * width, activation.row(position),
                width * 4)
            rows += 1
        }
        guard activation.index == boundaries - 1 else { return }
        filled = rows
        while filled >= Self.batchTokens {
            take(Self.batchTokens)
            filled -= Self.batchTokens
            for boundary in 0..<boundaries {
                let start = batch.pointer + boundary * room * width
                memmove(start, start + Self.batchTokens * width, filled * width * 4)
            }
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
                    sums[row * boundaries + column] +=
                        factor * products[row * boundaries + column]
                }
            }
        }
        batches += 1
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
    public func alignments() -> [[Double?]] {
        if batches == 0, filled >= 4 { take(filled) }
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
