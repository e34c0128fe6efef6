import Analysis
import ArgumentParser
import Corpus
import Files
import Foundation
import LensTraining
import ModelStore
import Models
import Reporting
import Tensors

/// How `tune-lens` trains.
public struct LensTrainingOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Train on this many tokens.",
            discussion: """
                Default: 100,000, or all that the data has if that is less. More than the data has: it is \
                read again, in another order.
                """, valueName: "n"))
    public var tokens: Int?

    @Option(help: ArgumentHelp("Tokens to a step of the optimizer, at least.", valueName: "n"))
    public var batch = LensTrainingSettings().batch

    @Option(
        help: ArgumentHelp(
            "Peak learning rate.",
            discussion: "About how far one step moves a state, relative to its size.",
            valueName: "rate"))
    public var rate = LensTrainingSettings().rate

    @Option(
        help: ArgumentHelp(
            "Train each boundary on one of so many tokens, boundaries by turns.",
            discussion: "1 takes nearly twice as long as 2; docs/tuned-lens.md.", valueName: "n")
    )
    public var every = LensTrainingSettings().every

    @Option(help: ArgumentHelp("Seed of the order of documents.", valueName: "n"))
    public var seed: UInt64 = 0

    @Option(
        help: ArgumentHelp(
            "Save the half-done training this often, in seconds.", valueName: "s"))
    public var saveEvery = 60.0

    public init() {}

    public func validate() throws {
        try OptionRange.check(tokens, "--tokens", to: OptionRange.text)
        try OptionRange.check(batch, "--batch", to: OptionRange.text)
        try OptionRange.check(every, "--every", to: OptionRange.text)
        guard rate > 0, rate.isFinite else {
            throw ValidationError("--rate must be above 0, not \(rate)")
        }
        guard saveEvery >= 0, saveEvery.isFinite else {
            throw ValidationError("--save-every must be 0 or more, not \(saveEvery)")
        }
    }

    static let standardTokens = 100_000
}

/// `etd-analyze tune-lens`: trains a tuned lens, compares it with the plain one, writes it.
public struct TuneLensRun {
    public var model: ModelOptions
    public var data: DataOptions
    public var training: LensTrainingOptions
    public var out: String
    public var overwrite: Bool
    public var quiet: Bool

    public init(
        model: ModelOptions, data: DataOptions, training: LensTrainingOptions, out: String,
        overwrite: Bool, quiet: Bool
    ) {
        self.model = model
        self.data = data
        self.training = training
        self.out = out
        self.overwrite = overwrite
        self.quiet = quiet
    }

    public func run() throws -> TunedLens.Header {
        let output: Output
        do {
            output = try Output(out, overwrite: overwrite)
        } catch {
            throw CommandError.flag(name: "--out", problem: "\(error)")
        }
        // A device or a pipe has nothing beside it, and what is killed there starts anew.
        let halfDone = output.isFile ? output.path + ".training" : nil
        let lock = try halfDone.map { try FolderLock.file($0 + ".lock") }
        defer { withExtendedLifetime(lock) {} }
        if let halfDone { TemporaryFile.removeStale(beside: [halfDone]) }
        model.apply(quiet: quiet)
        let loaded = try model.open(quiet: quiet)
        let documents = try data.documents(of: loaded)
        let text = try LensText(
            documents, tokens: training.tokens ?? LensTrainingOptions.standardTokens)
        let available = LensText.tokens(text.training)
        let tokens = training.tokens ?? min(LensTrainingOptions.standardTokens, available)

        let trainer = LensTrainer(
            model: loaded.model,
            settings: LensTrainingSettings(
                tokens: tokens, batch: training.batch, rate: training.rate, every: training.every,
                seed: training.seed), documents: text.training)
        let identity = try identity(loaded, text, tokens: tokens)
        if let halfDone {
            if overwrite {
                unlink(halfDone)
            } else if Paths.kind(halfDone) != .missing {
                try trainer.restore(from: halfDone, identity: identity)
            }
        }
        note(tokens: tokens, available: available, done: trainer.tokens, halfDone)
        try train(trainer, tokens: tokens, identity: identity, halfDone)
        let lens = trainer.lens
        let comparison = try compare(loaded, lens, text.heldOut)
        let header = TunedLens.Header(
            architecture: loaded.model.configuration.architecture,
            layers: loaded.model.configuration.layerCount,
            hiddenSize: loaded.model.configuration.hiddenSize,
            fingerprint: loaded.checkpoint.fingerprint, tokens: tokens,
            precision: model.arithmetic.rawValue, data: data.data ?? DefaultText.name,
            createdBy: Product.createdBy, heldOutTokens: LensText.tokens(text.heldOut),
            plainKL: Array(comparison.plain.dropLast()),
            tunedKL: Array(comparison.tuned.dropLast()))
        try lens.write(header, to: output)
        if let halfDone { unlink(halfDone) }
        return header
    }

