import Foundation
import Models
import Plans
import Records
import Tensors

/// Adds up h_0 and every contribution of attention and MLP, and compares with the last state.
/// A tap for one document.
final class ResidualSumCheck: Tap {
    static let name = "h_0 + Σ contributions = h_L, relative to the row's norm"
    static let limit = 1e-4
    private let width: Int
    private let lastBoundary: Int
    private var sums: [Double] = []
    private(set) var worst = 0.0

    init(width: Int, boundaries: Int) {
        self.width = width
        lastBoundary = boundaries - 1
    }

    func wants(_ site: Site) -> Bool {
        site == .resid || site == .attentionOutput || site == .mlpOutput
    }

    func observe(_ activation: Activation) {
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
            if squares > 0 { worst = max(worst, (difference / squares).squareRoot()) }
        }
    }

    var result: RunRecord.SelfCheck {
        RunRecord.SelfCheck(name: Self.name, value: worst, limit: Self.limit)
    }
}

/// Compares the lens's logits at the last boundary with the plain head's, which is code of its own.
enum HeadCheck {
    static let name = "lens at L equals the plain head's logits z, largest |Δz| / max(1, |z|)"
    static let limit = 1e-4
    /// Positions compared, the first of the run: the same code computes every row, and a row of
    /// logits is long.
    static let rows = 32

    static func run(
        model: Transformer, states: UnsafePointer<Float>, rows: Int, lensLogits: FloatBuffer
    ) -> RunRecord.SelfCheck {
        let vocabulary = model.configuration.vocabularySize
        let plain = FloatBuffer(count: rows * vocabulary)
        model.logits(of: states, rows: rows, into: plain.pointer)
        var worst: Float = 0
        for index in 0..<rows * vocabulary {
            let logit = plain.pointer[index]
            // Not max(): a NaN must fail the check, not vanish in a comparison.
            let difference = (logit - lensLogits.pointer[index]).magnitude / max(1, logit.magnitude)
            if !(difference <= worst) { worst = difference }
        }
        return RunRecord.SelfCheck(name: name, value: Double(worst), limit: limit)
    }
}
