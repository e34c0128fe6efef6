import Foundation
import Records
import Tensors

/// Which probes are fitted.
public enum ProbeDepth: String, Sendable, CaseIterable {
    case none
    /// Ridge probes.
    case ridge
    /// Ridge and logistic probes.
    case full
}

/// Fits probes of one task at every boundary.
///
/// Boundaries are spread over the threads; each is computed by one, so results do not depend on how
/// many there are.
public struct TaskProbe {
    let data: ProbeTaskData
    let features: FeatureStore
    let depth: ProbeDepth
    let seed: UInt64

    public init(data: ProbeTaskData, features: FeatureStore, depth: ProbeDepth, seed: UInt64) {
        precondition(data.examples.count == features.rows)
        self.data = data
        self.features = features
        self.depth = depth
        self.seed = seed
    }

    public func run() -> ProbesRecord.Task {
        let place = Dictionary(uniqueKeysWithValues: data.classes.enumerated().map { ($1, $0) })
        let labels = data.examples.map { place[$0.label] ?? 0 }
        let items = Self.numbered(data.examples.map(\.item))
        let control = Self.controlLabels(
            items: data.examples.map(\.item), labels: labels, train: data.range(.train),
            seed: StableHash.of("\(seed)|control|\(data.name)"))
        let test = data.range(.test)
        let testItems = Self.numbered(test.map { items[$0] })
        let problems = (0..<features.boundaries).map { boundary in
            ProbeProblem(
                features: UnsafePointer(features.boundary(boundary)), width: features.width,
                classes: data.classes.count, labels: [labels, control],
                train: data.range(.train), validation: data.range(.validation), test: test)
        }
        let ridge = Self.fitAll(problems) { RidgeProbe($0).fits() }
        let readings = readings(ridge, labels, control, test, testItems)
        var logistic: [ProbesRecord.Reading] = []
        if depth == .full {
            let fits = Self.fitAll(problems) { LogisticProbe($0).fits() }
            logistic = self.readings(fits, labels, control, test, testItems)
        }
        var counts = [Int](repeating: 0, count: data.classes.count)
        for row in data.range(.train) { counts[labels[row]] += 1 }
        let common = counts.indices.max { (counts[$0], -$0) < (counts[$1], -$1) } ?? 0
        let majority = Double(test.count { labels[$0] == common }) / Double(max(1, test.count))
        return ProbesRecord.Task(
            name: data.name, kind: data.kind.rawValue, difficulty: data.difficulty,
            path: data.path, classes: data.classes, train: data.range(.train).count,
            validation: data.range(.validation).count, test: test.count, majority: majority,
            ridge: readings, logistic: logistic,
            readableAt: Self.readableAt(readings, majority: majority))
    }

    /// Strings as numbers from 0 in the order they come.
    private static func numbered<Value: Hashable>(_ values: [Value]) -> [Int] {
        var numbers: [Value: Int] = [:]
        return values.map { value in
            if let number = numbers[value] { return number }
            numbers[value] = numbers.count
            return numbers.count - 1
        }
    }

    /// One label for each item, drawn with the frequencies of the training labels; by the item alone,
    /// so it is the same in every split.
    static func controlLabels(
        items: [String], labels: [Int], train: Range<Int>, seed: UInt64
    ) -> [Int] {
        var chosen: [String: Int] = [:]
        return items.map { item in
            if let label = chosen[item] { return label }
            var random = SplitMix64(seed: StableHash.of("\(seed)|\(item)"))
            let label = labels[train.lowerBound + random.below(max(1, train.count))]
            chosen[item] = label
            return label
        }
    }

    private static func fitAll(
        _ problems: [ProbeProblem], _ fit: (ProbeProblem) -> [ProbeFit]
    ) -> [[ProbeFit]] {
        var fits = [[ProbeFit]](repeating: [], count: problems.count)
        fits.withUnsafeMutableBufferPointer { fits in
            nonisolated(unsafe) let fits = fits
            Parallel.forEach(problems.count) { fits[$0] = fit(problems[$0]) }
        }
        DoubleBuffer.freeKept()
        return fits
    }

    private func readings(
        _ fits: [[ProbeFit]], _ labels: [Int], _ control: [Int], _ test: Range<Int>, _ items: [Int]
    ) -> [ProbesRecord.Reading] {
        let truth = test.map { labels[$0] }
        let controlTruth = test.map { control[$0] }
        let differences = fits.map { fits in
            test.map { index -> Int8 in
                let row = index - test.lowerBound
                let right = fits[0].predicted[row] == truth[row] ? 1 : 0
                return Int8(right - (fits[1].predicted[row] == controlTruth[row] ? 1 : 0))
            }
        }
        let bootstrap = SelectivityBootstrap(
            items: items, differences: differences,
            seed: StableHash.of("\(seed)|bootstrap|\(data.name)"))
        let uniform = Double(data.range(.train).count) * log2(Double(data.classes.count))
        return fits.enumerated().map { boundary, fits in
            let hits = zip(fits[0].predicted, truth).count { $0 == $1 }
            let controlHits = zip(fits[1].predicted, controlTruth).count { $0 == $1 }
            let count = Double(max(1, test.count))
            let wilson = ProbeStatistics.wilson(hits, of: test.count)
            let interval = bootstrap.interval(boundary)
            let bits = fits[0].codeLength ?? uniform
            return ProbesRecord.Reading(
                accuracy: Interval(Double(hits) / count, wilson.lowerBound, wilson.upperBound),
                macroF1: ProbeStatistics.macroF1(
                    truth, fits[0].predicted, classes: data.classes.count),
                controlAccuracy: Double(controlHits) / count,
                selectivity: Interval(
                    Double(hits - controlHits) / count, interval.lowerBound, interval.upperBound),
                codeLength: bits, compression: uniform / bits, strength: fits[0].strength,
                controlStrength: fits[1].strength)
        }
    }

    /// The share of a task's greatest selectivity at which it counts as readable.
    package static let readableShare = 0.5

    /// The first boundary that is read better than its control task, better than by the most frequent
    /// label (both intervals say so), and at least half as selectively as the best boundary.
    static func readableAt(_ readings: [ProbesRecord.Reading], majority: Double) -> Int? {
        let greatest = readings.map(\.selectivity.value).max() ?? 0
        return readings.firstIndex {
            $0.selectivity.low > 0 && $0.accuracy.low > majority
                && $0.selectivity.value >= readableShare * greatest
        }
    }
}
