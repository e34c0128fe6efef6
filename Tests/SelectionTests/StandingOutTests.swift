// How far a window stands out where a race left windows with different numbers of items: against the regression
// estimator by normal equations, and its error against the jackknife.

import Foundation
import Selection
import TestSupport
import Testing

@Suite struct StandingOutTests {
    private static let common = 60
    private static let items = 200
    private static let elsewhere = [[1, 2], [0, 2], [0, 1]]

    /// Three windows: the first saw all items, the others the first `common` ones.
    private func gains(_ seed: UInt64) -> [[Double]] {
        var random = SeededRandom(seed)
        let shared = random.normals(Self.items).map(Double.init)
        return (0..<3).map { window in
            let own = random.normals(Self.items, deviation: 0.5).map(Double.init)
            return (0..<Self.items).map { item in
                window == 0 || item < Self.common
                    ? (window == 0 ? 0.8 : 0.3) * shared[item] + own[item] : .nan
            }
        }
    }

    private func columnMean(_ rows: [[Double]], _ column: Int) -> Double {
        rows.reduce(0) { $0 + $1[column] } / Double(rows.count)
    }

    /// d + b (m - m') of the first window over the items that `left` keeps, b solved from the normal equations.
    private func estimate(_ gains: [[Double]], without left: Int?) -> Double {
        let seen = (0..<Self.items).filter { $0 != left }
        let x = seen.filter { $0 < Self.common }.map { gains[0][$0] }
        let y = seen.filter { $0 < Self.common }.map { (item: Int) -> Double in
            gains[0][item] - (gains[1][item] + gains[2][item]) / 2
        }
        let n = Double(x.count)
        let sx = x.reduce(0, +)
        let sy = y.reduce(0, +)
        let sxx: Double = zip(x, x).map(*).reduce(0, +)
        let sxy: Double = zip(x, y).map(*).reduce(0, +)
        let slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
        let intercept = (sy - slope * sx) / n
        let whole = seen.reduce(0) { $0 + gains[0][$1] } / Double(seen.count)
        return intercept + slope * whole
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func itIsTheRegressionEstimator(seed: UInt64) throws {
        let gains = gains(seed)
        let rows = try #require(
            Verdict.standingOut(
                gains, Self.elsewhere, [Bool](repeating: false, count: Self.items)))
        let expected = estimate(gains, without: nil)
        #expect(abs(columnMean(rows, 0) - expected) < 1e-12)
        // The others saw the common items alone: plain differences.
        let differences: [Double] = (0..<Self.common).map { (item: Int) -> Double in
            gains[1][item] - (gains[0][item] + gains[2][item]) / 2
        }
        let plain: Double = differences.reduce(0, +) / Double(Self.common)
        #expect(abs(columnMean(rows, 1) - plain) < 1e-12)

        let left = (0..<Self.items).map { estimate(gains, without: $0) }
        let mean = left.reduce(0, +) / Double(left.count)
        let n = Double(Self.items)
        let squares: Double = left.reduce(0.0) { (sum: Double, value: Double) -> Double in
            sum + (value - mean) * (value - mean)
        }
        let jackknife: Double = ((n - 1) / n * squares).squareRoot()
        let spread: Double = rows.reduce(0.0) { (sum: Double, row: [Double]) -> Double in
            sum + (row[0] - expected) * (row[0] - expected)
        }
        let error = (spread / (n - 1) / n).squareRoot()
        #expect(abs(error / jackknife - 1) < 0.15, "\(error), jackknife \(jackknife)")
    }

    /// Every window saw every item: each row is that item's difference. Confirmation items take no part.
    @Test func withoutARaceRowsArePlainDifferences() throws {
        let gains: [[Double]] = [[1, 2, 4, 100], [0, 1, 1, 0], [2, 0, 1, 0]]
        let rows = try #require(
            Verdict.standingOut(gains, Self.elsewhere, [false, false, false, true]))
        let expected = (0..<3).map { (item: Int) -> Double in
            gains[0][item] - (gains[1][item] + gains[2][item]) / 2
        }
        #expect(zip(rows.map { $0[0] }, expected).allSatisfy { abs($0 - $1) < 1e-12 })
        #expect(rows.count == 3)
        #expect(Verdict.standingOut([gains[0], nil, gains[2]], Self.elsewhere, [false]) == nil)
    }
}
