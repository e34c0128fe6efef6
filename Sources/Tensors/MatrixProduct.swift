import COpenBLAS

/// Dense products: this file cuts the work into tiles and spreads them.
///
/// Products with weights run on the engine of their arithmetic (`ProductEngine`); strided tiles run on
/// OpenBLAS.
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

    /// A product's right side and where the product goes.
    public struct Target {
        let weight: WeightMatrix
        let bias: [Float]?
        let out: UnsafeMutablePointer<Float>

        /// - Parameters:
        ///   - weight: [N, K].
        ///   - bias: N values added to each row, or nil.
        ///   - out: [T, N].
        public init(_ weight: WeightMatrix, bias: [Float]? = nil, out: UnsafeMutablePointer<Float>)
        {
            self.weight = weight
            self.bias = bias
            self.out = out
        }
    }

    /// out[T, N] = x[T, K] · wᵀ for each target's weight w [N, K]: products of one left side, which is
    /// laid out once, in one go. The arithmetic says what the bytes depend on; whether the rows are few
    /// enough for a weight to be read as it is stored is not among it.
    /// - Parameter rowStride: floats from one row of `x` to the next; K when nil.
    /// - Precondition: all weights have K columns.
    public static func multiply(
        _ x: UnsafePointer<Float>, rows: Int, rowStride: Int? = nil, in arithmetic: Arithmetic,
        into targets: [Target]
    ) {
        guard let depth = targets.first?.weight.columns else { return }
        precondition(targets.allSatisfy { $0.weight.columns == depth })
        let engine = arithmetic.engine
        let streaming = engine.streaming.flatMap { rows <= $0.streamedRows ? $0 : nil }
        let stride = rowStride ?? depth
        let panels = targets.indices.flatMap { target in
            let count = targets[target].weight.rows
            var panel = engine.panelRows(rows: count, depth: depth)
            if streaming != nil {
                panel = (panel + WeightMatrix.strip - 1) / WeightMatrix.strip * WeightMatrix.strip
            }
            return Swift.stride(from: 0, to: count, by: panel).map {
                (target: target, range: $0..<min(count, $0 + panel))
            }
        }
        nonisolated(unsafe) let x = x
        nonisolated(unsafe) let targets = targets
        let needed = engine.leftFloats(rows: rows, width: depth)
        ScratchPool.shared.withFloats(needed) { memory in
            nonisolated(unsafe) let memory = memory
            let left = PackedRows(memory, width: depth, arithmetic)
            let chunk = 2 * PackedRows.rowGranule
            Parallel.forEach((rows + chunk - 1) / chunk) { index in
                for row in index * chunk..<min(rows, (index + 1) * chunk) {
                    if let streaming {
                        streaming.storeStreamed(
                            x + row * stride, row: row, width: depth, in: memory)
                    } else {
                        left.store(x + row * stride, row: row)
                    }
                }
            }
            Parallel.forEach(panels.count) { index in
                let (target, range) = (targets[panels[index].target], panels[index].range)
                let columns = target.weight.rows
                let out = target.out + range.lowerBound
                if let streaming {
                    streaming.stream(
                        memory, rows: rows, target.weight, range, into: out, stride: columns)
                } else {
                    let floats = engine.rightFloats(columns: range.count, width: depth)
                    ScratchPool.shared.withFloats(floats) { panelMemory in
                        PackedColumns(target.weight, range, arithmetic, memory: panelMemory)
                            .multiply(
                                left, rows: 0..<rows, columns: 0..<range.count, into: out,
                                stride: columns)
                    }
                }
                guard let bias = target.bias else { return }
                for row in 0..<rows {
                    for column in range { target.out[row * columns + column] += bias[column] }
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
