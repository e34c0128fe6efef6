import COpenBLAS

/// Products and eigenvalues in f64, on the calling thread, by OpenBLAS. Matrices are row-major.
public enum DoubleMatrix {
    /// The lower triangle of out[m, m] = Σ_k x[k, i]·x[k, j] for x [rows, m] of row stride `stride`. What
    /// stands above the diagonal is left as it is.
    public static func columnGram(
        _ x: UnsafePointer<Double>, rows: Int, columns m: Int, stride: Int,
        into out: UnsafeMutablePointer<Double>, outStride: Int
    ) {
        _ = MatrixProduct.singleThreadedBLAS
        cblas_dsyrk(
            CblasRowMajor, CblasLower, CblasTrans, blasint(m), blasint(rows), 1, x,
            blasint(stride), 0, out, blasint(outStride))
    }

    /// The lower triangle of out[n, n] = Σ_k x[i, k]·x[j, k] for x [n, width] of row stride `stride`. What
    /// stands above the diagonal is left as it is.
    public static func rowGram(
        _ x: UnsafePointer<Double>, rows n: Int, width: Int, stride: Int,
        into out: UnsafeMutablePointer<Double>, outStride: Int
    ) {
        _ = MatrixProduct.singleThreadedBLAS
        cblas_dsyrk(
            CblasRowMajor, CblasLower, CblasNoTrans, blasint(n), blasint(width), 1, x,
            blasint(stride), 0, out, blasint(outStride))
    }

    /// out[m, n] = Σ_k a[k, i]·b[k, j] for a [rows, m] and b [rows, n], both of row stride `stride`.
    public static func columnProduct(
        _ a: UnsafePointer<Double>, columns m: Int, _ b: UnsafePointer<Double>, columns n: Int,
        rows: Int, stride: Int, into out: UnsafeMutablePointer<Double>, outStride: Int
    ) {
        _ = MatrixProduct.singleThreadedBLAS
        cblas_dgemm(
            CblasRowMajor, CblasTrans, CblasNoTrans, blasint(m), blasint(n), blasint(rows), 1, a,
            blasint(stride), b, blasint(stride), 0, out, blasint(outStride))
    }

    /// The eigenvalues of a symmetric matrix, ascending.
    /// - Parameter lower: [n, n], of which the lower triangle is read; overwritten.
    /// - Returns: nil where the matrix holds NaN or Inf, or the iteration does not converge.
    public static func eigenvalues(
        overwriting lower: UnsafeMutablePointer<Double>, order n: Int
    ) -> [Double]? {
        guard n > 0 else { return [] }
        _ = MatrixProduct.singleThreadedBLAS
        for row in 0..<n {
            for column in 0...row where !lower[row * n + column].isFinite { return nil }
        }
        var order = blasint(n)
        var info: blasint = 0
        var values = [Double](repeating: 0, count: n)
        // Room for the blocked reduction to a tridiagonal matrix, beyond the documented minimum.
        let wanted = max(2 * n + 1, 64 * n)
        var workLength = blasint(wanted)
        var integersLength: blasint = 1
        var integers: blasint = 0
        ScratchPool.shared.withDoubles(wanted) { work in
            // Fortran stores by columns: the lower triangle of rows is the upper one of columns.
            dsyevd_(
                "N", "U", &order, lower, &order, &values, work, &workLength, &integers,
                &integersLength, &info, 1, 1)
        }
        return info == 0 && values.allSatisfy(\.isFinite) ? values : nil
    }

    /// out[m, n] = a[m, k] · b[k, n], or a · bᵀ for b [n, k]; rows of each stand close together.
    public static func product(
        _ a: UnsafePointer<Double>, rows m: Int, inner k: Int, _ b: UnsafePointer<Double>,
        columns n: Int, transposed: Bool = false, into out: UnsafeMutablePointer<Double>
    ) {
        _ = MatrixProduct.singleThreadedBLAS
        cblas_dgemm(
            CblasRowMajor, CblasNoTrans, transposed ? CblasTrans : CblasNoTrans, blasint(m),
            blasint(n), blasint(k), 1, a, blasint(k), b, blasint(transposed ? k : n), 0, out,
            blasint(n))
    }

    /// Eigenvalues, ascending, and eigenvectors of a symmetric matrix.
    /// - Parameter lower: [n, n], of which the lower triangle is read; row j becomes the eigenvector of the
    ///   j-th value.
    /// - Returns: nil where the matrix holds NaN or Inf, or the iteration does not converge.
    public static func eigenvectors(
        overwriting lower: UnsafeMutablePointer<Double>, order n: Int
    ) -> [Double]? {
        guard n > 0 else { return [] }
        _ = MatrixProduct.singleThreadedBLAS
        for row in 0..<n {
            for column in 0...row where !lower[row * n + column].isFinite { return nil }
        }
        var order = blasint(n)
        var info: blasint = 0
        var values = [Double](repeating: 0, count: n)
        let wanted = 1 + 6 * n + 2 * n * n
        var workLength = blasint(wanted)
        var integers = [blasint](repeating: 0, count: 3 + 5 * n)
        var integersLength = blasint(integers.count)
        ScratchPool.shared.withDoubles(wanted) { work in
            dsyevd_(
                "V", "U", &order, lower, &order, &values, work, &workLength, &integers,
                &integersLength, &info, 1, 1)
        }
        return info == 0 && values.allSatisfy(\.isFinite) ? values : nil
    }
}
