import TestSupport
import Testing

/// Gradients of Σ weights·f(inputs) by central differences of a plain function in f64.
struct FiniteDifferences {
    let function: ([[Double]]) -> [Double]

    /// One list for each input, of ∂/∂ each of its values.
    func gradients(_ inputs: [[Float]], weights: [Float]) -> [[Double]] {
        let start = inputs.map { $0.map(Double.init) }
        func total(_ inputs: [[Double]]) -> Double {
            zip(function(inputs), weights).reduce(0) { $0 + $1.0 * Double($1.1) }
        }
        return start.indices.map { input in
            start[input].indices.map { place in
                let step = 1e-5 * max(1, start[input][place].magnitude)
                var (low, high) = (start, start)
                low[input][place] -= step
                high[input][place] += step
                return (total(high) - total(low)) / (2 * step)
            }
        }
    }
}

/// The largest |a - b| relative to the largest |b|.
func relativeDifference(_ a: [Float], _ b: [Double]) -> Double {
    guard let largest = b.map(\.magnitude).max(), largest > 0 else {
        return a.allSatisfy { $0 == 0 } ? 0 : .infinity
    }
    return largestDifference(a, b) / largest
}
