import CKernels
import Foundation
import Tensors

/// Token embeddings, times a factor, plus learned positions where the model has them; d hidden size.
package struct TrainingEmbedding {
    /// [V, d].
    let tokens: Parameter
    /// [context, d].
    let positions: Parameter?
    let scale: Float

    package init(tokens: Parameter, positions: Parameter?, scale: Float) {
        self.tokens = tokens
        self.positions = positions
        self.scale = scale
    }

    /// h[B·T, d] of sequences of `length` ids.
    package func forward(_ ids: [Int32], length: Int, into h: UnsafeMutablePointer<Float>) {
        let width = tokens.columns
        Rows.forEach(ids.count) { row in
            let target = h + row * width
            memcpy(target, tokens.values.pointer + Int(ids[row]) * width, width * 4)
            if scale != 1 { etd_scale(target, scale, width) }
            if let positions {
                etd_add(target, positions.values.pointer + row % length * width, width)
            }
        }
    }

    /// Adds the gradients of both tables from that of h. Rows are taken in order; threads share the columns.
    package func backward(_ ids: [Int32], length: Int, gradient dh: UnsafePointer<Float>) {
        let width = tokens.columns
        let step = 64
        nonisolated(unsafe) let dh = dh
        Parallel.forEach((width + step - 1) / step) { index in
            let start = index * step
            let count = min(step, width - start)
            for (row, id) in ids.enumerated() {
                let source = dh + row * width + start
                if let gradient = tokens.gradient {
                    let target = gradient.pointer + Int(id) * width + start
                    for column in 0..<count { target[column] += scale * source[column] }
                }
                if let gradient = positions?.gradient {
                    etd_add(gradient.pointer + row % length * width + start, source, count)
                }
            }
        }
    }
}
