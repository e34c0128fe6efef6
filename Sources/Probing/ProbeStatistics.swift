import COpenBLAS
import Files
import Foundation
import Tensors

/// The figures of a probe that are no fit: intervals, averages over classes, code lengths.
public enum ProbeStatistics {
    /// Wilson's score interval of a share, 95 %.
    public static func wilson(_ successes: Int, of count: Int) -> ClosedRange<Double> {
        guard count > 0 else { return 0...1 }
        let z = 1.959963984540054
        let n = Double(count)
        let share = Double(successes) / n
        let centre = (share + z * z / (2 * n)) / (1 + z * z / n)
        let half =
            z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)).squareRoot()
        return max(0, centre - half)...min(1, centre + half)
    }

    /// The mean of the F1 scores of all classes that are true or predicted anywhere.
    public static func macroF1(_ truth: [Int], _ predicted: [Int], classes: Int) -> Double {
        var hits = [Double](repeating: 0, count: classes)
        var isTrue = hits
        var isPredicted = hits
        for (a, b) in zip(truth, predicted) {
            isTrue[a] += 1
            isPredicted[b] += 1
            if a == b { hits[a] += 1 }
        }
        let present = (0..<classes).filter { isTrue[$0] + isPredicted[$0] > 0 }
        guard !present.isEmpty else { return 0 }
        return present.reduce(0) { $0 + 2 * hits[$1] / (isTrue[$1] + isPredicted[$1]) }
            / Double(present.count)
    }

    /// The place of the q-quantile between the ordered values, as NumPy's default: linear.
    public static func quantile(_ ordered: [Double], _ q: Double) -> Double {
        let place = q * Double(ordered.count - 1)
        let low = Int(nearest: place)
        let high = min(low + 1, ordered.count - 1)
        return ordered[low] + (place - Double(low)) * (ordered[high] - ordered[low])
    }

    /// The 95 % percentile interval of resampled values.
    public static func interval(_ values: [Double]) -> ClosedRange<Double> {
        let ordered = values.sorted()
        return quantile(ordered, 0.025)...quantile(ordered, 0.975)
    }

    /// Borders of the blocks that the online code sends one after another, each as long as all before:
    /// n/2^k … n/2, n, where the first has at least `least` labels. Ends with n.
    public static func blocks(_ count: Int, least: Int) -> [Int] {
        var borders = [count]
        while let first = borders.first, first / 2 >= max(1, least) {
            borders.insert(first / 2, at: 0)
        }
        return borders
    }

    /// -log2 softmax(scale · scores)[label].
    static func bits(_ scores: UnsafePointer<Double>, _ classes: Int, label: Int, scale: Double)
        -> Double
    {
        var top = -Double.infinity
        for index in 0..<classes { top = max(top, scores[index] * scale) }
        var sum = 0.0
        for index in 0..<classes { sum += exp(scores[index] * scale - top) }
        return (top + log(sum) - scores[label] * scale) / log(2)
    }
}

/// Selectivity's bootstrap. The unit that is drawn is the control task's item: examples of one item
/// share a control label, so they are no independent evidence.
package struct SelectivityBootstrap {
    package static let resamples = 1000
    /// Resamples whose item counts are in memory together.
    private static let blockDraws = 50

    /// Selectivity at each boundary of each resample: [resamples][boundaries].
    package let draws: [[Double]]

    /// - Parameters:
    ///   - items: of each test example, from 0.
    ///   - differences: correct (1 or 0) less correct on the control task, of each test example at each
    ///     boundary: [boundaries][examples].
    package init(items: [Int], differences: [[Int8]], seed: UInt64) {
        let count = (items.max() ?? -1) + 1
        // Correct less correct on the control task by boundary, and in the last row how many: of each
        // item.
        let rows = differences.count + 1
        let sums = DoubleBuffer(rows * count)
        for (boundary, row) in differences.enumerated() {
            for (item, value) in zip(items, row) {
                sums.pointer[boundary * count + item] += Double(value)
            }
        }
        for item in items { sums.pointer[differences.count * count + item] += 1 }
        MatrixProduct.useOneThread()
        var random = SplitMix64(seed: seed)
        var draws: [[Double]] = []
        let leading = blasint(max(1, count))
        let times = DoubleBuffer(Self.blockDraws * count)
        let totals = DoubleBuffer(Self.blockDraws * rows)
        for _ in 0..<Self.resamples / Self.blockDraws {
            times.pointer.update(repeating: 0, count: times.count)
            for draw in 0..<Self.blockDraws {
                for _ in 0..<count { times.pointer[draw * count + random.below(count)] += 1 }
            }
            // Whole numbers: exact in any order.
            cblas_dgemm(
                CblasRowMajor, CblasNoTrans, CblasTrans, blasint(Self.blockDraws), blasint(rows),
                blasint(count), 1, times.pointer, leading, sums.pointer, leading, 0,
                totals.pointer, blasint(rows))
            for draw in 0..<Self.blockDraws {
                let totals = totals.pointer + draw * rows
                draws.append((0..<rows - 1).map { totals[$0] / totals[rows - 1] })
            }
        }
        self.draws = draws
    }

    /// The 95 % interval at one boundary.
    func interval(_ boundary: Int) -> ClosedRange<Double> {
        ProbeStatistics.interval(draws.map { $0[boundary] })
    }
}
