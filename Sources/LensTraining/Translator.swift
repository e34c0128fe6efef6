import Analysis
import Corpus
import Foundation
import Models
import Plans
import Tensors

/// A translator while it is trained, in units in which every boundary and dimension looks alike:
/// h + r·(A'·(h ⊘ s) + b'), with s_j the usual size of value j at this boundary and r that of all values.
/// So A = r·A'·diag(1/s) and b = r·b'. It starts at zero: the plain lens.
///
/// Residual streams grow a hundredfold from the first boundary to the last and hold dimensions a thousand
/// times larger than the others (1e5 in Gemma-3); without the units one learning rate would not do for all.
final class Translator: Sendable {
    let width: Int
    let weight: AdamW.Parameter
    let bias: AdamW.Parameter
    /// 1/s, one for each value.
    let inverseScale: FloatBuffer
    /// r.
    let outputScale: Float

    init(inverseScale: FloatBuffer, outputScale: Float) {
        width = inverseScale.count
        weight = AdamW.Parameter(count: width * width)
        bias = AdamW.Parameter(count: width)
        self.inverseScale = inverseScale
        self.outputScale = outputScale
    }

    /// A [d, d] and b [d] in the model's own units.
    var translated: (weight: FloatBuffer, bias: FloatBuffer) {
        let matrix = FloatBuffer(count: width * width)
        let vector = FloatBuffer(count: width)
        for row in 0..<width {
            vector.pointer[row] = outputScale * bias.values.pointer[row]
            for column in 0..<width {
                let place = row * width + column
                matrix.pointer[place] =
                    outputScale * weight.values.pointer[place] * inverseScale.pointer[column]
            }
        }
        return (matrix, vector)
    }
}

/// Samples states at every boundary and finds the usual size of their values: 1.4826 times the median of
/// |h_j|, which is the deviation of a normal distribution and unmoved by the few positions, such as the
/// first, whose states are huge. A tap on `resid`.
final class ScaleTap: Tap {
    private let width: Int
    private let layers: Int
    private let wanted: Int
    private let every: Int
    /// Tokens at the start of the document at hand that were added, not read.
    private var added = 0
    private var samples: [[Float]]
    private(set) var count = 0

    /// - Parameters:
    ///   - wanted: the most positions to sample.
    ///   - every: one of so many positions.
    init(layers: Int, width: Int, wanted: Int = 512, every: Int = 4) {
        self.layers = layers
        self.width = width
        self.wanted = wanted
        self.every = every
        samples = Array(repeating: [], count: layers)
    }

    var isFull: Bool { count >= wanted }

    func wants(_ site: Site) -> Bool { site == .resid }

    func begin(_ document: Document, index: Int) { added = document.addedTokens }

    func observe(_ activation: Activation) {
        if activation.index == layers {
            count = samples[0].count / width
            return
        }
        for position in activation.positions
        where position >= added && position % every == 0
            && samples[activation.index].count < wanted * width
        {
            samples[activation.index] += UnsafeBufferPointer(
                start: activation.row(position), count: width)
        }
    }

    /// A translator at its start for each boundary below the last.
    func translators() -> [Translator] {
        samples.map { values in
            let rows = values.count / width
            let sizes = (0..<width).map { column -> Float in
                let magnitudes = (0..<rows).map { abs(values[$0 * width + column]) }.sorted()
                return rows > 0 ? 1.4826 * magnitudes[rows / 2] : 1
            }
            let whole = (sizes.reduce(0) { $0 + $1 * $1 } / Float(width)).squareRoot()
            let inverse = FloatBuffer(count: width)
            // A dimension that is nearly always silent must not be blown up.
            for column in 0..<width {
                let size = max(sizes[column], 0.1 * whole)
                inverse.pointer[column] = size > 0 ? 1 / size : 1
            }
            return Translator(inverseScale: inverse, outputScale: whole > 0 ? whole : 1)
        }
    }
}
