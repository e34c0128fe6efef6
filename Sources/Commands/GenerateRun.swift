import ArgumentParser
import Corpus
import Files
import Foundation
import Inference
import ModelStore
import Models
import Records
import Reporting
import Tokenizers

/// `etd generate` from options to text or file.
public struct GenerateRun {
    public enum Source {
        /// A text, or - for standard input.
        case prompt(String)
        case file(input: String, output: String)
    }

    var model: ModelOptions
    var split: SplitOptions
    var think: ThinkOptions
    var options: GenerateOptions
    var bos: BOSPolicy
    var overwrite: Bool
    var quiet: Bool

    /// What a shell gives a process that Ctrl-C ended.
    private static let interrupted = ExitCode(130)

    public init(
        model: ModelOptions, split: SplitOptions, think: ThinkOptions, options: GenerateOptions,
        bos: BOSPolicy,
        overwrite: Bool, quiet: Bool
    ) {
        self.model = model
        self.split = split
        self.think = think
        self.options = options
        self.bos = bos
        self.overwrite = overwrite
        self.quiet = quiet
    }

    public func run(_ source: Source) throws {
        switch source {
        case .prompt(let text): try run(prompt: text)
        case .file(let input, let output): try run(input: input, output: output)
        }
    }

    private func reader(_ loaded: LoadedModel, path: String) throws -> GenerateLineReader {
        let chosen = try think.chosen(split, for: loaded)
        return GenerateLineReader(
            loaded: loaded, split: split, think: think,
            depth: try chosen.map(LineDepth.thinking) ?? .plan(split.plan(for: loaded)),
            options: options, ends: try EndTokens.of(loaded), bos: bos, path: path)
    }

    private func scheduler(_ loaded: LoadedModel, _ tokenizer: Tokenizer?) throws -> Scheduler {
        Scheduler(
            model: loaded.model, router: try loaded.router(),
            detokenizer: tokenizer.map { Detokenizer($0) },
            limits: .init(cacheBytes: options.cacheMemory?.bytes, requests: options.batch))
    }

    /// Takes interrupts from here on, and says what makes the work slow.
    private func begin(_ loaded: LoadedModel) {
        InterruptFlag.watch()
        guard loaded.model.configuration.rotaryDependsOnLength, !quiet else { return }
        Terminal.note(
            "\(loaded.checkpoint.path): its rotary frequencies depend on the text's length, so every "
                + "token runs the whole text anew")
    }

    // MARK: - One prompt

    private func run(prompt: String) throws {
        let text = prompt == "-" ? try Terminal.inputText() : prompt
        model.apply(quiet: quiet)
        let loaded = try model.open(quiet: quiet)
        let tokenizer = try loaded.requiredTokenizer()
        let reader = try reader(loaded, path: "--prompt")
        let scheduler = try scheduler(loaded, tokenizer)
        let line: GenerateLine
        do {
            line = reader.line(
                index: 0, id: nil, tokens: try reader.tokens(of: text), depth: reader.depth,
                stop: options.stopRules(reader.ends), sampling: options.sampling,
                streams: !options.json)
            _ = try scheduler.submit(line.request)
        } catch {
            throw CommandError.flag(name: "--prompt", problem: "\(error)")
        }
        let isTerminal = isatty(STDOUT_FILENO) == 1
        begin(loaded)
        var failure: FileError?
        var result: Generation?
        while !scheduler.isIdle, failure == nil, !InterruptFlag.isRaised {
            do {
                try scheduler.step(
                    onText: { _, part in
                        do throws(FileError) {
                            // What the text holds may not steer the terminal.
                            try Terminal.write(isTerminal ? part.onItsLines : part)
                        } catch {
                            failure = error
                        }
                    }, onFinish: { result = $1 })
            } catch {
                throw CommandError.pass(path: loaded.checkpoint.path, problem: "\(error)")
            }
        }
        if let failure { throw failure }
        if options.json {
            guard let result else { throw Self.interrupted }
            return try Terminal.write(result.json(line, passes: true).text(indent: 0) + "\n")
        }
        try Terminal.write("\n")
        guard let result else { throw Self.interrupted }
        if let chosen = line.thinking {
            var passes = PassCounts()
            passes.add(result.passes)
            tell(chosen, passes, scheduler)
        }
    }

