import COpenBLAS
import Foundation
import Tensors

/// Ridge regression on one-hot targets of ±1, in closed form from Gram matrices.
///
/// With z the features standardised over the rows fitted to (mean 0, variance 1, divisor n; a feature
/// without variance is left out), it minimises ‖Y - 1bᵀ - ZW‖² + α‖W‖²; the intercepts b have no
/// penalty. The class is the column with the highest score. That is scikit-learn's
/// `RidgeClassifier(alpha)` behind a `StandardScaler`.
///
/// X'X, X'Y and the sums are gathered in f64 from chunks of rows, so rows are read once per pass and
/// nothing of size [rows, width] exists in f64. Every strength costs one Cholesky factorisation, which
/// all labellings share. One thread: boundaries are what is spread.
package struct RidgeProbe {
    package static let strengths: [Double] = [0.1, 1, 10, 100, 1000, 10_000, 100_000]

    /// The scale of scores in the online code's softmax before there is evidence.
    static let firstScale = 2.0

    let problem: ProbeProblem
    private let moments: Moments
    private let factor: DoubleBuffer
    private let solution: DoubleBuffer

    package init(_ problem: ProbeProblem) {
        self.problem = problem
        moments = Moments(width: problem.width, targets: problem.targets)
        factor = DoubleBuffer(problem.width * problem.width)
        solution = DoubleBuffer(problem.width * problem.targets)
    }

    /// One fit per labelling, with strengths chosen on the validation rows (of equal accuracies the one
    /// with the smaller squared error); the code length of the first labelling.
    package func fits(codeLength: Bool = true) -> [ProbeFit] {
        let p = problem
        gather()
        var best = [ProbeFit?](repeating: nil, count: p.labellings)
        var bestScore = [ValidationScore](repeating: .worst, count: p.labellings)
        for strength in Self.strengths.reversed() {
            guard solve(strength) else { continue }
            let classifiers = (0..<p.labellings).map(classifier)
            let scores = scores(of: p.validation)
            for labelling in 0..<p.labellings {
                let predicted = highest(
                    scores.pointer, rows: p.validation.count, stride: p.targets,
                    from: labelling * p.classes, classes: p.classes)
                let accuracy = p.accuracy(predicted, p.validation, labelling: labelling)
                let score = ValidationScore(
                    accuracy: accuracy, loss: squaredError(scores, p.validation, labelling))
                guard score > bestScore[labelling] else { continue }
                bestScore[labelling] = score
                best[labelling] = ProbeFit(
                    classifier: classifiers[labelling], strength: strength, predicted: [])
            }
        }
        var fits = best.map { fit in
            fit
                ?? ProbeFit(
                    classifier: LinearClassifier(
                        weights: Array(repeating: 0, count: p.width * p.classes),
                        intercepts: Array(repeating: 0, count: p.classes)),
                    strength: Self.strengths[Self.strengths.count - 1], predicted: [])
        }
        for labelling in fits.indices {
            fits[labelling].predicted = Self.predict(
                fits[labelling].classifier, p.features, p.test, width: p.width)
        }
        if codeLength { fits[0].codeLength = self.codeLength(strength: fits[0].strength) }
        return fits
    }

    // MARK: Solving

    /// The classifier of each labelling at one strength; nil if the factorisation fails.
    package func classifiers(strength: Double) -> [LinearClassifier]? {
        gather()
        return solve(strength) ? (0..<problem.labellings).map(classifier) : nil
    }

    private func gather() {
        moments.begin(at: problem.features + problem.train.lowerBound * problem.width)
        moments.add(problem, problem.train)
        moments.prepare()
    }

    /// Factorises the prepared Gram matrix plus `strength` on its diagonal and solves for all targets.
    private func solve(_ strength: Double) -> Bool {
        let width = problem.width
        factor.pointer.update(from: moments.standardised.pointer, count: width * width)
        for index in 0..<width { factor.pointer[index * width + index] += strength }
        solution.pointer.update(from: moments.products.pointer, count: width * problem.targets)
        var n = blasint(width)
        var columns = blasint(problem.targets)
        var info: blasint = 0
        dpotrf_("U", &n, factor.pointer, &n, &info, 1)
        guard info == 0 else { return false }
        dpotrs_("U", &n, &columns, factor.pointer, &n, solution.pointer, &n, &info, 1)
        return info == 0
    }

    /// The last solution's columns of one labelling, turned to raw features.
    private func classifier(_ labelling: Int) -> LinearClassifier {
        let (width, classes) = (problem.width, problem.classes)
        var weights = [Double](repeating: 0, count: width * classes)
        var intercepts = [Double](repeating: 0, count: classes)
        for target in 0..<classes {
            let column = labelling * classes + target
            let w = solution.pointer + column * width
            var intercept = moments.targetMeans[column]
            for feature in 0..<width {
                let weight = w[feature] * moments.inverseDeviations[feature]
                weights[feature * classes + target] = weight
                intercept -= weight * moments.means[feature]
            }
            intercepts[target] = intercept
        }
        return LinearClassifier(weights: weights, intercepts: intercepts)
    }

    /// Scores of rows under the last solution, all targets: [rows, targets].
    private func scores(of rows: Range<Int>) -> DoubleBuffer {
        let (width, targets) = (problem.width, problem.targets)
        let scores = DoubleBuffer(rows.count * targets)
        moments.forChunks(problem.features, rows) { chunk, place, count in
            // The chunk is less the moments' origin: standardise it in place.
            for row in 0..<count {
                let values = chunk + row * width
                for feature in 0..<width {
                    values[feature] =
                        (values[feature] - moments.offsets[feature])
                        * moments.inverseDeviations[feature]
                }
            }
            let out = scores.pointer + (place - rows.lowerBound) * targets
            cblas_dgemm(
                CblasColMajor, CblasTrans, CblasNoTrans, blasint(targets), blasint(count),
                blasint(width), 1, solution.pointer, blasint(width), chunk, blasint(width), 0, out,
                blasint(targets))
            for row in 0..<count {
                for target in 0..<targets {
                    out[row * targets + target] += moments.targetMeans[target]
                }
            }
        }
        return scores
    }

    /// ‖Y - scores‖² over rows, of one labelling.
    private func squaredError(
        _ scores: DoubleBuffer, _ rows: Range<Int>, _ labelling: Int
    ) -> Double {
        var sum = 0.0
        for (place, row) in rows.enumerated() {
            let values = scores.pointer + place * problem.targets + labelling * problem.classes
            for index in 0..<problem.classes {
                let target: Double = index == problem.labels[labelling][row] ? 1 : -1
                sum += (target - values[index]) * (target - values[index])
            }
        }
        return sum
    }

    /// Classes of rows under a classifier on raw features.
    static func predict(
        _ classifier: LinearClassifier, _ features: UnsafePointer<Float>, _ rows: Range<Int>,
        width: Int
    ) -> [Int] {
        let classes = classifier.classes
        var scores = [Double](repeating: 0, count: rows.count * classes)
        for (place, row) in rows.enumerated() {
            let x = features + row * width
            scores.withUnsafeMutableBufferPointer { scores in
                classifier.weights.withUnsafeBufferPointer { weights in
                    guard let out = scores.baseAddress.map({ $0 + place * classes }),
                        let w = weights.baseAddress
                    else { return }
                    for target in 0..<classes { out[target] = classifier.intercepts[target] }
                    for feature in 0..<width {
                        let value = Double(x[feature])
                        for target in 0..<classes {
                            out[target] += value * w[feature * classes + target]
                        }
                    }
                }
            }
        }
        return highest(scores, rows: rows.count, stride: classes, from: 0, classes: classes)
    }

    // MARK: Online code

    /// Bits of the training labels of the first labelling: the first block with the uniform code, each
    /// further one with softmax(τ · scores) of a probe fitted to all blocks before it. τ is
    /// `firstScale` for the first of these and then what would have coded the blocks before best.
    private func codeLength(strength: Double) -> Double {
        let p = problem
        let borders = ProbeStatistics.blocks(p.train.count, least: 8 * p.classes)
        var bits = Double(borders[0]) * log2(Double(p.classes))
        moments.begin(at: p.features + p.train.lowerBound * p.width)
        var start = 0
        var sent: [(scores: DoubleBuffer, rows: Range<Int>)] = []
        for (seen, end) in zip(borders, borders.dropFirst()) {
            moments.add(p, p.train.lowerBound + start..<p.train.lowerBound + seen)
            start = seen
            moments.prepare()
            let rows = p.train.lowerBound + seen..<p.train.lowerBound + end
            guard solve(strength) else {
                bits += Double(rows.count) * log2(Double(p.classes))
                continue
            }
            let scale = sent.isEmpty ? Self.firstScale : Self.bestScale(sent, p)
            let scores = scores(of: rows)
            bits += Self.bits(scores, rows, p, scale)
            sent.append((scores, rows))
        }
        return bits
    }

    private static func bits(
        _ scores: DoubleBuffer, _ rows: Range<Int>, _ p: ProbeProblem, _ scale: Double
    ) -> Double {
        var bits = 0.0
        for (place, row) in rows.enumerated() {
            bits += ProbeStatistics.bits(
                scores.pointer + place * p.targets, p.classes, label: p.labels[0][row], scale: scale
            )
        }
        return bits
    }

    /// Golden-section search over log τ: the code length is convex in τ.
    private static func bestScale(
        _ sent: [(scores: DoubleBuffer, rows: Range<Int>)], _ p: ProbeProblem
    ) -> Double {
        func cost(_ logarithm: Double) -> Double {
            sent.reduce(0) { $0 + bits($1.scores, $1.rows, p, exp(logarithm)) }
        }
        let ratio = (5.0.squareRoot() - 1) / 2
        var (low, high) = (log(0.05), log(50.0))
        var (left, right) = (high - ratio * (high - low), low + ratio * (high - low))
        var (costLeft, costRight) = (cost(left), cost(right))
        for _ in 0..<16 {
            if costLeft < costRight {
                (high, right, costRight) = (right, left, costLeft)
                left = high - ratio * (high - low)
                costLeft = cost(left)
            } else {
                (low, left, costLeft) = (left, right, costRight)
                right = low + ratio * (high - low)
                costRight = cost(right)
            }
        }
        return exp((low + high) / 2)
    }
}

