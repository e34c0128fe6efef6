import COpenBLAS
import Foundation
import Tensors

/// Multinomial logistic regression on standardised features, fitted by L-BFGS.
///
/// Minimises Σᵢ -log softmax(Wᵀzᵢ + b)[yᵢ] + (λ/2)‖W‖², intercepts without penalty: scikit-learn's
/// `LogisticRegression(C=1/λ)` behind a `StandardScaler`. Strengths go from strong to weak, each
/// starting where the one before ended.
package struct LogisticProbe {
    package static let strengths: [Double] = [0.1, 1, 10, 100, 1000, 10_000]
    /// The largest gradient component, over the number of rows, at which a fit is done.
    static let tolerance = 1e-5
    static let iterations = 500

    let problem: ProbeProblem
    private let standardiser: Standardiser
    /// Standardised training rows, [rows, width].
    private let rows: DoubleBuffer

    package init(_ problem: ProbeProblem) {
        MatrixProduct.useOneThread()
        self.problem = problem
        standardiser = Standardiser(problem.features, problem.train, width: problem.width)
        rows = standardiser.apply(problem.features, problem.train)
    }

    /// One fit per labelling, with strengths chosen on the validation rows (of equal accuracies the one
    /// with the smaller cross-entropy); the code length of the first labelling.
    package func fits(codeLength: Bool = true) -> [ProbeFit] {
        let p = problem
        let validation = standardiser.apply(p.features, p.validation)
        let test = standardiser.apply(p.features, p.test)
        return (0..<p.labellings).map { labelling in
            var best: (score: ValidationScore, strength: Double, parameters: [Double]) = (
                .worst, 0, []
            )
            var start: [Double]?
            for strength in Self.strengths.reversed() {
                let fit = fit(p.train, labelling: labelling, strength: strength, from: start)
                start = fit.parameters
                let scores = scores(fit.parameters, validation.pointer, p.validation.count)
                let predicted = highest(
                    scores.pointer, rows: p.validation.count, stride: p.classes, from: 0,
                    classes: p.classes)
                let score = ValidationScore(
                    accuracy: p.accuracy(predicted, p.validation, labelling: labelling),
                    loss: p.validation.enumerated().reduce(0) { sum, row in
                        sum
                            + ProbeStatistics.bits(
                                scores.pointer + row.offset * p.classes, p.classes,
                                label: p.labels[labelling][row.element], scale: 1)
                    })
                if score > best.score { best = (score, strength, fit.parameters) }
            }
            return ProbeFit(
                classifier: standardiser.raw(best.parameters, classes: p.classes),
                strength: best.strength, predicted: predict(best.parameters, test, p.test.count),
                codeLength: codeLength && labelling == 0
                    ? self.codeLength(strength: best.strength) : nil)
        }
    }

    /// Parameters [width + 1, classes], row-major, the intercepts last; and the objective there.
    package func fit(
        _ range: Range<Int>, labelling: Int, strength: Double, from start: [Double]? = nil
    ) -> (parameters: [Double], loss: Double) {
        let p = problem
        let size = (p.width + 1) * p.classes
        let scores = DoubleBuffer(range.count * p.classes)
        let features = rows.pointer + (range.lowerBound - p.train.lowerBound) * p.width
        let labels = p.labels[labelling]
        func evaluate(_ x: [Double], _ gradient: inout [Double]) -> Double {
            self.evaluate(
                x, &gradient, features, labels[range], strength: strength, scores: scores.pointer)
        }
        var optimiser = LBFGS(
            start: start ?? Array(repeating: 0, count: size),
            tolerance: Self.tolerance * Double(range.count), iterations: Self.iterations)
        let loss = optimiser.minimise(evaluate)
        return (optimiser.point, loss)
    }

    private func evaluate(
        _ x: [Double], _ gradient: inout [Double], _ features: UnsafePointer<Double>,
        _ labels: ArraySlice<Int>, strength: Double, scores: UnsafeMutablePointer<Double>
    ) -> Double {
        let (width, classes, count) = (problem.width, problem.classes, labels.count)
        var loss = 0.0
        x.withUnsafeBufferPointer { x in
            gradient.withUnsafeMutableBufferPointer { gradient in
                guard let w = x.baseAddress, let g = gradient.baseAddress else { return }
                let intercepts = w + width * classes
                cblas_dgemm(
                    CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(count), blasint(classes),
                    blasint(width), 1, features, blasint(width), w, blasint(classes), 0, scores,
                    blasint(classes))
                let interceptGradient = g + width * classes
                for index in 0..<classes { interceptGradient[index] = 0 }
                for (row, label) in labels.enumerated() {
                    let s = scores + row * classes
                    var top = -Double.infinity
                    for index in 0..<classes {
                        s[index] += intercepts[index]
                        top = max(top, s[index])
                    }
                    var sum = 0.0
                    let wanted = s[label]
                    for index in 0..<classes {
                        s[index] = exp(s[index] - top)
                        sum += s[index]
                    }
                    loss += top + log(sum) - wanted
                    // From here on s holds the derivative: p - y.
                    for index in 0..<classes {
                        s[index] = s[index] / sum - (index == label ? 1 : 0)
                        interceptGradient[index] += s[index]
                    }
                }
                for index in 0..<width * classes {
                    g[index] = strength * w[index]
                    loss += strength / 2 * w[index] * w[index]
                }
                cblas_dgemm(
                    CblasRowMajor, CblasTrans, CblasNoTrans, blasint(width), blasint(classes),
                    blasint(count), 1, features, blasint(width), scores, blasint(classes), 1, g,
                    blasint(classes))
            }
        }
        return loss
    }

    /// [rows, classes] of standardised rows.
    private func scores(
        _ parameters: [Double], _ features: UnsafePointer<Double>, _ count: Int
    ) -> DoubleBuffer {
        let (width, classes) = (problem.width, problem.classes)
        let scores = DoubleBuffer(count * classes)
        for row in 0..<count {
            for index in 0..<classes {
                scores.pointer[row * classes + index] = parameters[width * classes + index]
            }
        }
        cblas_dgemm(
            CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(count), blasint(classes),
            blasint(width), 1, features, blasint(width), parameters, blasint(classes), 1,
            scores.pointer, blasint(classes))
        return scores
    }

    private func predict(_ parameters: [Double], _ features: DoubleBuffer, _ count: Int) -> [Int] {
        let scores = scores(parameters, features.pointer, count)
        return withExtendedLifetime((scores, features)) {
            highest(
                scores.pointer, rows: count, stride: problem.classes, from: 0,
                classes: problem.classes)
        }
    }

    /// Bits of the training labels of the first labelling: the first block with the uniform code, each
    /// further one with a probe fitted, and features standardised, to all blocks before it.
    private func codeLength(strength: Double) -> Double {
        let p = problem
        let borders = ProbeStatistics.blocks(p.train.count, least: 8 * p.classes)
        var bits = Double(borders[0]) * log2(Double(p.classes))
        for (seen, end) in zip(borders, borders.dropFirst()) {
            let first = p.train.lowerBound
            let sent = first..<first + seen
            let next = first + seen..<first + end
            let probe = LogisticProbe(
                ProbeProblem(
                    features: p.features, width: p.width, classes: p.classes,
                    labels: [p.labels[0]], train: sent, validation: next, test: next))
            let fit = probe.fit(sent, labelling: 0, strength: strength)
            let features = probe.standardiser.apply(p.features, next)
            let scores = probe.scores(fit.parameters, features.pointer, next.count)
            withExtendedLifetime((features, scores)) {
                for (place, row) in next.enumerated() {
                    bits += ProbeStatistics.bits(
                        scores.pointer + place * p.classes, p.classes, label: p.labels[0][row],
                        scale: 1)
                }
            }
        }
        return bits
    }
}
