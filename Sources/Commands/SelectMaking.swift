import ArgumentParser
import Files
import ModelStore
import Probing
import Records
import Scans
import Selection

/// `select --model M --out RUN`: makes the runs that are missing before they are weighed.
public struct SelectMaking {
    /// The share of the budget that READ and USE get; the rest goes to scans.
    static let relevanceShare = 0.5

    /// Lengths of windows that are scanned, from a sixth of the layers on: ETD's own think blocks have a quarter.
    static let mostLengths = 4
    /// Of a budget, for each length. It depends on the budget alone, so that the same command goes on with the
    /// same windows.
    static let secondsPerLength = 300.0

    /// Of a budget, from which on more than k = 2 is scanned.
    static let secondsForIterations = 1800.0

    let model: ModelOptions
    let data: DataOptions
    let out: String
    let budget: TimeBudget?
    let quiet: Bool

    public init(
        model: ModelOptions, data: DataOptions, out: String, budget: TimeBudget?, quiet: Bool
    ) {
        self.model = model
        self.data = data
        self.out = out
        self.budget = budget
        self.quiet = quiet
    }

    /// Makes what the folder does not hold yet.
    public func run() throws {
        let clock = Stopwatch()
        let hasProbe = Paths.kind(Paths.join(out, RunDirectory.run)) != .missing
        if !hasProbe {
            var arguments = ["--relevance"]
            if let budget {
                arguments += ["--relevance-budget", "\(budget.seconds * Self.relevanceShare)s"]
            }
            _ = try ProbeRun(
                model: model, data: data, passes: ChosenPasses(), lens: .parse([]),
                probing: .parse([]), relevance: .parse(arguments), split: .parse([]),
                sensitivity: 1, hashed: false, out: out, overwrite: false, quiet: quiet
            ).run()
        }
        let begun = Paths.kind(Paths.join(out, ScanRun.journal)) != .missing
        guard begun || Paths.kind(Paths.join(out, ScanRun.scans)) == .missing else { return }
        let layers = try LayersRecord.read(path: Paths.join(out, RunDirectory.layers)).model.layers
        let all = Verdict.thinkLengths(layers: layers)
        let count = budget.map { max(1, Int($0.seconds / Self.secondsPerLength)) } ?? .max
        let first = min(max(all.lowerBound, layers / 6), all.upperBound)
        let last = min(all.upperBound, layers, first + min(count, Self.mostLengths) - 1)
        var arguments = [
            "--kinds", "loop,half", "--lengths", "\(min(first, last))..\(last)",
        ]
        if budget.map({ $0.seconds >= Self.secondsForIterations }) ?? true {
            arguments += ["--iterations", "2..4"]
        }
        // What USE alone would train is confirmed beside what it must beat. Without a stopped scan's values, so that
        // the same command goes on with the same windows.
        var evidence = try SavedEvidence.read([out])
        evidence.scans = nil
        evidence.dynamics = []
        if let best = Verdict(evidence, resamples: 1).train.candidates.first?.split {
            arguments += ["--rivals", "\(best.encoder)-\(best.think)*2-\(best.decoder)"]
        }
        if let budget {
            arguments += ["--budget", "\(max(1, budget.seconds - clock.seconds))s"]
        }
        do {
            try scan(arguments + ["--item-tasks", "all"])
        } catch ScanError.items(_, let problem) where !quiet {
            Terminal.note("\(problem); only plain text is scanned")
            try scan(arguments)
        } catch ScanError.items {
            try scan(arguments)
        }
    }

    private func scan(_ arguments: [String]) throws {
        _ = try ScanRun(
            model: model, data: data, options: .parse(arguments), out: out, overwrite: false,
            quiet: quiet
        ).run()
    }
}