/// Sums over rows: X'X, X'Y and the first moments, in f64, of features less a fixed origin (so that a
/// feature far from zero loses no digits), and what the fit needs of them.
final class Moments {
    private static let chunkRows = 256
    let width: Int
    let targets: Int
    /// Upper triangle, column-major.
    private let gram: DoubleBuffer
    private let cross: DoubleBuffer
    private let chunk: DoubleBuffer
    private let oneHot: DoubleBuffer
    private var sums: [Double]
    private var targetSums: [Double]
    private var origin: [Double]
    private var count = 0.0

    /// The Gram matrix of standardised features: upper triangle, column-major [width, width].
    let standardised: DoubleBuffer
    /// Standardised features times centred targets: column-major [width, targets].
    let products: DoubleBuffer
    private(set) var means: [Double]
    /// Means less the origin.
    private(set) var offsets: [Double]
    /// 1/standard deviation; 0 for a feature without variance.
    private(set) var inverseDeviations: [Double]
    private(set) var targetMeans: [Double]

    init(width: Int, targets: Int) {
        self.width = width
        self.targets = targets
        gram = DoubleBuffer(width * width)
        cross = DoubleBuffer(width * targets)
        chunk = DoubleBuffer(Self.chunkRows * width)
        oneHot = DoubleBuffer(Self.chunkRows * targets)
        standardised = DoubleBuffer(width * width)
        products = DoubleBuffer(width * targets)
        sums = Array(repeating: 0, count: width)
        origin = sums
        means = sums
        offsets = sums
        inverseDeviations = sums
        targetSums = Array(repeating: 0, count: targets)
        targetMeans = targetSums
    }

