import Tensors

/// Mean 0 and variance 1 (divisor n) over given rows; a feature without variance becomes 0.
struct Standardiser {
    let width: Int
    let means: [Double]
    /// 1/standard deviation; 0 for a feature without variance.
    let inverseDeviations: [Double]

    /// - Parameter squares: Σ(x - mean)² of each feature over `count` rows.
    init(means: [Double], squares: [Double], count: Double) {
        width = means.count
        self.means = means
        inverseDeviations = zip(means, squares).map { mean, squares in
            let variance = squares / count
            // What the rounding of a mean of f64 leaves of a feature that never changes is far below.
            return variance <= 1e-20 * mean * mean || variance <= 0 ? 0 : 1 / variance.squareRoot()
        }
    }

    init(_ features: UnsafePointer<Float>, _ rows: some Collection<Int>, width: Int) {
        var means = [Double](repeating: 0, count: width)
        var squares = means
        for row in rows {
            for index in 0..<width { means[index] += Double(features[row * width + index]) }
        }
        for index in 0..<width { means[index] /= Double(rows.count) }
        for row in rows {
            for index in 0..<width {
                let difference = Double(features[row * width + index]) - means[index]
                squares[index] += difference * difference
            }
        }
        self.init(means: means, squares: squares, count: Double(rows.count))
    }

    /// Standardised rows, [rows, width].
    func apply(_ features: UnsafePointer<Float>, _ rows: some Collection<Int>) -> DoubleBuffer {
        let out = DoubleBuffer(rows.count * width, zeroed: false)
        means.withUnsafeBufferPointer { means in
            inverseDeviations.withUnsafeBufferPointer { inverses in
                for (place, row) in rows.enumerated() {
                    let source = features + row * width
                    let target = out.pointer + place * width
                    for index in 0..<width {
                        target[index] = (Double(source[index]) - means[index]) * inverses[index]
                    }
                }
            }
        }
        return out
    }

    /// A classifier of standardised features, [width + 1, classes], as one of raw features.
    func raw(_ parameters: [Double], classes: Int) -> LinearClassifier {
        var weights = Array(parameters[..<(width * classes)])
        var intercepts = Array(parameters[(width * classes)...])
        for feature in 0..<width {
            for index in 0..<classes {
                weights[feature * classes + index] *= inverseDeviations[feature]
                intercepts[index] -= weights[feature * classes + index] * means[feature]
            }
        }
        return LinearClassifier(weights: weights, intercepts: intercepts)
    }
}
