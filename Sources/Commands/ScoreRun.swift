import Corpus
import Evaluation
import Files
import ModelStore
import Models
import Records
import Reporting
import Tokenizers

/// `etd score` from options to file.
public struct ScoreRun {
    var model: ModelOptions
    var split: SplitOptions
    var think: ThinkOptions
    var input: String
    var output: String
    var bos: BOSPolicy
    var lastLogits: Bool
    var overwrite: Bool
    var quiet: Bool

    public init(
        model: ModelOptions, split: SplitOptions, think: ThinkOptions, input: String,
        output: String,
        bos: BOSPolicy,
        lastLogits: Bool, overwrite: Bool, quiet: Bool
    ) {
        self.model = model
        self.split = split
        self.think = think
        self.input = input
        self.output = output
        self.bos = bos
        self.lastLogits = lastLogits
        self.overwrite = overwrite
        self.quiet = quiet
    }

    public func run() throws {
        let output = try Output(output, overwrite: overwrite)
        let beside = try RecordBeside(output)
        model.apply(quiet: quiet)
        let loaded = try model.open(quiet: quiet)
        let thinking = try think.chosen(split, for: loaded)
        let reader = ScoreRequestReader(tokenizer: loaded.lazyTokenizer, bos: bos, path: input)
        let requests = try Self.read(input, reader, loaded, lastLogits: lastLogits)
        let tokens = requests.reduce(0) { $0 + $1.request.tokens.count }
        let progress = ProgressReporter(
            label: "scoring", total: tokens, unit: "tokens", quiet: quiet)
        let scorer =
            try thinking.map {
                try Scorer(
                    model: loaded.model, thinking: $0.thinking, router: try loaded.router())
            } ?? Scorer(model: loaded.model, plan: try split.plan(for: loaded))
        var passes = PassCounts()
        var lines: [UInt8] = []
        do {
            try scorer.score(requests.map(\.request), lastLogits: lastLogits) { index, score in
                var line = score.json(index: requests[index].line, id: requests[index].request.id)
                if let thinking, case .object(var members) = line {
                    members[thinking.json.key] = thinking.json.value
                    line = .object(members)
                }
                passes.add(score.passes ?? [])
                lines += line.text(indent: 0).utf8
                lines.append(0x0A)
                progress.advance(by: requests[index].request.tokens.count)
            }
        } catch {
            progress.abandon()
            throw CommandError.pass(path: loaded.checkpoint.path, problem: "\(error)")
        }
        progress.finish()
        if let thinking, !quiet { Terminal.note("\(thinking.notation): \(passes.text)") }
        guard output.isFile else { return try output.write(lines) }
        let record = try EngineRunRecord(
            model: model, split: split, thinking: thinking, passes: passes, loaded: loaded)
        // Both or none.
        try Interrupts.held { () throws(FileError) in
            try output.write(lines) { () throws(FileError) in try beside.removeOlder() }
            try beside.write(record)
        }
    }

    /// Every line is read before the first is scored: a mistake on the last line shows at once.
    static func read(
        _ input: String, _ reader: ScoreRequestReader, _ loaded: LoadedModel, lastLogits: Bool
    ) throws -> [(line: Int, request: ScoreRequest)] {
        var requests: [(line: Int, request: ScoreRequest)] = []
        let context = loaded.model.configuration.contextLength
        let vocabulary = loaded.model.configuration.vocabularySize
        let file = try TextLines(path: input)
        var number = 0
        while let line = try file.next() {
            number += 1
            if TextLines.isBlank(line) { continue }
            let request = try reader.read(line, number: number)
            // The last id is predicted; it runs only where its own logits are wanted.
            guard request.tokens.count - (lastLogits ? 0 : 1) <= context else {
                throw ScoreError.line(
                    path: input, line: number,
                    problem: ModelError.tooLong(tokens: request.tokens.count, context: context)
                        .description)
            }
            if let id = request.tokens.first(where: { $0 < 0 || $0 >= vocabulary }) {
                throw ScoreError.line(
                    path: input, line: number,
                    problem:
                        "token id \(id) is outside the vocabulary of \(vocabulary); were these "
                        + "tokens made with another tokenizer?")
            }
            requests.append((number - 1, request))
        }
        guard !requests.isEmpty else { throw CorpusError.empty(path: input) }
        return requests
    }
}
