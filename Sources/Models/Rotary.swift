import Foundation
import Tensors

/// Cosines and sines of every position up to a capacity: two arrays [positions, dimension / 2].
package final class RotaryTable: Sendable {
    package let half: Int
    package let cosine: FloatBuffer
    package let sine: FloatBuffer
    private let parameters: RotaryParameters

    /// A table for a text of `positions` positions.
    package init(_ parameters: RotaryParameters, positions: Int) {
        self.parameters = parameters
        half = parameters.dimension / 2
        cosine = FloatBuffer(count: positions * half)
        sine = FloatBuffer(count: positions * half)
        fill(0..<positions, length: positions)
    }

    /// Computes `positions` again where the frequencies depend on the text's length, which is now
    /// `length`. Keys that already stand in a slot stay turned as they were, as in transformers.
    package func update(_ positions: Range<Int>, length: Int) {
        if parameters.dependsOnLength { fill(positions, length: length) }
    }

    private func fill(_ positions: Range<Int>, length: Int) {
        let factor = Float(parameters.attentionFactor)
        let frequencies = parameters.inverseFrequencies(length: length)
        for position in positions {
            for (index, frequency) in frequencies.enumerated() {
                let angle = Float(position) * frequency
                cosine.pointer[position * half + index] = cosf(angle) * factor
                sine.pointer[position * half + index] = sinf(angle) * factor
            }
        }
    }
}