    /// What thinking came to, for people.
    private func tell(_ chosen: ChosenThinking, _ passes: PassCounts, _ scheduler: Scheduler) {
        guard !quiet else { return }
        Terminal.note(
            "\(chosen.notation), \(chosen.json.value.text(indent: 0)): \(passes.text)")
        let seconds = scheduler.ruleSeconds
        if chosen.thinking.rule?.kind.readsLens == true, seconds.all > 0 {
            let share = Int((100 * seconds.rule / seconds.all).rounded())
            Terminal.note("the rule's heads took \(share) % of the layers' time")
        }
    }

    // MARK: - A file

    private func run(input: String, output name: String) throws {
        let output = try Output(name, overwrite: overwrite)
        let beside = try RecordBeside(output)
        model.apply(quiet: quiet)
        let loaded = try model.open(quiet: quiet)
        let reader = try reader(loaded, path: input)
        // Lines of ids run beside a tokenizer that cannot be opened; a line of text names that problem.
        let scheduler = try scheduler(loaded, (try? loaded.tokenizer()) ?? nil)
        let lines = try read(input, reader, scheduler)
        for line in lines {
            // Each has been looked at.
            _ = try scheduler.submit(line.request)
        }
        let progress = ProgressReporter(
            label: "generating", total: lines.count, unit: "requests", quiet: quiet)
        var results: [Generation?] = Array(repeating: nil, count: lines.count)
        begin(loaded)
        var failure: InferenceError?
        repeat {
            do {
                try scheduler.step { index, result in
                    results[index] = result
                    progress.advance(by: 1)
                }
            } catch {
                failure = error
            }
        } while !scheduler.isIdle && failure == nil && !InterruptFlag.isRaised
        var bytes: [UInt8] = []
        var passes = PassCounts()
        for (line, result) in zip(lines, results) {
            guard let result else { continue }
            if line.thinking != nil { passes.add(result.passes) }
            bytes += result.json(line, passes: options.json).text(indent: 0).utf8
            bytes.append(0x0A)
        }
        let finished = results.count { $0 != nil }
        guard finished == lines.count else {
            progress.abandon()
            try keep(bytes, finished, of: lines.count, output)
            if let failure {
                throw CommandError.pass(path: loaded.checkpoint.path, problem: "\(failure)")
            }
            throw Self.interrupted
        }
        progress.finish()
        let thinking = lines.lazy.compactMap(\.thinking).first
        if let thinking { tell(thinking, passes, scheduler) }
        guard output.isFile else { return try output.write(bytes) }
        let record = try EngineRunRecord(
            model: model, split: split, thinking: try think.chosen(split, for: loaded),
            passes: passes, loaded: loaded)
        // Both or none.
        try Interrupts.held { () throws(FileError) in
            try output.write(bytes) { () throws(FileError) in try beside.removeOlder() }
            try beside.write(record)
        }
    }

    /// Every line is read before the first runs: a mistake on the last line shows at once.
    private func read(
        _ input: String, _ reader: GenerateLineReader, _ scheduler: Scheduler
    ) throws -> [GenerateLine] {
        var lines: [GenerateLine] = []
        var bad: [CommandError] = []
        let file = try TextLines(path: input)
        var number = 0
        while let bytes = try file.next() {
            number += 1
            if TextLines.isBlank(bytes) { continue }
            do throws(CommandError) {
                let line = try reader.read(bytes, number: number)
                do throws(InferenceError) {
                    try scheduler.check(line.request)
                } catch {
                    throw .line(path: input, line: number, problem: "\(error)")
                }
                lines.append(line)
            } catch {
                guard options.skipBad else { throw error }
                bad.append(error)
            }
        }
        if let first = bad.first {
            // Also when quiet: the output is not what was asked for.
            Terminal.note(
                "left out \(bad.count) of \(bad.count + lines.count) requests (--skip-bad); the "
                    + "first: \(first)")
        }
        guard !lines.isEmpty else { throw CorpusError.empty(path: input) }
        return lines
    }

    /// Puts what is finished beside the output, which has no content under its own name until all is.
    private func keep(
        _ bytes: [UInt8], _ finished: Int, of count: Int, _ output: Output
    ) throws(FileError) {
        guard finished > 0 else { return }
        guard output.isFile else { return try output.write(bytes) }
        let path = output.path + ".partial"
        try Output(path, overwrite: true).write(bytes)
        Terminal.note("stopped; \(finished) of \(count) requests are finished, in \(path)")
    }
}
