import COpenBLAS
import Tensors

/// Sums over rows: X'X, X'Y and the first moments, in f64, of features less a fixed origin, so that a
/// feature far from zero loses no digits. Y is one-hot with ±1, a column per class and labelling.
///
/// Rows are read in chunks, so nothing of size [rows, width] exists in f64.
final class FeatureSums {
    private static let chunkRows = 256

    let width: Int
    let targets: Int
    /// Lower triangle, column-major [width, width].
    let gram: DoubleBuffer
    /// Column-major [width, targets].
    let cross: DoubleBuffer
    private(set) var origin: [Double]
    private(set) var sums: [Double]
    private(set) var targetSums: [Double]
    private(set) var count = 0.0

    /// No rows yet; features will be taken less the row at `origin`.
    init(width: Int, targets: Int, origin: UnsafePointer<Float>) {
        self.width = width
        self.targets = targets
        gram = DoubleBuffer(width * width)
        cross = DoubleBuffer(width * targets)
        self.origin = (0..<width).map { Double(origin[$0]) }
        sums = Array(repeating: 0, count: width)
        targetSums = Array(repeating: 0, count: targets)
    }

    /// What has been added so far, which further rows no longer change.
    init(copying other: FeatureSums) {
        width = other.width
        targets = other.targets
        gram = DoubleBuffer(copying: other.gram)
        cross = DoubleBuffer(copying: other.cross)
        origin = other.origin
        sums = other.sums
        targetSums = other.targetSums
        count = other.count
    }

    func add(_ problem: ProbeProblem, _ rows: Range<Int>) {
        MatrixProduct.useOneThread()
        let chunkRows = min(Self.chunkRows, rows.count)
        let chunk = DoubleBuffer(chunkRows * width, zeroed: false)
        let oneHot = DoubleBuffer(chunkRows * targets, zeroed: false)
        for first in stride(from: rows.lowerBound, to: rows.upperBound, by: Self.chunkRows) {
            let count = min(Self.chunkRows, rows.upperBound - first)
            read(problem.features + first * width, count, into: chunk.pointer)
            problem.storeTargets(first..<first + count, into: oneHot.pointer)
            for row in 0..<count {
                for index in 0..<targets {
                    targetSums[index] += oneHot.pointer[row * targets + index]
                }
            }
            cblas_dsyrk(
                CblasColMajor, CblasLower, CblasNoTrans, blasint(width), blasint(count), 1,
                chunk.pointer, blasint(width), 1, gram.pointer, blasint(width))
            cblas_dgemm(
                CblasColMajor, CblasNoTrans, CblasTrans, blasint(width), blasint(targets),
                blasint(count), 1, chunk.pointer, blasint(width), oneHot.pointer,
                blasint(targets), 1, cross.pointer, blasint(width))
            self.count += Double(count)
        }
    }

    /// Rows less the origin, [count, width], and their sums.
    private func read(
        _ features: UnsafePointer<Float>, _ count: Int, into out: UnsafeMutablePointer<Double>
    ) {
        origin.withUnsafeBufferPointer { origin in
            sums.withUnsafeMutableBufferPointer { sums in
                for row in 0..<count {
                    let (source, target) = (features + row * width, out + row * width)
                    for index in 0..<width {
                        let value = Double(source[index]) - origin[index]
                        target[index] = value
                        sums[index] += value
                    }
                }
            }
        }
    }

    /// The moments of the rows added so far.
    var standardiser: Standardiser {
        let offsets = sums.map { $0 / count }
        return Standardiser(
            means: zip(origin, offsets).map(+),
            inverseDeviations: offsets.indices.map { index in
                let square = gram.pointer[index * width + index] / count
                let variance = square - offsets[index] * offsets[index]
                // Below the rounding of the difference there is no variance.
                return variance <= 1e-12 * square || variance <= 0 ? 0 : 1 / variance.squareRoot()
            })
    }

    /// The Gram matrix of standardised features: lower triangle, column-major [width, width].
    func standardisedGram(_ inverses: [Double]) -> DoubleBuffer {
        let out = DoubleBuffer(width * width, zeroed: false)
        sums.withUnsafeBufferPointer { sums in
            inverses.withUnsafeBufferPointer { inverses in
                for column in 0..<width {
                    let source = gram.pointer + column * width
                    let target = out.pointer + column * width
                    let (offset, inverse) = (sums[column] / count, inverses[column])
                    for row in column..<width {
                        target[row] = (source[row] - sums[row] * offset) * inverses[row] * inverse
                    }
                }
            }
        }
        return out
    }

    /// Standardised features times centred targets: column-major [width, targets].
    func standardisedCross(_ inverses: [Double]) -> DoubleBuffer {
        let out = DoubleBuffer(width * targets, zeroed: false)
        for target in 0..<targets {
            let mean = targetSums[target] / count
            for row in 0..<width {
                let place = target * width + row
                out.pointer[place] = (cross.pointer[place] - sums[row] * mean) * inverses[row]
            }
        }
        return out
    }
}
