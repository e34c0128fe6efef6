import Foundation
import Models
import Tensors

/// A translator while it is trained, in units in which every boundary and direction looks alike:
/// h + r·(A'·x + b') with x = P·(h - μ). So A = r·A'·P and b = r·b' - A·μ. It starts at zero: the plain
/// lens.
///
/// μ and P make what comes in uncorrelated and of like size, r is the usual size of a state's values.
/// Residual streams grow a hundredfold from the first boundary to the last, have a large mean, and vary a
/// thousand times more in some directions than in others (1e5 in Gemma-3); without the units no learning
/// rate would do for all.
final class Translator: Sendable {
    let width: Int
    let weight: AdamW.Parameter
    let bias: AdamW.Parameter
    /// μ [d].
    let centre: FloatBuffer
    /// P [d, d].
    let basis: FloatBuffer
    /// r.
    let outputScale: Float

    init(centre: FloatBuffer, basis: FloatBuffer, outputScale: Float) {
        width = centre.count
        weight = AdamW.Parameter(count: width * width)
        bias = AdamW.Parameter(count: width)
        self.centre = centre
        self.basis = basis
        self.outputScale = outputScale
    }

    /// x = P·(h - μ) of rows h [rows, d].
    func inputs(
        _ states: UnsafePointer<Float>, rows: Int, into x: UnsafeMutablePointer<Float>
    ) {
        let width = self.width
        nonisolated(unsafe) let states = states
        ScratchPool.shared.withFloats(rows * width) { centred in
            nonisolated(unsafe) let centred = centred
            let mean = centre.pointer
            Parallel.forEach(rows) { row in
                for index in 0..<width {
                    centred[row * width + index] = states[row * width + index] - mean[index]
                }
            }
            MatrixProduct.multiply(
                centred, rows: rows, by: basis.matrix(rows: width, columns: width), into: x)
        }
    }

    /// A [d, d] and b [d] in the model's own units.
    var translated: (weight: FloatBuffer, bias: FloatBuffer) {
        let matrix = FloatBuffer(count: width * width)
        let vector = FloatBuffer(count: width)
        // A = (r·A')·P: P's rows are the terms of the sum, so it is multiplied turned.
        let turned = FloatBuffer(count: width * width)
        for row in 0..<width {
            for column in 0..<width {
                turned.pointer[column * width + row] = basis.pointer[row * width + column]
            }
        }
        MatrixProduct.multiply(
            weight.values.pointer, rows: width, by: turned.matrix(rows: width, columns: width),
            into: matrix.pointer)
        for row in 0..<width {
            var shift = 0.0
            for column in 0..<width {
                let place = row * width + column
                matrix.pointer[place] *= outputScale
                shift += Double(matrix.pointer[place]) * Double(centre.pointer[column])
            }
            vector.pointer[row] = Float(
                Double(outputScale) * Double(bias.values.pointer[row]) - shift)
        }
        return (matrix, vector)
    }
}

/// Samples states at every boundary and finds the translators' units from them. A tap on `resid`.
///
/// μ is the median of each value. Of the covariance about μ the sample's rows count at most with the
/// median length, since the few states that are huge (the first position's, above all) would hide the
/// others. With eigenvalues λ and eigenvectors U of it, P = (λ + m)^-½·Uᵀ, m the median eigenvalue: what
/// varies less than m is not blown up. r is the root mean square over values of 1.4826 times the median of
/// |h_j|, which for a normal distribution is its deviation.
final class UnitsTap: Tap {
    private let width: Int
    private let layers: Int
    private let wanted: Int
    /// Tokens at the start of the document at hand that were added, not read.
    var added = 0
    private var samples: [[Float]]

    /// One of so many positions is sampled.
    private static let every = 2

    init(layers: Int, width: Int) {
        self.layers = layers
        self.width = width
        wanted = max(512, 2 * width)
        samples = Array(repeating: [], count: layers)
    }

    var isFull: Bool { samples[layers - 1].count >= wanted * width }

    func wants(_ site: Site) -> Bool { site == .resid }

    func observe(_ activation: Activation) {
        guard activation.index < layers else { return }
        for position in activation.positions
        where position >= added && position % Self.every == 0
            && samples[activation.index].count < wanted * width
        {
            samples[activation.index] += UnsafeBufferPointer(
                start: activation.row(position), count: width)
        }
    }

    /// A translator at its start for each boundary below the last.
    func translators() -> [Translator] {
        let made = Slots(count: layers)
        let samples = self.samples
        Parallel.forEach(layers) { made.set($0, self.translator(samples[$0])) }
        return made.values
    }

    private func translator(_ values: [Float]) -> Translator {
        let rows = values.count / width
        let centre = FloatBuffer(count: width)
        let basis = FloatBuffer(count: width * width)
        var squares = 0.0
        for column in 0..<width {
            let sorted = (0..<rows).map { values[$0 * width + column] }.sorted()
            centre.pointer[column] = sorted.isEmpty ? 0 : sorted[rows / 2]
            let sizes = sorted.map(\.magnitude).sorted()
            let size = 1.4826 * Double(sizes.isEmpty ? 0 : sizes[rows / 2])
            squares += size * size
        }
        let scale = Float((squares / Double(width)).squareRoot())
        var centred = (0..<rows * width).map {
            Double(values[$0]) - Double(centre.pointer[$0 % width])
        }
        let lengths = (0..<rows).map { row in
            centred[row * width..<(row + 1) * width].reduce(0) { $0 + $1 * $1 }.squareRoot()
        }
        let usual = lengths.sorted().dropFirst(rows / 2).first ?? 0
        for row in 0..<rows where lengths[row] > usual {
            for index in row * width..<(row + 1) * width {
                centred[index] *= usual / lengths[row]
            }
        }
        var gram = [Double](repeating: 0, count: width * width)
        if rows > 0 {
            DoubleMatrix.columnGram(
                centred, rows: rows, columns: width, stride: width, into: &gram, outStride: width)
        }
        for index in gram.indices { gram[index] /= Double(max(1, rows)) }
        // Units that cannot be found are 1: training is slower then, not wrong.
        if let values = DoubleMatrix.eigenvectors(overwriting: &gram, order: width),
            values[width / 2] > 0
        {
            for row in 0..<width {
                let factor = 1 / (max(0, values[row]) + values[width / 2]).squareRoot()
                for column in 0..<width {
                    basis.pointer[row * width + column] = Float(factor * gram[row * width + column])
                }
            }
        } else {
            for row in 0..<width {
                basis.pointer[row * width + row] = scale > 0 ? 1 / scale : 1
            }
        }
        return Translator(centre: centre, basis: basis, outputScale: scale > 0 ? scale : 1)
    }
}

/// Places for results of parallel items, each written once.
private final class Slots: @unchecked Sendable {
    private let memory: UnsafeMutablePointer<Translator?>
    private let count: Int

    init(count: Int) {
        self.count = count
        memory = .allocate(capacity: count)
        memory.initialize(repeating: nil, count: count)
    }

    deinit {
        memory.deinitialize(count: count)
        memory.deallocate()
    }

    func set(_ index: Int, _ value: Translator) { memory[index] = value }

    var values: [Translator] { (0..<count).compactMap { memory[$0] } }
}
