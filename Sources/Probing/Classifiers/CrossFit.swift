import Foundation
import Tensors

/// Labels and foils of the same rows, and the ways to exchange them.
package struct PairedLabels: Sendable {
    /// Of each row, from 0.
    package var labels: [Int]
    package var foils: [Int]
    /// Rows whose label and foil change places, by swap.
    package var swaps: [[Bool]]

    package init(labels: [Int], foils: [Int], swaps: [[Bool]]) {
        self.labels = labels
        self.foils = foils
        self.swaps = swaps
    }

    /// Swaps drawn by the seed, each row with probability a half: the distribution of label and foil where
    /// nothing tells them apart.
    package init(labels: [Int], foils: [Int], swaps: Int, seed: UInt64) {
        var random = SplitMix64(seed: seed)
        self.init(
            labels: labels, foils: foils,
            swaps: (0..<swaps).map { _ in labels.map { _ in random.next() & 1 == 1 } })
    }
}

/// Cross-fitted log-loss of linear probes of labels and foils at one boundary, under every swap at once.
///
/// Of each fold the other rows are fitted: features standardised over them, ridge regression on one-hot
/// targets, its strength by generalised cross-validation (Golub, Heath and Wahba 1979), for each labelling
/// its own. Scores become probabilities by softmax(τ · score); the τ of a fold is the one that is best on
/// the held-out scores of the other folds, of 0 (no reading at all) and powers of two. One eigendecomposition
/// of Z'Z, or of ZZ' where there are fewer rows than features, serves every strength and labelling.
package struct CrossFit {
    package static let strengths: [Double] = (2...12).map { pow(10, Double($0) / 2) }
    package static let scales: [Double] = [0] + (-1...7).map { pow(2, Double($0)) }

    package struct Result: Sendable, Equatable {
        /// -log2 p of each row's label and foil, from probes fitted to the labels and to the foils.
        package var labelBits: [Double]
        package var foilBits: [Double]
        /// By swap, the mean over rows of the foil's bits less the label's.
        package var swapped: [Double]

        /// The mean of the foil's bits less the label's.
        package var advantage: Double {
            zip(foilBits, labelBits).reduce(0) { $0 + $1.0 - $1.1 }
                / Double(max(1, labelBits.count))
        }
    }

    let features: UnsafePointer<Float>
    let width: Int
    let classes: Int
    /// Rows of each fold.
    let folds: [[Int]]

    /// - Parameters:
    ///   - features: [rows, width].
    ///   - folds: of each row, from 0; two folds or more.
    package init(features: UnsafePointer<Float>, width: Int, classes: Int, folds: [Int]) {
        self.features = features
        self.width = width
        self.classes = classes
        let count = (folds.max() ?? 0) + 1
        var rows = [[Int]](repeating: [], count: count)
        for (row, fold) in folds.enumerated() { rows[fold].append(row) }
        self.folds = rows.filter { !$0.isEmpty }
    }

    /// Gives back what fits keep for the next of the same shape.
    package static func freeMemory() { DoubleBuffer.freeKept() }

    /// - Returns: nil where the features are not finite.
    package func run(_ pairs: PairedLabels) -> Result? {
        let rows = pairs.labels.count
        let labellings = 2 * (pairs.swaps.count + 1)
        let columns = labellings * classes
        let scores = DoubleBuffer(rows * columns, zeroed: false)
        for fold in folds.indices {
            guard fit(fold, pairs, into: scores) else { return nil }
        }
        var label = [Double](repeating: 0, count: rows)
        var foil = label
        var swapped: [Double] = []
        for number in 0..<labellings / 2 {
            let isSwapped = number == 0 ? [] : pairs.swaps[number - 1]
            func truth(_ row: Int, _ isLabel: Bool) -> Int {
                let exchanged = isSwapped.isEmpty ? false : isSwapped[row]
                return isLabel == exchanged ? pairs.foils[row] : pairs.labels[row]
            }
            let own = bits(scores, columns: columns, first: 2 * number * classes) {
                truth($0, true)
            }
            let other = bits(scores, columns: columns, first: (2 * number + 1) * classes) {
                truth($0, false)
            }
            if number == 0 {
                (label, foil) = (own, other)
            } else {
                swapped.append(zip(other, own).reduce(0) { $0 + $1.0 - $1.1 } / Double(rows))
            }
        }
        return Result(labelBits: label, foilBits: foil, swapped: swapped)
    }

    /// Scores of a fold's rows under every labelling, [rows, labellings · classes].
    private func fit(_ fold: Int, _ pairs: PairedLabels, into scores: DoubleBuffer) -> Bool {
        let test = folds[fold]
        let train = folds.indices.filter { $0 != fold }.flatMap { folds[$0] }
        guard let basis = Basis(features, width: width, train: train, test: test) else {
            return false
        }
        let columns = 2 * (pairs.swaps.count + 1) * classes
        var targets = Targets(pairs, rows: train, classes: classes)
        // [rank, columns]: what each direction says of each labelling's classes.
        let right = targets.projected(on: basis)
        for labelling in 0..<columns / classes {
            let first = labelling * classes
            let strength = basis.strength(
                right, columns: columns, first: first, classes: classes,
                variance: targets.variance(labelling), rows: train.count)
            for direction in 0..<basis.rank {
                let factor = 1 / (basis.values[direction] + strength)
                for column in first..<first + classes {
                    right.pointer[direction * columns + column] *= factor
                }
            }
        }
        let out = DoubleBuffer(test.count * columns, zeroed: false)
        DoubleMatrix.product(
            basis.test.pointer, rows: test.count, inner: basis.rank, right.pointer,
            columns: columns, into: out.pointer)
        let means = targets.means
        for (place, row) in test.enumerated() {
            for column in 0..<columns {
                scores.pointer[row * columns + column] =
                    out.pointer[place * columns + column] + means[column]
            }
        }
        return true
    }

    /// -log2 p of each row's class in one labelling.
    private func bits(
        _ scores: DoubleBuffer, columns: Int, first: Int, truth: (Int) -> Int
    ) -> [Double] {
        let rows = folds.reduce(0) { $0 + $1.count }
        let scales = Self.scales
        var all = [Double](repeating: 0, count: rows * scales.count)
        var sums = [[Double]](
            repeating: [Double](repeating: 0, count: scales.count), count: folds.count)
        for (fold, members) in folds.enumerated() {
            for row in members {
                let own = scores.pointer + row * columns + first
                let label = truth(row)
                for (index, scale) in scales.enumerated() {
                    let bits = ProbeStatistics.bits(own, classes, label: label, scale: scale)
                    all[row * scales.count + index] = bits
                    sums[fold][index] += bits
                }
            }
        }
        var chosen = [Double](repeating: 0, count: rows)
        for (fold, members) in folds.enumerated() {
            var best = 0
            var least = Double.infinity
            for index in scales.indices {
                let others = sums.indices.reduce(0) { $0 + ($1 == fold ? 0 : sums[$1][index]) }
                if others < least { (best, least) = (index, others) }
            }
            for row in members { chosen[row] = all[row * scales.count + best] }
        }
        return chosen
    }
}

