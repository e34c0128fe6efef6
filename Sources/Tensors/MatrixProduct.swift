import COpenBLAS

/// Dense products. OpenBLAS computes one tile at a time on the calling thread; this file cuts the work
/// into tiles and spreads them.
public enum MatrixProduct {
    /// OpenBLAS must not start threads of its own. Every entry point below goes through this.
    private static let singleThreadedBLAS: Void = openblas_set_num_threads(1)

    /// The CPU that OpenBLAS chose its kernels for.
    public static var blasCoreType: String { String(cString: openblas_get_corename()) }

    public static var blasVersion: String {
        let words = String(cString: openblas_get_config()).split(separator: " ")
        return words.count > 1 ? String(words[1]) : "unknown"
    }

    /// How many weight rows one tile takes: enough tiles for many cores, each long enough that
    /// packing `x` again costs little. A function of the shape alone.
    static func panelRows(_ rows: Int) -> Int {
        let eighth = (rows + 7) / 8
        return min(512, max(64, (eighth + 15) / 16 * 16))
    }

    /// out[T, N] = x[T, K] · wᵀ, for a weight w [N, K].
    /// - Parameters:
    ///   - rowStride: floats from one row of `x` to the next; K when nil.
    ///   - bias: N values added to each row, or nil.
    public static func multiply(
        _ x: UnsafePointer<Float>, rows: Int, rowStride: Int? = nil, by weight: WeightMatrix,
        bias: [Float]? = nil, into out: UnsafeMutablePointer<Float>
    ) {
        _ = singleThreadedBLAS
        let columns = weight.rows
        let depth = weight.columns
        let panel = panelRows(columns)
        nonisolated(unsafe) let x = x
        nonisolated(unsafe) let out = out
        Parallel.forEach((columns + panel - 1) / panel) { index in
            let range = index * panel..<min(columns, (index + 1) * panel)
            weight.withRows(range) { w in
                tile(
                    x, rows: rows, stride: rowStride ?? depth, w, columns: range.count,
                    depth: depth, into: out + range.lowerBound, outStride: columns)
            }
            guard let bias else { return }
            for row in 0..<rows {
                for column in range { out[row * columns + column] += bias[column] }
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
