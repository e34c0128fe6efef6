import Foundation
import Tensors

extension RotaryParameters {
    /// `dimension / 2` inverse frequencies, computed in f32 as transformers computes them:
    /// 1 / base^(2i/dimension), then the scaling.
    public var inverseFrequencies: [Float] {
        let plain = (0..<dimension / 2).map { index -> Float in
            1 / powf(Float(base), Float(2 * index) / Float(dimension))
        }
        switch scaling {
        case .none:
            return plain
        case .linear(let factor):
            return plain.map { $0 / Float(factor) }
        case .divisors(let divisors):
            return zip(plain, divisors).map { $0 / $1 }
        case .llama3(let factor, let low, let high, let original):
            // Llama 3.1's rule, by wavelength 2π/f against the original context length.
            return plain.map { frequency in
                let wavelength = 2 * Float.pi / frequency
                if wavelength < Float(original / high) { return frequency }
                if wavelength > Float(original / low) { return frequency / Float(factor) }
                let smooth =
                    (Float(original) / wavelength - Float(low)) / Float(high - low)
                return (1 - smooth) * frequency / Float(factor) + smooth * frequency
            }
        }
    }
}

/// Cosines and sines of every position up to a capacity: two arrays [positions, dimension / 2].
package final class RotaryTable: Sendable {
    package let half: Int
    package let cosine: FloatBuffer
    package let sine: FloatBuffer

    package init(_ parameters: RotaryParameters, positions: Int) {
        let frequencies = parameters.inverseFrequencies
        half = frequencies.count
        cosine = FloatBuffer(count: positions * half)
        sine = FloatBuffer(count: positions * half)
        for position in 0..<positions {
            for (index, frequency) in frequencies.enumerated() {
                let angle = Float(position) * frequency
                cosine.pointer[position * half + index] = cosf(angle)
                sine.pointer[position * half + index] = sinf(angle)
            }
        }
    }
}
