import Foundation
import Models
import Records
import Tensors

/// The largest of a check's differences. A NaN stays: a later number does not overwrite it, and a check
/// passes only where the value is at most its limit, which NaN is not.
struct LargestDifference {
    private(set) var value = 0.0

    mutating func take(_ difference: Double) {
        value = .propagatingMaximum(value, difference)
    }
}

/// Adds up h_0 and every contribution of attention and MLP, and compares with the last state.
/// A tap for one document.
package final class ResidualSumCheck: Tap {
    static let name = "h_0 + Σ contributions = h_L, relative to the row's norm"
    static let limit = 1e-4
    private let width: Int
    private let lastBoundary: Int
    private var sums: [Double] = []
    private var worst = LargestDifference()

    package init(width: Int, boundaries: Int) {
        self.width = width
        lastBoundary = boundaries - 1
    }

    package func wants(_ site: Site) -> Bool {
        site == .resid || site == .attentionOutput || site == .mlpOutput
    }

    package func observe(_ activation: Activation) {
        let count = activation.positions.count * width
        if activation.site == .resid, activation.index < lastBoundary {
            if activation.index == 0 { sums = (0..<count).map { Double(activation.values[$0]) } }
            return
        }
        if activation.site != .resid {
            for index in 0..<count { sums[index] += Double(activation.values[index]) }
            return
        }
        for row in 0..<activation.positions.count {
            var squares = 0.0
            var difference = 0.0
            for index in row * width..<(row + 1) * width {
                let state = Double(activation.values[index])
                squares += state * state
                difference += (state - sums[index]) * (state - sums[index])
            }
            // A row of zeros agrees only with zeros; its ratio to another sum is infinite.
            if squares != 0 || difference != 0 {
                worst.take((difference / squares).squareRoot())
            }
        }
    }

    package var result: RunRecord.SelfCheck {
        RunRecord.SelfCheck(name: Self.name, value: worst.value, limit: Self.limit)
    }
}

/// Compares the lens's logits at the last boundary with the plain head's, which is code of its own.
package enum HeadCheck {
    static let name = "lens at L equals the plain head's logits z, largest |Δz| / max(1, |z|)"
    static let limit = 1e-4
    /// Positions compared, the first of the run: the same code computes every row, and a row of
    /// logits is long.
    static let rows = 32

    /// - Throws: `ModelError.nonFiniteLogit`.
    package static func run(
        model: Transformer, states: UnsafePointer<Float>, rows: Int, lensLogits: FloatBuffer
    ) throws(ModelError) -> RunRecord.SelfCheck {
        let vocabulary = model.configuration.vocabularySize
        let plain = FloatBuffer(count: rows * vocabulary)
        try model.logits(of: states, rows: rows, into: plain.pointer)
        var worst = LargestDifference()
        for index in 0..<rows * vocabulary {
            let logit = plain.pointer[index]
            let difference = (logit - lensLogits.pointer[index]).magnitude
            worst.take(Double(difference / max(1, logit.magnitude)))
        }
        return RunRecord.SelfCheck(name: name, value: worst.value, limit: limit)
    }
}
