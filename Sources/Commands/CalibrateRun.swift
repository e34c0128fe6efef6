import ArgumentParser
import Corpus
import Evaluation
import Files
import ModelStore
import Models
import Plans
import Records
import Reporting
import Statistics
import Tokenizers

/// `etd calibrate` from options to file.
public struct CalibrateRun {
    var model: ModelOptions
    var split: SplitOptions
    var kind: HaltingRule.Kind
    var policy: KeyValuePolicy
    var maximum: Int?
    var epsilon: Double
    var delta: Double
    var input: String
    var output: String
    var bos: BOSPolicy
    var overwrite: Bool
    var quiet: Bool

    public init(
        model: ModelOptions, split: SplitOptions, kind: HaltingRule.Kind, policy: KeyValuePolicy,
        maximum: Int?, epsilon: Double, delta: Double, input: String, output: String,
        bos: BOSPolicy, overwrite: Bool, quiet: Bool
    ) {
        self.model = model
        self.split = split
        self.kind = kind
        self.policy = policy
        self.maximum = maximum
        self.epsilon = epsilon
        self.delta = delta
        self.input = input
        self.output = output
        self.bos = bos
        self.overwrite = overwrite
        self.quiet = quiet
    }

    /// What a threshold came to.
    private struct Trial {
        var losses: [Double] = []
        var passes = PassCounts()
    }

    public func run() throws {
        let output = try Output(output, overwrite: overwrite)
        model.apply(quiet: quiet)
        let loaded = try model.open(quiet: quiet)
        guard let (cut, written) = try split.resolved(for: loaded) else { return }
        let maximum = maximum ?? written ?? 10
        let router = try loaded.router()
        let full = try Thinking(
            cut, maximum: maximum, rule: HaltingRule(kind, threshold: kind.thresholds[0]),
            policy: policy)
        // Says at once that a router is missing.
        _ = try full.rule?.halter(for: loaded.model, router: router)
        let reader = ScoreRequestReader(tokenizer: loaded.lazyTokenizer, bos: bos, path: input)
        let requests = try ScoreRun.read(input, reader, loaded, lastLogits: false).map(\.request)
        let progress = ProgressReporter(
            label: "calibrating", total: (maximum + kind.thresholds.count) * requests.count,
            unit: "sequences", quiet: quiet)
        do {
            let record = try calibrate(full, requests, loaded, router, progress)
            progress.finish()
            try output.write((record.json.text() + "\n").utf8)
            if !quiet { tell(record) }
        } catch let error as ModelError {
            progress.abandon()
            throw CommandError.pass(path: loaded.checkpoint.path, problem: "\(error)")
        }
    }

    private func calibrate(
        _ full: Thinking, _ requests: [ScoreRequest], _ loaded: LoadedModel, _ router: Router?,
        _ progress: ProgressReporter
    ) throws -> CalibrationRecord {
        // What full depth says, and the least depth that says so too.
        var answers: [[Int32]] = []
        var oracle: [[Int]] = []
        for passes in (1...full.passes).reversed() {
            // The plain loop: a rule that nothing meets has its bits, and texts run together.
            let scorer = try Scorer(
                model: loaded.model,
                thinking: Thinking(
                    full.split, maximum: passes, rule: HaltingRule("change<0"), policy: .last),
                router: nil)
            try scorer.score(requests) { index, score in
                if passes == full.passes {
                    answers.append(score.likeliest)
                    oracle.append(score.likeliest.map { _ in passes })
                }
                for token in score.likeliest.indices
                where score.likeliest[token] == answers[index][token] {
                    oracle[index][token] = passes
                }
                progress.advance(by: 1)
            }
        }
        let oracleCounts = oracle.flatMap { $0 }
        let needed = LearnThenTest.leastSequences(epsilon: epsilon, delta: delta)
        var trials: [(rule: HaltingRule, trial: Trial)] = []
        var thresholds = kind.thresholds[...]
        let (p, passed) = try LearnThenTest.fixedSequence(epsilon: epsilon, delta: delta) {
            guard requests.count >= needed, let threshold = thresholds.popFirst() else {
                return nil
            }
            let rule = HaltingRule(kind, threshold: threshold)
            let trial = try self.trial(rule, full, requests, answers, loaded, router, progress)
            trials.append((rule, trial))
            return trial.losses
        }
        let chosen = passed > 0 ? trials[passed - 1] : nil
        let note: String? =
            if requests.count < needed {
                "\(requests.count) sequences are too few: with ε \(epsilon) and δ \(delta) nothing "
                    + "passes below \(needed); the answer is full depth"
            } else if chosen == nil {
                "no threshold passed; the answer is full depth"
            } else { nil }
        return CalibrationRecord(
            fingerprint: loaded.checkpoint.fingerprint, split: full.split, maximum: full.passes,
            policy: policy.rawValue, precision: model.arithmetic.rawValue,
            rule: (chosen?.rule ?? full.rule)?.notation ?? "",
            isEarly: (chosen?.trial.passes.mean).map { $0 < Double(full.passes) } ?? false,
            epsilon: epsilon, delta: delta, sequences: requests.count, tokens: oracleCounts.count,
            meanPasses: chosen?.trial.passes.mean ?? Double(full.passes),
            oraclePasses: Double(oracleCounts.reduce(0, +)) / Double(max(1, oracleCounts.count)),
            tested: zip(trials, p).map { item, p in
                CalibrationRecord.Tested(
                    rule: item.rule.notation,
                    risk: item.trial.losses.reduce(0, +) / Double(item.trial.losses.count), p: p,
                    meanPasses: item.trial.passes.mean ?? 0)
            }, note: note, createdBy: "etd \(Product.version)")
    }

    /// Share of each sequence's tokens whose most likely next token is not full depth's.
    private func trial(
        _ rule: HaltingRule, _ full: Thinking, _ requests: [ScoreRequest], _ answers: [[Int32]],
        _ loaded: LoadedModel, _ router: Router?, _ progress: ProgressReporter
    ) throws -> Trial {
        let scorer = try Scorer(
            model: loaded.model,
            thinking: Thinking(full.split, maximum: full.passes, rule: rule, policy: policy),
            router: router)
        var trial = Trial()
        try scorer.score(requests) { index, score in
            let differing = zip(score.likeliest, answers[index]).count { $0 != $1 }
            trial.losses.append(Double(differing) / Double(max(1, answers[index].count)))
            trial.passes.add(score.passes ?? [])
            progress.advance(by: 1)
        }
        return trial
    }

    private func tell(_ record: CalibrationRecord) {
        func rounded(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
        if let note = record.note { Terminal.note(note) }
        Terminal.note(
            "\(record.rule): with probability \(1 - record.delta) at most "
                + "\(rounded(record.epsilon * 100)) % of a text's tokens differ from full depth's; "
                + "\(rounded(record.meanPasses)) of \(record.maximum) passes on average, an oracle "
                + "\(rounded(record.oraclePasses)) (\(record.sequences) sequences of forced text)")
    }
}
