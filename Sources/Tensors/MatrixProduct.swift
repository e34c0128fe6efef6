import COpenBLAS

/// Dense products: this file cuts the work into tiles and spreads them.
///
/// Products with weights run on the project's own kernel (bf16 on oneDNN), whose bytes depend on neither
/// the number of rows nor the tiling; the strided tiles of attention run on OpenBLAS.
public enum MatrixProduct {
    /// OpenBLAS must not start threads of its own. Every entry point below goes through this.
    static let singleThreadedBLAS: Void = openblas_set_num_threads(1)

    /// For modules that call OpenBLAS themselves: it must not start threads of its own there either.
    public static func useOneThread() { _ = singleThreadedBLAS }

    /// The CPU that OpenBLAS chose its kernels for.
    public static var blasCoreType: String { String(cString: openblas_get_corename()) }

    public static var blasVersion: String {
        let words = String(cString: openblas_get_config()).split(separator: " ")
        return words.count > 1 ? String(words[1]) : "unknown"
    }

    /// How many weight rows one item of work takes: a function of the shape alone.
    ///
    /// f32: few enough values to stay in the second-level cache. bf16: oneDNN lays the rows out anew in
    /// every call, so an item is large; an even number of items, since they are few.
    static func panelRows(rows: Int, depth: Int, _ arithmetic: Arithmetic) -> Int {
        let granule = PackedColumns.columnGranule
        guard arithmetic == .bf16 else {
            return max(granule, min(96, (1 << 16) / max(1, depth)) / granule * granule)
        }
        let pairs = (rows + 255) / 256
        return max(granule, (rows / (2 * max(1, pairs)) + granule - 1) / granule * granule)
    }

    /// out[T, N] = x[T, K] · wᵀ, for a weight w [N, K].
    /// - Parameters:
    ///   - rowStride: floats from one row of `x` to the next; K when nil.
    ///   - bias: N values added to each row, or nil.
    public static func multiply(
        _ x: UnsafePointer<Float>, rows: Int, rowStride: Int? = nil, by weight: WeightMatrix,
        bias: [Float]? = nil, into out: UnsafeMutablePointer<Float>
    ) {
        let columns = weight.rows
        let depth = weight.columns
        let arithmetic = weight.arithmetic
        let stride = rowStride ?? depth
        let panel = panelRows(rows: columns, depth: depth, arithmetic)
        nonisolated(unsafe) let x = x
        nonisolated(unsafe) let out = out
        let needed = PackedRows.floats(rows: rows, width: depth, arithmetic)
        ScratchPool.shared.withFloats(needed) { memory in
            let left = PackedRows(memory, width: depth, arithmetic)
            let chunk = 2 * PackedRows.rowGranule
            Parallel.forEach((rows + chunk - 1) / chunk) { index in
                for row in index * chunk..<min(rows, (index + 1) * chunk) {
                    left.store(x + row * stride, row: row)
                }
            }
            Parallel.forEach((columns + panel - 1) / panel) { index in
                let range = index * panel..<min(columns, (index + 1) * panel)
                let floats = PackedColumns.floats(
                    columns: range.count, width: depth, arithmetic)
                ScratchPool.shared.withFloats(floats) { panelMemory in
                    PackedColumns(weight, range, memory: panelMemory).multiply(
                        left, rows: 0..<rows, columns: 0..<range.count,
                        into: out + range.lowerBound, stride: columns)
                }
                guard let bias else { return }
                for row in 0..<rows {
                    for column in range { out[row * columns + column] += bias[column] }
                }
            }
        }
    }

    /// One tile on the calling thread: out[m, n] = a[m, k] · b[n, k]ᵀ (+ out when `accumulate`).
    @inline(__always)
    public static func tile(
        _ a: UnsafePointer<Float>, rows m: Int, stride: Int, _ b: UnsafePointer<Float>,
        columns n: Int, depth k: Int, bStride: Int? = nil, into out: UnsafeMutablePointer<Float>,
        outStride: Int
    ) {
        _ = singleThreadedBLAS
        cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasTrans, blasint(m), blasint(n), blasint(k), 1, a,
            blasint(stride), b, blasint(bStride ?? k), 0, out, blasint(outStride))
    }

    /// One tile on the calling thread: out[m, n] += a[m, k] · b[k, n].
    @inline(__always)
    public static func accumulateTile(
        _ a: UnsafePointer<Float>, rows m: Int, stride: Int, _ b: UnsafePointer<Float>,
        columns n: Int, depth k: Int, bStride: Int, into out: UnsafeMutablePointer<Float>,
        outStride: Int
    ) {
        _ = singleThreadedBLAS
        cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(m), blasint(n), blasint(k), 1, a,
            blasint(stride), b, blasint(bStride), 1, out, blasint(outStride))
    }
}
