import Files
import Foundation
import Tensors

/// How often the think block runs, step by step. What is drawn depends on the seed and the step alone, so a
/// training that goes on draws what it would have drawn.
public enum IterationRule: Sendable, Equatable {
    case fixed(Int)
    /// All whole numbers from `low` to `high` alike.
    case uniform(low: Int, high: Int)
    /// 1 + Poisson(λ) with λ log-normal of mean `mean` - 1 and deviation `sigma` of its logarithm, at most
    /// `high` (Geiping et al., arXiv 2502.05171).
    case logNormalPoisson(mean: Double, sigma: Double, high: Int)
    /// (first step, k), ascending.
    case curriculum([[Int]])

    /// - Parameter step: from 0.
    public func iterations(step: Int, seed: UInt64) -> Int {
        var random = SplitMix64(seed: seed, stream: 1 << 63 | UInt64(step))
        func unit(_ random: inout SplitMix64) -> Double { Double(random.next() >> 11) * 0x1p-53 }
        switch self {
        case .fixed(let k): return k
        case .uniform(let low, let high): return low + random.below(high - low + 1)
        case .curriculum(let stages): return stages.last { $0[0] <= step }?[1] ?? stages[0][1]
        case .logNormalPoisson(let mean, let sigma, let high):
            let radius = (-2 * log(1 - unit(&random))).squareRoot()
            let normal = radius * cos(2 * .pi * unit(&random))
            let rate = max(0, mean - 1) * exp(sigma * normal - sigma * sigma / 2)
            // Knuth's product of draws, in logarithms; stops at `high`.
            var k = 1
            var left = rate
            while k < high {
                left += log(1 - unit(&random))
                if left < 0 { break }
                k += 1
            }
            return k
        }
    }

    /// The most that it gives.
    public var maximum: Int {
        switch self {
        case .fixed(let k): k
        case .uniform(_, let high), .logNormalPoisson(_, _, let high): high
        case .curriculum(let stages): stages.map { $0[1] }.max() ?? 1
        }
    }

    /// What a checkpoint after `steps` steps recommends.
    public func recommended(steps: Int) -> Int {
        switch self {
        case .fixed(let k): k
        case .uniform(let low, let high): (low + high + 1) / 2
        case .logNormalPoisson(let mean, _, let high):
            min(high, max(1, Int(nearest: mean.rounded())))
        case .curriculum(let stages): stages.last { $0[0] < max(1, steps) }?[1] ?? stages[0][1]
        }
    }
}