    private func note(tokens: Int, available: Int, done: Int, _ halfDone: String?) {
        guard !quiet else { return }
        if done > 0, let halfDone {
            Terminal.note("tune-lens: \(halfDone) goes on from token \(done) of \(tokens)")
        }
        if data.data == nil {
            Terminal.note(
                "tune-lens: the project's own text has \(available) tokens to train on, too few for a "
                    + "good lens; --data takes a file of yours")
        } else if training.tokens == nil, available < LensTrainingOptions.standardTokens {
            Terminal.note(
                "tune-lens: the data has \(available) tokens to train on, fewer than the usual "
                    + "\(LensTrainingOptions.standardTokens)")
        } else if tokens > available {
            Terminal.note(
                "tune-lens: the data has \(available) tokens to train on; it is read again to reach "
                    + "\(tokens)")
        }
    }

    /// Everything that the trained lens depends on. The number of threads is no part of it.
    private func identity(
        _ loaded: LoadedModel, _ text: LensText, tokens: Int
    ) throws -> [String: String] {
        var ids: [UInt8] = []
        for document in text.training + text.heldOut {
            ids.append(contentsOf: "\(document.addedTokens):".utf8)
            for token in document.tokens {
                withUnsafeBytes(of: token.littleEndian) { ids.append(contentsOf: $0) }
            }
        }
        return [
            "model": loaded.checkpoint.fingerprint, "text": SHA256.hexadecimal(of: ids),
            "tokens": "\(tokens)", "batch": "\(training.batch)", "rate": "\(training.rate)",
            "every": "\(training.every)", "seed": "\(training.seed)",
            "precision": model.arithmetic.rawValue, "version": Product.version,
        ]
    }

    private func train(
        _ trainer: LensTrainer, tokens: Int, identity: [String: String], _ halfDone: String?
    ) throws {
        let progress = ProgressReporter(
            label: "tuning", total: tokens, unit: "tokens", quiet: quiet)
        progress.skip(trainer.tokens)
        var saved = Stopwatch()
        do {
            try trainer.run(
                progress: { count, loss in
                    progress.advance(
                        by: count, note: loss.map { String(format: "KL %.3f", $0) } ?? "")
                },
                afterStep: { () throws(LensTrainingError) in
                    guard let halfDone, saved.seconds >= training.saveEvery else { return }
                    try trainer.save(to: halfDone, identity: identity)
                    saved = Stopwatch()
                })
        } catch {
            progress.abandon()
            throw error
        }
        progress.finish()
    }

    private func compare(
        _ loaded: LoadedModel, _ lens: TunedLens, _ documents: [Document]
    ) throws -> LensComparison {
        let progress = ProgressReporter(
            label: "comparing on held-out text",
            total: documents.reduce(0) { $0 + $1.tokens.count }, unit: "tokens", quiet: quiet)
        do {
            let comparison = try LensComparison(
                model: loaded.model, lens: lens, documents: documents
            ) { progress.advance(by: $0) }
            progress.finish()
            return comparison
        } catch {
            progress.abandon()
            throw error
        }
    }
}

extension TunedLens.Header {
    /// Plain and tuned KL by boundary, and where the tuned lens is not below.
    public var table: String {
        func number(_ value: Double) -> String { String(format: "%10.4f", value) }
        var lines = [
            "KL(output‖lens) in nats on \(heldOutTokens) held-out tokens",
            "boundary      plain      tuned",
        ]
        for (boundary, pair) in zip(plainKL, tunedKL).enumerated() {
            let name =
                String(repeating: " ", count: max(0, 8 - "\(boundary)".count)) + "\(boundary)"
            let mark = pair.1 < pair.0 ? "" : "  not below"
            lines.append("\(name) \(number(pair.0)) \(number(pair.1))\(mark)")
        }
        let worse = failures
        lines.append(
            worse.isEmpty
                ? "The tuned lens is closer to the output at every boundary."
                : "The tuned lens is not closer to the output at "
                    + (worse.count == 1 ? "boundary " : "boundaries ")
                    + worse.map(String.init).joined(separator: ", ")
                    + ": train on more text, or use the plain lens there.")
        return lines.joined(separator: "\n") + "\n"
    }
}
