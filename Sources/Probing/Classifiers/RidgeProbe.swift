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
/// X'X, X'Y and the sums are gathered in f64 from chunks of rows; every strength costs one Cholesky
/// factorisation, which all labellings share (`RidgeSystem`). One thread: boundaries are what is spread.
package struct RidgeProbe {
    package static let strengths: [Double] = [0.1, 1, 10, 100, 1000, 10_000, 100_000]

    /// The scale of scores in the online code's softmax before there is evidence.
    static let firstScale = 2.0

    let problem: ProbeProblem

    package init(_ problem: ProbeProblem) { self.problem = problem }

    /// One fit per labelling, with strengths chosen on the validation rows (of equal accuracies the one
    /// with the smaller squared error, then the stronger); the code length of the first labelling.
    package func fits(codeLength: Bool = true) -> [ProbeFit] {
        let p = problem
        let borders = ProbeStatistics.blocks(p.train.count, least: 8 * p.classes)
        let systems = Systems(p, borders: codeLength ? borders : [p.train.count])
        let system = systems.whole
        let strengths = Self.strengths.reversed().map(\.self)
        let columns = strengths.count * p.targets
        let weights = DoubleBuffer(p.width * columns, zeroed: false)
        let solved = strengths.indices.map { index in
            system.solve(
                strengths[index], columns: p.targets,
                into: weights.pointer + index * p.targets * p.width)
        }
        // A failed factorisation leaves nothing that may be scored.
        for index in strengths.indices where !solved[index] {
            (weights.pointer + index * p.targets * p.width).update(
                repeating: 0, count: p.targets * p.width)
        }
        let chosen = choose(system, weights, columns: columns, solved)
        // Each labelling's chosen columns beside each other, in the order of the targets.
        let best = DoubleBuffer(p.width * p.targets)
        let size = p.width * p.classes
        for (labelling, index) in chosen.enumerated() {
            guard let index else { continue }
            (best.pointer + labelling * size).update(
                from: weights.pointer + index * p.targets * p.width + labelling * size, count: size)
        }
        let test = system.standardiser.apply(p.features, p.test)
        let scores = system.scores(
            test, rows: p.test.count, weights: best.pointer, columns: p.targets)
        var fits = chosen.indices.map { labelling in
            ProbeFit(
                classifier: system.classifier(
                    best.pointer + labelling * size, classes: p.classes,
                    firstTarget: labelling * p.classes),
                strength: strengths[chosen[labelling] ?? 0],
                predicted: highest(
                    scores.pointer, rows: p.test.count, stride: p.targets,
                    from: labelling * p.classes, classes: p.classes))
        }
        if codeLength {
            fits[0].codeLength = self.codeLength(
                strength: fits[0].strength, borders: borders, systems)
        }
        return fits
    }

    /// For each labelling the place of the strength that does best on the validation rows; nil where
    /// none could be solved.
    private func choose(
        _ system: RidgeSystem, _ weights: DoubleBuffer, columns: Int, _ solved: [Bool]
    ) -> [Int?] {
        let p = problem
        let validation = system.standardiser.apply(p.features, p.validation)
        let scores = system.scores(
            validation, rows: p.validation.count, weights: weights.pointer, columns: columns)
        return (0..<p.labellings).map { labelling in
            var best: (score: ValidationScore, index: Int?) = (.worst, nil)
            for index in solved.indices where solved[index] {
                let first = index * p.targets + labelling * p.classes
                let predicted = highest(
                    scores.pointer, rows: p.validation.count, stride: columns, from: first,
                    classes: p.classes)
                let score = ValidationScore(
                    accuracy: p.accuracy(predicted, p.validation, labelling: labelling),
                    loss: squaredError(scores.pointer + first, stride: columns, labelling))
                if score > best.score { best = (score, index) }
            }
            return best.index
        }
    }

    /// ‖Y - scores‖² over the validation rows, of one labelling.
    private func squaredError(
        _ scores: UnsafePointer<Double>, stride: Int, _ labelling: Int
    ) -> Double {
        let labels = problem.labels[labelling]
        var sum = 0.0
        for (place, row) in problem.validation.enumerated() {
            let values = scores + place * stride
            for index in 0..<problem.classes {
                let target: Double = index == labels[row] ? 1 : -1
                sum += (target - values[index]) * (target - values[index])
            }
        }
        return sum
    }

    /// The classifier of each labelling at one strength; nil if the factorisation fails.
    package func classifiers(strength: Double) -> [LinearClassifier]? {
        let p = problem
        let system = Systems(p, borders: [p.train.count]).whole
        let weights = DoubleBuffer(p.width * p.targets)
        guard system.solve(strength, columns: p.targets, into: weights.pointer) else { return nil }
        return (0..<p.labellings).map { labelling in
            system.classifier(
                weights.pointer + labelling * p.classes * p.width, classes: p.classes,
                firstTarget: labelling * p.classes)
        }
    }

    // MARK: Online code

    /// Bits of the training labels of the first labelling: the first block with the uniform code, each
    /// further one with softmax(τ · scores) of a probe fitted to all blocks before it. τ is
    /// `firstScale` for the first of these and then what would have coded the blocks before best.
    private func codeLength(strength: Double, borders: [Int], _ systems: Systems) -> Double {
        let p = problem
        let weights = DoubleBuffer(p.width * p.classes)
        var bits = Double(borders[0]) * log2(Double(p.classes))
        var sent: [(scores: DoubleBuffer, rows: Range<Int>)] = []
        for (index, (seen, end)) in zip(borders, borders.dropFirst()).enumerated() {
            let rows = p.train.lowerBound + seen..<p.train.lowerBound + end
            let system = systems.system(index)
            guard system.solve(strength, columns: p.classes, into: weights.pointer) else {
                bits += Double(rows.count) * log2(Double(p.classes))
                continue
            }
            let scale = sent.isEmpty ? Self.firstScale : Self.bestScale(sent, p)
            let features = system.standardiser.apply(p.features, rows)
            let scores = system.scores(
                features, rows: rows.count, weights: weights.pointer, columns: p.classes)
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
                scores.pointer + place * p.classes, p.classes, label: p.labels[0][row], scale: scale
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

/// The systems of a problem's training rows up to each of several borders, from one pass over the rows.
private struct Systems {
    private let problem: ProbeProblem
    private let borders: [Int]
    /// Sums up to a border, where there are at least as many rows as features.
    private let sums: [Int: FeatureSums]
    /// Of all training rows.
    let whole: RidgeSystem

    init(_ problem: ProbeProblem, borders: [Int]) {
        self.problem = problem
        self.borders = borders
        let train = problem.train
        var sums: [Int: FeatureSums] = [:]
        if train.count < problem.width {
            whole = RidgeSystem(problem, rows: train)
        } else {
            let running = FeatureSums(width: problem.width, targets: problem.targets)
            var start = train.lowerBound
            for border in borders where border >= problem.width {
                let end = train.lowerBound + border
                running.add(problem, start..<end)
                start = end
                if end < train.upperBound { sums[border] = FeatureSums(copying: running) }
            }
            whole = RidgeSystem(running)
        }
        self.sums = sums
    }

    /// Of the rows before border `index`.
    func system(_ index: Int) -> RidgeSystem {
        if let sums = sums[borders[index]] { return RidgeSystem(sums) }
        let first = problem.train.lowerBound
        return RidgeSystem(problem, rows: first..<first + borders[index])
    }
}
