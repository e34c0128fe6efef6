// The ratio estimator against its formula written out, and where Welford's update is needed.

import Analysis
import Foundation
import Testing

@Suite struct DocumentMeanTests {
    private func direct(_ values: [(sum: Double, count: Double)]) -> (mean: Double, error: Double) {
        let count = values.reduce(0) { $0 + $1.count }
        let mean = values.reduce(0) { $0 + $1.sum } / count
        let squares = values.reduce(0) { $0 + pow($1.sum - mean * $1.count, 2) }
        let documents = Double(values.count)
        return (mean, (documents / (documents - 1) * squares).squareRoot() / count)
    }

    @Test func equalsTheFormula() throws {
        let values: [(Double, Double)] = [(3, 10), (4.5, 12), (0.25, 1), (7, 31), (2, 2)]
        var mean = DocumentMean()
        for (sum, count) in values { mean.add(sum: sum, count: count) }
        let expected = direct(values.map { (sum: $0.0, count: $0.1) })
        #expect(abs(try #require(mean.estimate.mean) - expected.mean) < 1e-14)
        #expect(abs(try #require(mean.estimate.standardError) - expected.error) < 1e-14)
    }

    @Test func survivesLargeSumsThatAreAlike() throws {
        // Sums near 1e9 that differ by 1: squares of sums would lose the difference.
        var mean = DocumentMean()
        for index in 0..<100 { mean.add(sum: 1e9 + Double(index % 2), count: 10) }
        let expected = (100.0 / 99 * 100 * 0.25).squareRoot() / 1000
        let error = try #require(mean.estimate.standardError)
        #expect(abs(error - expected) < 1e-6 * expected + 1e-9)
    }

    @Test func undefinedIsNil() {
        var mean = DocumentMean()
        #expect(mean.estimate.mean == nil)
        mean.add(sum: 0, count: 0)
        #expect(mean.estimate.mean == nil)
        mean.add(sum: 1, count: 2)
        #expect(mean.estimate.mean == 0.5)
        #expect(mean.estimate.standardError == nil)
    }
}
