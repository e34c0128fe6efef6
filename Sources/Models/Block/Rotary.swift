import Foundation
import Tensors

/// Cosines and sines of positions from 0 on: two arrays [positions, dimension / 2].
package final class RotaryTable: @unchecked Sendable {
    package let half: Int
    package private(set) var cosine = FloatBuffer(count: 0)
    package private(set) var sine = FloatBuffer(count: 0)
    private let parameters: RotaryParameters
    private var count = 0

    /// A table for a text of `positions` positions.
    package init(_ parameters: RotaryParameters, positions: Int) {
        self.parameters = parameters
        half = parameters.dimension / 2
        prepare(0..<positions, textLength: positions)
    }

    /// Makes sure of `positions`. Where the frequencies depend on the text's length, which is now
    /// `textLength`, these are computed again; keys that a cache holds stay turned as they were, as in
    /// transformers.
    package func prepare(_ positions: Range<Int>, textLength: Int) {
        if positions.upperBound > count { grow(to: positions.upperBound, textLength) }
        if parameters.dependsOnLength { fill(positions, textLength) }
    }

    private func grow(to needed: Int, _ textLength: Int) {
        let (old, held) = ((cosine, sine), count)
        count = max(needed, 2 * held)
        cosine = FloatBuffer(count: count * half)
        sine = FloatBuffer(count: count * half)
        memcpy(cosine.pointer, old.0.pointer, held * half * 4)
        memcpy(sine.pointer, old.1.pointer, held * half * 4)
        fill(held..<count, textLength)
    }

    private func fill(_ positions: Range<Int>, _ textLength: Int) {
        let factor = Float(parameters.attentionFactor)
        let frequencies = parameters.inverseFrequencies(length: textLength)
        for position in positions {
            for (index, frequency) in frequencies.enumerated() {
                let angle = Float(position) * frequency
                cosine.pointer[position * half + index] = cosf(angle) * factor
                sine.pointer[position * half + index] = sinf(angle) * factor
            }
        }
    }
}
