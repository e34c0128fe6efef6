import Checkpoints
import Corpus
import Files
import Foundation
import ModelStore
import Models
import Plans
import Reporting
import Selection
import Tensors
import Training

/// `etd train`: from a configuration to checkpoints and metrics; goes on from the run's own checkpoints.
public struct TrainRun {
    var path: String
    var overrides: [String]
    var threads: Int?
    var overwrite: Bool
    var quiet: Bool

    public init(
        configuration path: String, overrides: [String], threads: Int?, overwrite: Bool,
        quiet: Bool
    ) {
        self.path = path
        self.overrides = overrides
        self.threads = threads
        self.overwrite = overwrite
        self.quiet = quiet
    }

    /// The curves of the run so far, as text.
    public func plot() throws -> String {
        let configuration = try TrainingConfiguration(path: path, overrides: overrides)
        return try TrainPlot.text(run: configuration.out)
    }

    public func run() throws {
        let configuration = try TrainingConfiguration(path: path, overrides: overrides)
        if let threads { Parallel.threads = threads }
        let out = try Output.resolved(configuration.out)
        let lock = try folder(out, name: configuration.out)
        defer { withExtendedLifetime(lock) {} }
        let latest = TrainingCheckpoint.latest(in: out)
        let state = try latest.map { checkpoint in
            try resumed(checkpoint, configuration)
        }
        if let state, state.step >= configuration.steps {
            note("train: \(configuration.out) has its \(state.step) steps already")
            return
        }
        // Before the model is read, which takes a while.
        InterruptFlag.watch()
        let setup = try TrainSetup(
            configuration, path: path, checkpoint: latest, state: state, quiet: quiet)
        try AtomicFile.write(configuration.json, to: Paths.join(out, "config.yaml"))
        note(setup.summary)
        if let state, let latest {
            note("train: goes on from \(latest), step \(state.step) of \(configuration.steps)")
        }
        try train(setup, from: state?.step ?? 0, in: out)
    }

    private func note(_ text: String) { if !quiet { Terminal.note(text) } }

    /// Makes the run's folder and keeps other trainers out of it.
    private func folder(_ out: String, name: String) throws -> FolderLock? {
        do {
            try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
        } catch {
            throw FileError.system(
                path: name, operation: "create the directory", reason: Terminal.reason(error))
        }
        let lock: FolderLock?
        do { lock = try FolderLock.folder(out) } catch {
            if case .busy = error { throw FileError.busy(path: name) }
            throw error
        }
        guard overwrite else { return lock }
        for entry in try Paths.names(in: out) {
            let path = Paths.join(out, entry)
            let isCheckpoint =
                entry.hasPrefix("checkpoint-")
                && Paths.kind(Paths.join(path, "trainer.json")) == .file
            if isCheckpoint || entry == "metrics.jsonl" {
                try FileManager.default.removeItem(atPath: path)
            }
        }
        return lock
    }

    /// The state of the run's checkpoint.
    /// - Throws: `TrainingError.resume` where the configuration is another.
    private func resumed(
        _ checkpoint: String, _ configuration: TrainingConfiguration
    ) throws -> TrainingState {
        let state = try TrainingState(path: Paths.join(checkpoint, "trainer.json"))
        let differences = TrainingConfiguration.differences(
            state.configuration, configuration.json)
        guard differences.isEmpty else {
            throw TrainingError.resume(
                path: checkpoint,
                problem:
                    "is of another training: \(differences.prefix(4).joined(separator: "; ")); give "
                    + "another out, or --overwrite to begin anew")
        }
        return state
    }

    // MARK: The loop

    private func train(_ setup: TrainSetup, from first: Int, in out: String) throws {
        let configuration = setup.configuration
        let metrics = try MetricsFile(run: out, after: first)
        let perStep = configuration.batchSize * configuration.sequenceLength
        let progress = ProgressReporter(
            label: "training", total: configuration.steps * perStep, unit: "tokens", quiet: quiet)
        progress.skip(first * perStep)
        var data = setup.data
        var saved = first
        do {
            for step in first..<configuration.steps {
                let clock = Stopwatch()
                let k = configuration.iterations.iterations(
                    step: step, seed: configuration.seed)
                var values = try take(setup, &data, step: step, k: k, saved: saved, in: out)
                values.step = step + 1
                values.iterations = k
                let seconds = clock.seconds
                let validation = try setup.validation(after: step + 1)
                try metrics.append(
                    values.json(
                        tokensPerSecond: Double(values.tokens) / max(seconds, 1e-9),
                        validation: validation))
                let text = String(format: "loss %.4f", values.loss)
                progress.advance(by: perStep, note: k > 1 ? "\(text), k \(k)" : text)
                let isLast = step + 1 == configuration.steps
                let stops = InterruptFlag.isRaised
                if isLast || stops || (step + 1) % configuration.checkpointEvery == 0 {
                    try save(setup, data, step: step + 1, to: out)
                    saved = step + 1
                }
                if stops, !isLast {
                    progress.abandon()
                    note(
                        "train: stopped after step \(step + 1) of \(configuration.steps), which "
                            + "\(configuration.out)/\(TrainingCheckpoint.name(step: step + 1)) holds; the "
                            + "same command goes on")
                    return
                }
            }
        } catch {
            progress.abandon()
            throw error
        }
        progress.finish()
    }

    private func take(
        _ setup: TrainSetup, _ data: inout TrainingData, step: Int, k: Int, saved: Int,
        in out: String
    ) throws -> StepMetrics {
        let configuration = setup.configuration
        let count = configuration.batchSize / configuration.microBatchSize
        let batches = try (0..<count).map { _ in try data.next(configuration.microBatchSize) }
        let rate = configuration.schedule.rate(
            step: step, of: configuration.steps, peak: configuration.optimizer.rate)
        do {
            return try setup.trainer.step(batches, try setup.plan(iterations: k), rate: rate)
        } catch TrainingError.nonFinite(let place) {
            let kept =
                saved > 0
                ? "\(configuration.out)/\(TrainingCheckpoint.name(step: saved)) is the last good checkpoint"
                : "no checkpoint was written yet"
            throw CommandError.run(
                path: configuration.out,
                problem:
                    "step \(step + 1): NaN or Inf in the loss, first at \(place); \(kept); try a "
                    + "lower optimizer.lr, a warm-up, or look at the data of this step")
        }
    }

    private func save(_ setup: TrainSetup, _ data: TrainingData, step: Int, to out: String) throws {
        let configuration = setup.configuration
        let state = TrainingState(
            step: step, optimizerSteps: setup.trainer.optimizer.steps, drawn: data.mixture.drawn,
            data: setup.fingerprints, configuration: configuration.json)
        try setup.files.write(
            setup.trainer.model, setup.trainer.optimizer, state,
            split: setup.split.map {
                ($0, configuration.iterations.recommended(steps: step))
            }, to: out)
    }
}
