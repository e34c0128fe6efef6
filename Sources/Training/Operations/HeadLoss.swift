import CKernels
import Foundation
import Tensors

/// Cross-entropy of the next token and z-loss over the whole vocabulary, with gradients, a block of positions
/// at a time: logits exist for one block only, and become their own gradient in place.
///
/// For a position with logits z, target t and Z = log Σ exp z the loss is (Z - z_t) + c·Z²; its gradient in
/// z is softmax(z)·(1 + 2·c·Z) - onehot(t). R positions, d hidden size, V vocabulary.
package struct HeadLoss {
    let unembedding: Parameter
    /// c.
    let zLoss: Float
    let arithmetic: Arithmetic

    package init(unembedding: Parameter, zLoss: Float, arithmetic: Arithmetic = .f32) {
        self.unembedding = unembedding
        self.zLoss = zLoss
        self.arithmetic = arithmetic
    }

    /// Sums over positions, in f64.
    package struct Sums: Equatable {
        package var crossEntropy = 0.0
        /// Σ Z², without c.
        package var squares = 0.0
        package var count = 0
        /// The first row whose logits are not finite.
        package var nonFiniteRow: Int?
    }

    /// Positions of a block: its logits take at most 64 MiB.
    private var blockRows: Int {
        let most = (16 << 20) / max(1, unembedding.rows)
        return max(16, min(512, most / 16 * 16))
    }

    /// - Parameters:
    ///   - normed: states after the final norm, [rows, d].
    ///   - targets: of each row; below 0 for a row that has no loss.
    ///   - weight: factor of the gradients, 1 over the number of targets in the step.
    ///   - dNormed: receives the gradient [rows, d]; nil computes the loss alone.
    package func run(
        _ normed: UnsafePointer<Float>, rows: Int, targets: UnsafePointer<Int32>, weight: Float,
        dNormed: UnsafeMutablePointer<Float>?
    ) -> Sums {
        var sums = Sums()
        let (vocabulary, width) = (unembedding.rows, unembedding.columns)
        let block = min(blockRows, max(1, rows))
        ScratchPool.shared.withFloats(block * vocabulary) { logits in
            for start in stride(from: 0, to: rows, by: block) {
                let count = min(block, rows - start)
                let x = normed + start * width
                LinearGradients.forward(
                    x, rows: count, into: [(head, logits)], in: arithmetic)
                take(
                    logits, count, targets + start, first: start, weight: weight,
                    gradient: dNormed != nil, into: &sums)
                guard let dNormed else { continue }
                LinearGradients.weight(logits, rows: count, x, head, in: arithmetic)
                LinearGradients.input(
                    logits, rows: count, unembedding, adds: false, into: dNormed + start * width,
                    in: arithmetic)
            }
        }
        return sums
    }

    private var head: Linear { Linear(weight: unembedding, bias: nil) }

    /// Losses of a block's rows; with `gradient`, logits become their gradients.
    private func take(
        _ logits: UnsafeMutablePointer<Float>, _ rows: Int, _ targets: UnsafePointer<Int32>,
        first: Int, weight: Float, gradient: Bool, into sums: inout Sums
    ) {
        let vocabulary = unembedding.rows
        var losses = [(loss: Double, logSum: Double)](repeating: (0, 0), count: rows)
        losses.withUnsafeMutableBufferPointer { losses in
            nonisolated(unsafe) let (losses, logits, targets) = (losses, logits, targets)
            Parallel.forEach(rows) { row in
                let line = logits + row * vocabulary
                let target = Int(targets[row])
                guard target >= 0 else {
                    if gradient { memset(line, 0, vocabulary * 4) }
                    return
                }
                let logSum = etd_log_sum_exp(line, vocabulary)
                losses[row] = (logSum - Double(line[target]), logSum)
                guard gradient else { return }
                let factor = weight * (1 + 2 * zLoss * Float(logSum))
                etd_scaled_exp(line, 1, Float(logSum), factor, vocabulary)
                line[target] -= weight
            }
        }
        for row in 0..<rows where targets[row] >= 0 {
            if !losses[row].loss.isFinite, sums.nonFiniteRow == nil {
                sums.nonFiniteRow = first + row
            }
            sums.crossEntropy += losses[row].loss
            sums.squares += losses[row].logSum * losses[row].logSum
            sums.count += 1
        }
    }
}