    /// Forgets all rows; features are taken less the row at `first` from now on.
    func begin(at first: UnsafePointer<Float>) {
        gram.clear()
        cross.clear()
        for index in 0..<width {
            origin[index] = Double(first[index])
            sums[index] = 0
        }
        for index in 0..<targets { targetSums[index] = 0 }
        count = 0
    }

    /// Hands over chunks of rows in f64 less the origin: [count, width].
    func forChunks(
        _ features: UnsafePointer<Float>, _ rows: Range<Int>,
        _ body: (UnsafeMutablePointer<Double>, _ first: Int, _ count: Int) -> Void
    ) {
        for first in stride(from: rows.lowerBound, to: rows.upperBound, by: Self.chunkRows) {
            let count = min(Self.chunkRows, rows.upperBound - first)
            origin.withUnsafeBufferPointer { origin in
                for row in 0..<count {
                    let source = features + (first + row) * width
                    let target = chunk.pointer + row * width
                    for index in 0..<width {
                        target[index] = Double(source[index]) - origin[index]
                    }
                }
            }
            body(chunk.pointer, first, count)
        }
    }

    func add(_ problem: ProbeProblem, _ rows: Range<Int>) {
        MatrixProduct.useOneThread()
        forChunks(problem.features, rows) { chunk, first, count in
            for row in 0..<count {
                let out = oneHot.pointer + row * targets
                for (labelling, labels) in problem.labels.enumerated() {
                    let label = labels[first + row]
                    for index in 0..<problem.classes {
                        out[labelling * problem.classes + index] = index == label ? 1 : -1
                    }
                }
                for index in 0..<targets { targetSums[index] += out[index] }
            }
            sums.withUnsafeMutableBufferPointer { sums in
                for row in 0..<count {
                    let values = chunk + row * width
                    for index in 0..<width { sums[index] += values[index] }
                }
            }
            cblas_dsyrk(
                CblasColMajor, CblasUpper, CblasNoTrans, blasint(width), blasint(count), 1, chunk,
                blasint(width), 1, gram.pointer, blasint(width))
            cblas_dgemm(
                CblasColMajor, CblasNoTrans, CblasTrans, blasint(width), blasint(targets),
                blasint(count), 1, chunk, blasint(width), oneHot.pointer, blasint(targets), 1,
                cross.pointer, blasint(width))
            self.count += Double(count)
        }
    }

