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
    /// A task's figures, and the resampled selectivities that the layers' scores are made of.
    public struct Result {
        public var task: ProbesRecord.Task
        /// Of the ridge probe: [resamples][boundaries].
        var draws: [[Double]]
    }

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

    public func run() -> Result {
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
        let (readings, draws) = readings(ridge, labels, control, test, testItems)
        var logistic: [ProbesRecord.Reading] = []
        if depth == .full {
            let fits = Self.fitAll(problems) { LogisticProbe($0).fits() }
            logistic = self.readings(fits, labels, control, test, testItems).readings
        }
        var counts = [Int](repeating: 0, count: data.classes.count)
        for row in data.range(.train) { counts[labels[row]] += 1 }
        let common = counts.indices.max { (counts[$0], -$0) < (counts[$1], -$1) } ?? 0
        let majority = Double(test.count { labels[$0] == common }) / Double(max(1, test.count))
        return Result(
            task: ProbesRecord.Task(
                name: data.name, kind: data.kind.rawValue, difficulty: data.difficulty,
                path: data.path, classes: data.classes, train: data.range(.train).count,
                validation: data.range(.validation).count, test: test.count,
                majority: majority,
                ridge: readings, logistic: logistic,
                readableAt: Self.readableAt(readings, majority: majority)),
            draws: draws)
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
    ) -> (readings: [ProbesRecord.Reading], draws: [[Double]]) {
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
        let readings = fits.enumerated().map { boundary, fits in
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
        return (readings, bootstrap.draws)
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

/// The layers' reasoning relevance.
///
/// With s_t(b) the ridge probe's selectivity on task t at boundary b, or 0 where it is negative (there
/// the probe reads less than its control task, and what the control task loses is no gain), step l
/// gains g_t(l) = s_t(l+1) - s_t(l). Over the reasoning tasks R and the surface controls S,
/// relevance(l) = min(1, max(0, mean_R g(l) - max(0, mean_S g(l)))). A fall of the controls is not
/// credited. Intervals: the same over resamples of each task's test items.
public enum ReasoningRelevance {
    public static func steps(_ results: [TaskProbe.Result]) -> [ProbesRecord.Relevance] {
        let reasoning = results.filter { $0.task.kind == ProbeTaskKind.reasoning.rawValue }
        let surface = results.filter { $0.task.kind == ProbeTaskKind.surface.rawValue }
        guard let first = results.first, !reasoning.isEmpty, !surface.isEmpty else { return [] }
        return (0..<first.task.ridge.count - 1).map { step in
            func gain(_ tasks: [TaskProbe.Result]) -> (value: Double, draws: [Double]) {
                let count = Double(tasks.count)
                let value = tasks.reduce(0) { sum, result in
                    sum + max(0, result.task.ridge[step + 1].selectivity.value)
                        - max(0, result.task.ridge[step].selectivity.value)
                }
                let draws = (0..<SelectivityBootstrap.resamples).map { draw in
                    tasks.reduce(0) {
                        $0 + max(0, $1.draws[draw][step + 1]) - max(0, $1.draws[draw][step])
                    } / count
                }
                return (value / count, draws)
            }
            func interval(_ value: Double, _ draws: [Double]) -> Interval {
                let range = ProbeStatistics.interval(draws)
                return Interval(value, range.lowerBound, range.upperBound)
            }
            let (r, s) = (gain(reasoning), gain(surface))
            func score(_ r: Double, _ s: Double) -> Double { min(1, max(0, r - max(0, s))) }
            return ProbesRecord.Relevance(
                reasoningGain: interval(r.value, r.draws), surfaceGain: interval(s.value, s.draws),
                score: interval(score(r.value, s.value), zip(r.draws, s.draws).map(score)))
        }
    }
}
