import CKernels
import Foundation
import Tensors

/// Muon (Jordan et al. 2024): momentum, then the nearest semi-orthogonal matrix by five Newton-Schulz
/// iterations. As torch.optim.Muon has it: Nesterov's momentum, m ← μ·m + (1 - μ)·g, update
/// (1 - μ)·g + μ·m, orthogonalised in the smaller dimension, times √max(1, rows/columns); decay is taken off
/// before the step. In f32 (torch: bf16).
struct Muon {
    let momentum: Double
    private static let coefficients: (a: Float, b: Float, c: Float) = (3.4445, -4.7750, 2.0315)

    func step(
        _ parameter: Parameter, momentum m: FloatBuffer, gradient g: FloatBuffer, rate: Double,
        decay: Double
    ) {
        let (rows, columns) = (parameter.rows, parameter.columns)
        let mu = Float(momentum)
        let count = rows * columns
        ScratchPool.shared.withFloats(count) { update in
            for index in 0..<count {
                let mean = m.pointer[index] + (1 - mu) * (g.pointer[index] - m.pointer[index])
                m.pointer[index] = mean
                update[index] = g.pointer[index] + mu * (mean - g.pointer[index])
            }
            Self.orthogonalise(update, rows: rows, columns: columns)
            let ratio = max(1, Double(rows) / Double(columns)).squareRoot()
            let factor = Float(rate * ratio)
            let kept = Float(1 - rate * decay)
            let values = parameter.values.pointer
            for index in 0..<count {
                values[index] = values[index] * kept - factor * update[index]
            }
        }
    }

    /// x ← a·x + (b·A + c·A²)·x with A = x·xᵀ, five times, from x / ‖x‖; wide matrices as they are, tall ones
    /// turned.
    static func orthogonalise(
        _ x: UnsafeMutablePointer<Float>, rows: Int, columns: Int, iterations: Int = 5
    ) {
        let isTall = rows > columns
        let (m, n) = isTall ? (columns, rows) : (rows, columns)
        ScratchPool.shared.withFloats(2 * m * n + 2 * m * m) { scratch in
            let y = scratch
            let next = scratch + m * n
            let gram = scratch + 2 * m * n
            let polynomial = gram + m * m
            if isTall { turn(x, rows, columns, into: y) } else { memcpy(y, x, m * n * 4) }
            let norm = Float(etd_sum_squares(y, m * n).squareRoot())
            etd_scale(y, 1 / max(norm, 1e-7), m * n)
            let (a, b, c) = coefficients
            for _ in 0..<iterations {
                product(y, y, turned: false, m, m, n, into: gram)
                product(gram, gram, turned: true, m, m, m, into: polynomial)
                for index in 0..<m * m {
                    polynomial[index] = b * gram[index] + c * polynomial[index]
                }
                product(polynomial, y, turned: true, m, n, m, into: next)
                for index in 0..<m * n { y[index] = a * y[index] + next[index] }
            }
            if isTall { turn(y, m, n, into: x) } else { memcpy(x, y, m * n * 4) }
        }
    }

    /// out[m, n] = a·bᵀ for b [n, k], or a·b for b [k, n] where `turned`.
    private static func product(
        _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, turned: Bool, _ m: Int, _ n: Int,
        _ k: Int, into out: UnsafeMutablePointer<Float>
    ) {
        LinearGradients.product(
            ProductSide(values: a, stride: k, isTurned: false), rows: m,
            ProductSide(values: b, stride: turned ? n : k, isTurned: turned), columns: n, depth: k,
            adds: false, into: out, in: .f32)
    }

    private static func turn(
        _ x: UnsafePointer<Float>, _ rows: Int, _ columns: Int,
        into out: UnsafeMutablePointer<Float>
    ) {
        for row in 0..<rows {
            for column in 0..<columns { out[column * rows + row] = x[row * columns + column] }
        }
    }
}
