import CKernels
import Tensors

// A linear map with everything that belongs to it: weight, bias, low-rank adapter. R rows, K inputs, N
// outputs, r rank.

extension Linear {
    var inputs: Int { weight.columns }
    var outputs: Int { weight.rows }
    var trainsAnything: Bool {
        weight.isTrained || bias?.isTrained == true || adapter?.up.isTrained == true
    }

    /// dx[R, K] = gradient in x of this map from that of its output g [R, N], or += where `adds`; gradients
    /// of weight, bias and adapter are added to theirs.
    /// - Parameter x: what went in, [R, K].
    package func backward(
        _ x: UnsafePointer<Float>, gradient g: UnsafePointer<Float>, rows: Int, adds: Bool,
        into dx: UnsafeMutablePointer<Float>, in arithmetic: Arithmetic
    ) {
        LinearGradients.weight(g, rows: rows, x, self, in: arithmetic)
        LinearGradients.input(g, rows: rows, weight, adds: adds, into: dx, in: arithmetic)
        adapter?.backward(x, gradient: g, rows: rows, into: dx, in: arithmetic)
    }
}

extension Adapter {
    var rank: Int { down.rows }

    /// y[R, N] += scale · (x·Aᵀ)·Bᵀ.
    func addForward(
        _ x: UnsafePointer<Float>, rows: Int, into y: UnsafeMutablePointer<Float>,
        in arithmetic: Arithmetic
    ) {
        let outputs = up.rows
        ScratchPool.shared.withFloats(rows * (rank + outputs)) { scratch in
            let added = scratch + rows * rank
            reduced(x, rows, into: scratch, arithmetic)
            MatrixProduct.multiply(
                scratch, rows: rows, in: arithmetic, into: [.init(up.matrix, out: added)])
            Rows.pieces(rows * outputs) { start, length in
                etd_scale(added + start, scale, length)
                etd_add(y + start, added + start, length)
            }
        }
    }

    private func reduced(
        _ x: UnsafePointer<Float>, _ rows: Int, into z: UnsafeMutablePointer<Float>,
        _ arithmetic: Arithmetic
    ) {
        MatrixProduct.multiply(x, rows: rows, in: arithmetic, into: [.init(down.matrix, out: z)])
    }

    /// With z = x·Aᵀ and g scaled: dB += gᵀ·z, dz = g·B, dA += dzᵀ·x, dx += dz·A.
    func backward(
        _ x: UnsafePointer<Float>, gradient g: UnsafePointer<Float>, rows: Int,
        into dx: UnsafeMutablePointer<Float>, in arithmetic: Arithmetic
    ) {
        let outputs = up.rows
        ScratchPool.shared.withFloats(rows * (2 * rank + outputs)) { scratch in
            let (z, dz, scaled) = (scratch, scratch + rows * rank, scratch + 2 * rows * rank)
            reduced(x, rows, into: z, arithmetic)
            Rows.pieces(rows * outputs) { start, length in
                for index in start..<start + length { scaled[index] = g[index] * scale }
            }
            LinearGradients.weight(
                scaled, rows: rows, z, Linear(weight: up, bias: nil), in: arithmetic)
            LinearGradients.input(
                scaled, rows: rows, up, adds: false, into: dz, in: arithmetic)
            LinearGradients.weight(
                dz, rows: rows, x, Linear(weight: down, bias: nil), in: arithmetic)
            LinearGradients.input(dz, rows: rows, down, adds: true, into: dx, in: arithmetic)
        }
    }
}
