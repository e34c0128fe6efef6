import COpenBLAS
import Tensors

/// Means and central second moments over rows, in f64: Σ(x - x̄)(x - x̄)', Σ(x - x̄)(y - ȳ)' and the means.
/// Y is one-hot with ±1, a column per class and labelling.
///
/// Each chunk of rows is taken about its own mean and joined to what is there by the pairwise formula of
/// Chan, Golub and LeVeque (Updating Formulae and a Pairwise Algorithm for Computing Sample Variances,
/// 1979): with δ the difference of the two means, M = M_a + M_b + n_a·n_b/(n_a + n_b)·δδ'. So neither a
/// feature far from zero nor a row far from the others costs digits, and nothing of size [rows, width]
/// exists in f64.
final class FeatureSums {
    private static let chunkRows = 256

    let width: Int
    let targets: Int
    /// Of features about their means: lower triangle, column-major [width, width].
    private let gram: DoubleBuffer
    /// Of features and targets about their means: column-major [width, targets].
    private let cross: DoubleBuffer
    private var means: [Double]
    private(set) var targetMeans: [Double]
    private var count = 0.0

    /// No rows yet.
    init(width: Int, targets: Int) {
        self.width = width
        self.targets = targets
        gram = DoubleBuffer(width * width)
        cross = DoubleBuffer(width * targets)
        means = Array(repeating: 0, count: width)
        targetMeans = Array(repeating: 0, count: targets)
    }

    /// What has been added so far, which further rows no longer change.
    init(copying other: FeatureSums) {
        width = other.width
        targets = other.targets
        gram = DoubleBuffer(copying: other.gram)
        cross = DoubleBuffer(copying: other.cross)
        means = other.means
        targetMeans = other.targetMeans
        count = other.count
    }

    func add(_ problem: ProbeProblem, _ rows: Range<Int>) {
        MatrixProduct.useOneThread()
        let chunkRows = min(Self.chunkRows, rows.count)
        let chunk = DoubleBuffer(chunkRows * width, zeroed: false)
        let oneHot = DoubleBuffer(chunkRows * targets, zeroed: false)
        for first in stride(from: rows.lowerBound, to: rows.upperBound, by: Self.chunkRows) {
            let count = min(Self.chunkRows, rows.upperBound - first)
            let source = problem.features + first * width
            for index in 0..<count * width { chunk.pointer[index] = Double(source[index]) }
            problem.storeTargets(first..<first + count, into: oneHot.pointer)
            let chunkMeans = Self.centre(chunk.pointer, rows: count, width: width)
            let chunkTargetMeans = Self.centre(oneHot.pointer, rows: count, width: targets)
            cblas_dsyrk(
                CblasColMajor, CblasLower, CblasNoTrans, blasint(width), blasint(count), 1,
                chunk.pointer, blasint(width), 1, gram.pointer, blasint(width))
            cblas_dgemm(
                CblasColMajor, CblasNoTrans, CblasTrans, blasint(width), blasint(targets),
                blasint(count), 1, chunk.pointer, blasint(width), oneHot.pointer,
                blasint(targets), 1, cross.pointer, blasint(width))
            join(means: chunkMeans, targetMeans: chunkTargetMeans, count: Double(count))
        }
    }

    /// Takes the means off rows [rows, width] and gives them.
    private static func centre(
        _ values: UnsafeMutablePointer<Double>, rows: Int, width: Int
    ) -> [Double] {
        var means = [Double](repeating: 0, count: width)
        means.withUnsafeMutableBufferPointer { means in
            for row in 0..<rows {
                for index in 0..<width { means[index] += values[row * width + index] }
            }
            for index in 0..<width { means[index] /= Double(rows) }
            for row in 0..<rows {
                for index in 0..<width { values[row * width + index] -= means[index] }
            }
        }
        return means
    }

    /// Moves the means to those of all rows, `count` of which are new, and adds what the second moments
    /// gain by it.
    private func join(means newMeans: [Double], targetMeans newTargets: [Double], count: Double) {
        let total = self.count + count
        let offsets = zip(newMeans, means).map { $0 - $1 }
        let targetOffsets = zip(newTargets, targetMeans).map { $0 - $1 }
        if self.count > 0 {
            let factor = self.count * count / total
            cblas_dsyr(
                CblasColMajor, CblasLower, blasint(width), factor, offsets, 1, gram.pointer,
                blasint(width))
            cblas_dger(
                CblasColMajor, blasint(width), blasint(targets), factor, offsets, 1,
                targetOffsets, 1, cross.pointer, blasint(width))
        }
        let share = count / total
        for index in means.indices { means[index] += share * offsets[index] }
        for index in targetMeans.indices { targetMeans[index] += share * targetOffsets[index] }
        self.count = total
    }

    /// The moments of the rows added so far.
    var standardiser: Standardiser {
        Standardiser(
            means: means, squares: (0..<width).map { gram.pointer[$0 * width + $0] }, count: count)
    }

    /// The Gram matrix of standardised features: lower triangle, column-major [width, width].
    func standardisedGram(_ inverses: [Double]) -> DoubleBuffer {
        let out = DoubleBuffer(width * width, zeroed: false)
        inverses.withUnsafeBufferPointer { inverses in
            for column in 0..<width {
                let source = gram.pointer + column * width
                let target = out.pointer + column * width
                let inverse = inverses[column]
                for row in column..<width {
                    target[row] = source[row] * inverses[row] * inverse
                }
            }
        }
        return out
    }

    /// Standardised features times centred targets: column-major [width, targets].
    func standardisedCross(_ inverses: [Double]) -> DoubleBuffer {
        let out = DoubleBuffer(width * targets, zeroed: false)
        for target in 0..<targets {
            for row in 0..<width {
                let place = target * width + row
                out.pointer[place] = cross.pointer[place] * inverses[row]
            }
        }
        return out
    }
}
