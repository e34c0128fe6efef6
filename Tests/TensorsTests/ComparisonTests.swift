// Comparisons that keep NaN, and streams of one seed that have nothing to do with each other.

import Foundation
import Tensors
import Testing

@Suite struct PropagatingComparisonTests {
    private static let values: [Double] = [
        -.infinity, -2, -0.0, 0.0, .leastNonzeroMagnitude, 1, .greatestFiniteMagnitude, .infinity,
    ]

    @Test func numbersCompareAsInSwift() {
        for a in Self.values {
            for b in Self.values {
                #expect(
                    Double.propagatingMaximum(a, b).bitPattern == Swift.max(a, b).bitPattern,
                    "\(a), \(b)")
                #expect(
                    Double.propagatingMinimum(a, b).bitPattern == Swift.min(a, b).bitPattern,
                    "\(a), \(b)")
            }
            #expect(a.clampedOrNaN(to: -1...1).bitPattern == min(1, max(-1, a)).bitPattern)
        }
    }

    @Test func nothingHidesANaN() {
        for value in Self.values + [.nan] {
            #expect(Double.propagatingMaximum(value, .nan).isNaN)
            #expect(Double.propagatingMaximum(.nan, value).isNaN)
            #expect(Double.propagatingMinimum(value, .nan).isNaN)
            #expect(Double.propagatingMinimum(.nan, value).isNaN)
        }
        #expect(Double.nan.clampedOrNaN(to: -1...1).isNaN)
        #expect(Float.nan.clampedOrNaN(to: 0...1).isNaN)
    }
}

@Suite struct StreamTests {
    /// The place of each of 0..<count in a shuffled order.
    private func places(_ random: SplitMix64, _ count: Int) -> [Int] {
        var random = random
        var order = Array(0..<count)
        for last in stride(from: count - 1, to: 0, by: -1) {
            order.swapAt(last, random.below(last + 1))
        }
        var places = order
        for (place, item) in order.enumerated() { places[item] = place }
        return places
    }

    /// Spearman's: 1 - 6·Σ(a_i - b_i)²/(n(n² - 1)) for the places of n items in two orders.
    private func rankCorrelation(_ a: [Int], _ b: [Int]) -> Double {
        let squares = zip(a, b).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
        let n = Double(a.count)
        return 1 - 6 * squares / (n * (n * n - 1))
    }

    /// Under independence the correlation's deviation is 1/√(n - 1) = 0.032, so 0.15 is 4.7 of them.
    @Test(arguments: [0, 1, 7, UInt64.max]) func streamsAreIndependent(_ seed: UInt64) {
        let orders = (0..<12).map { places(SplitMix64(seed: seed, stream: $0), 1000) }
        for (place, a) in orders.enumerated() {
            for b in orders[(place + 1)...] { #expect(abs(rankCorrelation(a, b)) < 0.15) }
        }
        // The measure finds seeds that lie one of the generator's own increments apart.
        let near = places(SplitMix64(seed: seed &+ 0x9E37_79B9_7F4A_7C15), 1000)
        #expect(rankCorrelation(orders[0], near) > 0.25)
    }

    @Test func streamZeroIsTheSeedsOwn() {
        var stream = SplitMix64(seed: 99, stream: 0)
        var plain = SplitMix64(seed: 99)
        for _ in 0..<10 { #expect(stream.next() == plain.next()) }
    }
}
