import Foundation
import Scans

/// Whether a model does a task at all: only then is there anything to read or to use.
///
/// With the options' log-probabilities calibrated (each option's mean over the items subtracted, where all
/// items have the same options), I is the mean over items of log K + log p(gold): the nats that the model's
/// answer has on guessing. A task passes with I/SE > 3.
public struct TaskGate: Sendable, Equatable {
    public static let items = 200
    public static let least = 3.0
    /// Items after which a task that does not reach `leastEarly` is given up: at four times the items it
    /// would be expected to stay below `least`.
    public static let earlyItems = 50
    public static let leastEarly = 1.0

    /// I, in nats.
    public var information: Double
    public var error: Double
    public var accuracy: Double
    public var items: Int

    public var z: Double { error > 0 ? information / error : 0 }
    public var passes: Bool { z > Self.least }

    /// - Parameters:
    ///   - logProbabilities: of each item's options, in nats.
    ///   - isCalibrated: whether option i means the same in every item.
    public init(_ logProbabilities: [[Double]], gold: [Int], isCalibrated: Bool) {
        var usual = [Double](repeating: 0, count: logProbabilities.first?.count ?? 0)
        if isCalibrated {
            for values in logProbabilities {
                for (option, value) in values.enumerated() { usual[option] += value }
            }
            usual = usual.map { $0 / Double(logProbabilities.count) }
        }
        var hits = 0
        let information = zip(logProbabilities, gold).map { values, gold in
            let shifted =
                isCalibrated ? zip(values, usual).map { $0 - $1 } : values
            let top = shifted.max() ?? 0
            let sum = shifted.reduce(0) { $0 + exp($1 - top) }
            if shifted[gold] == top { hits += 1 }
            return log(Double(values.count)) + shifted[gold] - top - log(sum)
        }
        let estimate = ScanStatistics.mean(information)
        self.information = gold.isEmpty ? 0 : estimate.mean
        error = estimate.error ?? 0
        accuracy = Double(hits) / Double(max(1, gold.count))
        items = gold.count
    }
}
