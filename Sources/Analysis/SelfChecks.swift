import Foundation
import Models
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
    static let name = "lens at L equals the plain head's logits, largest difference"
    static let limit = 1e-4
    /// The check holds this many rows of logits at once.
    private static let rowsAtOnce = 16

    static func run(
        model: Transformer, states: UnsafePointer<Float>, rows: Int, lensLogits: FloatBuffer
    ) -> RunRecord.SelfCheck {
        let vocabulary = model.configuration.vocabularySize
        let width = model.configuration.hiddenSize
        let plain = FloatBuffer(count: min(rows, rowsAtOnce) * vocabulary)
        var worst: Float = 0
        for start in stride(from: 0, to: rows, by: rowsAtOnce) {
            let count = min(rowsAtOnce, rows - start)
            model.logits(of: states + start * width, rows: count, into: plain.pointer)
            for index in 0..<count * vocabulary {
                let lens = lensLogits.pointer[start * vocabulary + index]
                // Not max(): a NaN must fail the check, not vanish in a comparison.
                let difference = (plain.pointer[index] - lens).magnitude
                if !(difference <= worst) { worst = difference }
            }
        }
        return RunRecord.SelfCheck(name: name, value: Double(worst), limit: limit)
    }
}
