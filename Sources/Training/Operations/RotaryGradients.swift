import CKernels
import Models
import Tensors

/// Rotary embedding of whole sequences that begin at position 0, and its gradient: a rotation by the same
/// angles the other way round (cosines and sines may carry a factor, which both directions have).
package struct TrainingRotary {
    let half: Int
    /// [T, half].
    private let cosine: FloatBuffer
    private let sine: FloatBuffer
    private let negativeSine: FloatBuffer

    package init(_ parameters: RotaryParameters, length: Int) {
        let table = RotaryTable(parameters, positions: length)
        half = table.half
        cosine = table.cosine
        sine = table.sine
        negativeSine = FloatBuffer(count: table.sine.count)
        for index in 0..<sine.count { negativeSine.pointer[index] = -sine.pointer[index] }
    }

    /// Turns rows [B·T, heads, width] of sequences of `length` rows in place; `back` gives the gradient of
    /// what went in from that of what came out.
    package func apply(
        _ x: UnsafeMutablePointer<Float>, rows: Int, length: Int, heads: Int, width: Int, back: Bool
    ) {
        let sine = back ? negativeSine : self.sine
        Rows.forEach(rows) { row in
            let offset = row % length * half
            for head in 0..<heads {
                etd_rotate(
                    x + (row * heads + head) * width, cosine.pointer + offset,
                    sine.pointer + offset, half)
            }
        }
    }
}