    /// Makes `standardised`, `products` and the moments of the rows added so far.
    func prepare() {
        for index in 0..<width {
            offsets[index] = sums[index] / count
            means[index] = origin[index] + offsets[index]
            let square = gram.pointer[index * width + index] / count
            let variance = square - offsets[index] * offsets[index]
            // Below the rounding of the difference there is no variance.
            let isConstant = variance <= 1e-12 * square || variance <= 0
            inverseDeviations[index] = isConstant ? 0 : 1 / variance.squareRoot()
        }
        for index in 0..<targets { targetMeans[index] = targetSums[index] / count }
        for column in 0..<width {
            let source = gram.pointer + column * width
            let out = standardised.pointer + column * width
            let (offset, inverse) = (offsets[column] * count, inverseDeviations[column])
            offsets.withUnsafeBufferPointer { offsets in
                inverseDeviations.withUnsafeBufferPointer { inverses in
                    for row in 0...column {
                        out[row] = (source[row] - offsets[row] * offset) * inverses[row] * inverse
                    }
                }
            }
        }
        for target in 0..<targets {
            let source = cross.pointer + target * width
            let out = products.pointer + target * width
            for row in 0..<width {
                out[row] =
                    (source[row] - offsets[row] * targetSums[target]) * inverseDeviations[row]
            }
        }
    }
}