/// The directions of a fold's training features, ready for any targets and strength.
private struct Basis {
    /// Eigenvalues above rounding, and how many.
    let values: [Double]
    var rank: Int { values.count }
    /// [training rows, rank] and [test rows, rank].
    let train: DoubleBuffer
    let test: DoubleBuffer
    /// Whether the training rows' side was decomposed; else the features'.
    private let isDual: Bool

    init?(_ features: UnsafePointer<Float>, width: Int, train: [Int], test: [Int]) {
        let standardiser = Standardiser(features, train, width: width)
        let own = standardiser.apply(features, train)
        let others = standardiser.apply(features, test)
        isDual = train.count < width
        let order = min(train.count, width)
        let gram = DoubleBuffer(order * order, zeroed: false)
        if isDual {
            DoubleMatrix.rowGram(
                own.pointer, rows: order, width: width, stride: width, into: gram.pointer,
                outStride: order)
        } else {
            DoubleMatrix.columnGram(
                own.pointer, rows: train.count, columns: order, stride: width, into: gram.pointer,
                outStride: order)
        }
        guard let values = DoubleMatrix.eigenvectors(overwriting: gram.pointer, order: order)
        else { return nil }
        // Ascending: the last ones carry the variance.
        let least = 1e-10 * (values.last ?? 0)
        let first = values.firstIndex { $0 > least } ?? order
        self.values = Array(values[first...])
        let rank = order - first
        let vectors = UnsafePointer(gram.pointer + first * order)
        let testSide = DoubleBuffer(test.count * rank, zeroed: false)
        if isDual {
            let trainSide = DoubleBuffer(train.count * rank, zeroed: false)
            for row in 0..<order {
                for index in 0..<rank {
                    trainSide.pointer[row * rank + index] = vectors[index * order + row]
                }
            }
            let kernel = DoubleBuffer(test.count * order, zeroed: false)
            DoubleMatrix.product(
                others.pointer, rows: test.count, inner: width, own.pointer, columns: order,
                transposed: true, into: kernel.pointer)
            DoubleMatrix.product(
                kernel.pointer, rows: test.count, inner: order, vectors, columns: rank,
                transposed: true, into: testSide.pointer)
            self.train = trainSide
        } else {
            let trainSide = DoubleBuffer(train.count * rank, zeroed: false)
            DoubleMatrix.product(
                own.pointer, rows: train.count, inner: width, vectors, columns: rank,
                transposed: true, into: trainSide.pointer)
            DoubleMatrix.product(
                others.pointer, rows: test.count, inner: width, vectors, columns: rank,
                transposed: true, into: testSide.pointer)
            self.train = trainSide
        }
        self.test = testSide
    }

