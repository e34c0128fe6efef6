import COpenBLAS
import Tensors

/// The linear system whose solution is a ridge regression, ready for any strength.
///
/// With Z the standardised features [n, d] and Y the centred targets, W = (Z'Z + αI)⁻¹ Z'Y, or, which is
/// the same and cheaper where there are fewer rows than features, W = Z'(ZZ' + αI)⁻¹ Y (Murphy, Machine
/// Learning: A Probabilistic Perspective, 2012, 14.4.3). A strength costs one Cholesky factorisation of
/// the smaller side, which all labellings share.
final class RidgeSystem {
    let standardiser: Standardiser
    let targets: Int
    private let targetMeans: [Double]
    /// Z'Z or ZZ': lower triangle, column-major [order, order].
    private let matrix: DoubleBuffer
    /// Z'Y or Y: column-major [order, targets].
    private let right: DoubleBuffer
    private let order: Int
    /// Z, [n, d], where the matrix is ZZ'.
    private let rows: DoubleBuffer?
    private let factor: DoubleBuffer

    private var width: Int { standardiser.width }

    /// From sums over at least as many rows as there are features, or over any number of them.
    init(_ sums: FeatureSums) {
        standardiser = sums.standardiser
        targets = sums.targets
        targetMeans = sums.targetMeans
        order = sums.width
        matrix = sums.standardisedGram(standardiser.inverseDeviations)
        right = sums.standardisedCross(standardiser.inverseDeviations)
        rows = nil
        factor = DoubleBuffer(order * order, zeroed: false)
    }

    /// From the rows themselves, which then are all in memory in f64.
    init(_ problem: ProbeProblem, rows range: Range<Int>) {
        MatrixProduct.useOneThread()
        let width = problem.width
        targets = problem.targets
        order = range.count
        standardiser = Standardiser(problem.features, range, width: width)
        let rows = standardiser.apply(problem.features, range)
        matrix = DoubleBuffer(order * order, zeroed: false)
        cblas_dsyrk(
            CblasColMajor, CblasLower, CblasTrans, blasint(order), blasint(width), 1, rows.pointer,
            blasint(width), 0, matrix.pointer, blasint(order))
        let oneHot = DoubleBuffer(order * targets, zeroed: false)
        problem.storeTargets(range, into: oneHot.pointer)
        right = DoubleBuffer(order * targets, zeroed: false)
        var means = [Double](repeating: 0, count: targets)
        for target in 0..<targets {
            for row in 0..<order { means[target] += oneHot.pointer[row * targets + target] }
            means[target] /= Double(order)
            for row in 0..<order {
                right.pointer[target * order + row] =
                    oneHot.pointer[row * targets + target] - means[target]
            }
        }
        targetMeans = means
        self.rows = rows
        factor = DoubleBuffer(order * order, zeroed: false)
    }

    /// Weights of standardised features for the first `columns` targets: column-major [d, columns].
    /// - Returns: false if the factorisation fails.
    func solve(
        _ strength: Double, columns: Int, into weights: UnsafeMutablePointer<Double>
    ) -> Bool {
        for column in 0..<order {
            let place = column * order + column
            (factor.pointer + place).update(from: matrix.pointer + place, count: order - column)
            factor.pointer[place] += strength
        }
        var n = blasint(order)
        var count = blasint(columns)
        var info: blasint = 0
        dpotrf_("L", &n, factor.pointer, &n, &info, 1)
        guard info == 0 else { return false }
        guard let rows else {
            weights.update(from: right.pointer, count: order * columns)
            dpotrs_("L", &n, &count, factor.pointer, &n, weights, &n, &info, 1)
            return info == 0
        }
        let dual = DoubleBuffer(order * columns, zeroed: false)
        dual.pointer.update(from: right.pointer, count: order * columns)
        dpotrs_("L", &n, &count, factor.pointer, &n, dual.pointer, &n, &info, 1)
        guard info == 0 else { return false }
        cblas_dgemm(
            CblasColMajor, CblasNoTrans, CblasNoTrans, blasint(width), count, n, 1, rows.pointer,
            blasint(width), dual.pointer, n, 0, weights, blasint(width))
        return true
    }

    /// Scores of standardised rows, [rows, columns], under weights [d, columns]: one column a target, the
    /// targets in their order, once or several times over.
    func scores(
        _ standardised: DoubleBuffer, rows: Int, weights: UnsafePointer<Double>, columns: Int
    ) -> DoubleBuffer {
        let scores = DoubleBuffer(rows * columns, zeroed: false)
        cblas_dgemm(
            CblasColMajor, CblasTrans, CblasNoTrans, blasint(columns), blasint(rows),
            blasint(width), 1, weights, blasint(width), standardised.pointer, blasint(width), 0,
            scores.pointer, blasint(columns))
        for row in 0..<rows {
            let values = scores.pointer + row * columns
            for column in 0..<columns { values[column] += targetMeans[column % targets] }
        }
        return scores
    }

    /// The classifier on raw features of weights [d, classes] that belong to the targets from `first`.
    func classifier(
        _ weights: UnsafePointer<Double>, classes: Int, firstTarget first: Int
    ) -> LinearClassifier {
        var parameters = [Double](repeating: 0, count: (width + 1) * classes)
        for index in 0..<classes {
            for feature in 0..<width {
                parameters[feature * classes + index] = weights[index * width + feature]
            }
            parameters[width * classes + index] = targetMeans[first + index]
        }
        return standardiser.raw(parameters, classes: classes)
    }
}
