import ArgumentParser
import Commands
import Models
import Tokenizers

struct Calibrate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Choose a halting rule's threshold, with a promise about what it changes.",
        discussion: """
            Learn-then-Test (arXiv 2110.01052): with probability 1 - delta over the sample, at most \
            epsilon of a text's tokens have another most likely next token than at full depth, on \
            average over texts like those of --input. Thresholds are tested from full depth down, each \
            with a Hoeffding-Bentkus p-value over sequences, until one fails. A sequence counts once, since \
            its tokens are not independent; with too few sequences (below 299 for epsilon 0.01, delta \
            0.05) the answer is full depth. Texts are forced: what the model would write itself is not \
            looked at. The promise stands for this model, split, maximum, policy and precision.

            Lines of --input are those of etd score; only scored tokens count. The file goes to \
            --adaptive of generate and score.

            Example:
              etd calibrate --model smollm2-135m-instruct --split 9-9-12 --rule change \\
                --max-iterations 3 --epsilon 0.05 --delta 0.05 --input texts.jsonl --out calibration.json
            """)

    @OptionGroup(title: "Model options") var model: ModelOptions
    @OptionGroup(title: "Split options") var split: SplitOptions
    @OptionGroup var replacing: OverwriteOption
    @OptionGroup var output: OutputOptions

    @Option(
        help: ArgumentHelp(
            "The rule: \(HaltingRule.kinds.map(\.name).joined(separator: ", ")).",
            valueName: "rule"))
    var rule: String

    @Option(
        help: ArgumentHelp(
            "Full depth: the most passes. Default: the split's, else 10.", valueName: "k"))
    var maxIterations: Int?

    @Option(
        help: ArgumentHelp(
            "A halted token's keys and values in deeper passes.", valueName: "policy"))
    var kvPolicy: KeyValuePolicy = .recompute

    @Option(help: ArgumentHelp("The largest share of differing tokens.", valueName: "e"))
    var epsilon: Double = 0.01

    @Option(help: ArgumentHelp("The probability that the promise fails.", valueName: "d"))
    var delta: Double = 0.05

    @Option(
        help: ArgumentHelp(
            "The texts, a .jsonl or .jsonl.gz file, or - for standard input.", valueName: "file"))
    var input: String

    @Option(help: ArgumentHelp("Where the result goes; - is standard output.", valueName: "file"))
    var out: String

    @Option(help: "Special tokens before each text: auto (what the tokenizer adds), always, never.")
    var bos: BOSPolicy = .auto

    func validate() throws {
        try OptionRange.check(maxIterations, "--max-iterations", to: OptionRange.iterations)
        guard HaltingRule.kinds.contains(where: { $0.name == rule }) else {
            throw ValidationError(
                "--rule \(rule): known are \(HaltingRule.kinds.map(\.name).joined(separator: ", ")); the "
                    + "threshold is what calibrate chooses")
        }
        guard split.split != nil else {
            throw ValidationError("--split is missing: it says where the think block is")
        }
        if split.iterations != nil {
            throw ValidationError("full depth is --max-iterations, not --iterations")
        }
        for (name, value) in [("--epsilon", epsilon), ("--delta", delta)]
        where !(value > 0 && value < 1) {
            throw ValidationError("\(name) is \(value); give a number between 0 and 1")
        }
    }

    func run() throws {
        guard let kind = HaltingRule.kinds.first(where: { $0.name == rule }) else { return }
        try CalibrateRun(
            model: model, split: split, kind: kind, policy: kvPolicy, maximum: maxIterations,
            epsilon: epsilon, delta: delta, input: input, output: out, bos: bos,
            overwrite: replacing.overwrite, quiet: output.quiet
        ).run()
    }
}