    /// The strength with the least (RSS/n)/(1 - (df + 1)/n)², df = Σ s/(s + α); the centre takes the one
    /// more.
    /// - Parameter variance: Σ of the squares of the centred targets.
    func strength(
        _ right: DoubleBuffer, columns: Int, first: Int, classes: Int, variance: Double, rows: Int
    ) -> Double {
        let squares = values.indices.map { direction in
            let own = right.pointer + direction * columns + first
            var sum = 0.0
            for column in 0..<classes { sum += own[column] * own[column] }
            return isDual ? sum : sum / values[direction]
        }
        var best = (strength: CrossFit.strengths.last ?? 1, score: Double.infinity)
        for strength in CrossFit.strengths.reversed() {
            var explained = 0.0
            var freedom = 1.0
            for (value, square) in zip(values, squares) {
                let left = strength / (value + strength)
                explained += square * (1 - left * left)
                freedom += value / (value + strength)
            }
            let room = 1 - freedom / Double(rows)
            guard room > 0 else { continue }
            let score = max(0, variance - explained) / (room * room)
            if score < best.score { best = (strength, score) }
        }
        return best.strength
    }
}

/// One-hot targets of label and foil under every swap: of labelling 2s the label's, of 2s + 1 the foil's.
private struct Targets {
    private let pairs: PairedLabels
    private let rows: [Int]
    private let classes: Int
    /// Of each labelling's classes over the rows.
    private(set) var means: [Double]

    init(_ pairs: PairedLabels, rows: [Int], classes: Int) {
        self.pairs = pairs
        self.rows = rows
        self.classes = classes
        means = [Double](repeating: 0, count: 2 * (pairs.swaps.count + 1) * classes)
        let share = 1 / Double(rows.count)
        for row in rows {
            for swap in 0...pairs.swaps.count {
                let isSwapped = swap > 0 && pairs.swaps[swap - 1][row]
                let (label, foil) = (pairs.labels[row], pairs.foils[row])
                means[2 * swap * classes + (isSwapped ? foil : label)] += share
                means[(2 * swap + 1) * classes + (isSwapped ? label : foil)] += share
            }
        }
    }

    func variance(_ labelling: Int) -> Double {
        means[labelling * classes..<(labelling + 1) * classes].reduce(0) {
            $0 + Double(rows.count) * $1 * (1 - $1)
        }
    }

    /// Basis' · targets, [rank, labellings · classes]. With a = label + foil and d = label - foil (one-hot) a
    /// swap's label is (a ± d)/2 and its foil (a ∓ d)/2: one product serves both.
    func projected(on basis: Basis) -> DoubleBuffer {
        let swaps = pairs.swaps.count + 1
        let columns = swaps * classes
        let signed = DoubleBuffer(rows.count * (columns + classes))
        for (place, row) in rows.enumerated() {
            let out = signed.pointer + place * (columns + classes)
            let (label, foil) = (pairs.labels[row], pairs.foils[row])
            for swap in 0..<swaps {
                let sign = swap > 0 && pairs.swaps[swap - 1][row] ? -1.0 : 1
                out[swap * classes + label] += sign
                out[swap * classes + foil] -= sign
            }
            out[columns + label] += 1
            out[columns + foil] += 1
        }
        let all = columns + classes
        let product = DoubleBuffer(basis.rank * all, zeroed: false)
        // [rank, rows] · [rows, all]; the training side is stored by rows.
        let turned = DoubleBuffer(basis.rank * rows.count, zeroed: false)
        for row in rows.indices {
            for direction in 0..<basis.rank {
                turned.pointer[direction * rows.count + row] =
                    basis.train.pointer[row * basis.rank + direction]
            }
        }
        DoubleMatrix.product(
            turned.pointer, rows: basis.rank, inner: rows.count, signed.pointer, columns: all,
            into: product.pointer)
        let right = DoubleBuffer(basis.rank * 2 * columns, zeroed: false)
        for direction in 0..<basis.rank {
            let from = product.pointer + direction * all
            let to = right.pointer + direction * 2 * columns
            for swap in 0..<swaps {
                for index in 0..<classes {
                    let (a, d) = (from[columns + index], from[swap * classes + index])
                    to[2 * swap * classes + index] = (a + d) / 2
                    to[(2 * swap + 1) * classes + index] = (a - d) / 2
                }
            }
        }
        return right
    }
}
