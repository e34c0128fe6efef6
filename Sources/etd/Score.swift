import ArgumentParser
import Commands
import Tokenizers

struct Score: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Log-likelihoods of token sequences or continuations.",
        discussion: """
            Each line of the input is a JSON object: {"tokens":[…]}, {"text":…}, \
            {"context":…,"continuation":…} or an OLMES request, {"request":{"context","continuation"}}. \
            Each line of the output is {"index","n_tokens","logprobs","sum_logprob","is_greedy"}: \
            natural logarithms over the tokens from the second on, or over the continuation's; n_tokens \
            counts them, index the input's lines from 0. A request's own "id" comes back. Nothing is written unless every line is right.

            Examples:
              etd score --model smollm2-135m-instruct --input in.jsonl --output out.jsonl
              etd score --model ./OLMo-2-0425-1B --split 7-4-5 --iterations 3 \\
                --input in.jsonl --output out.jsonl
            """)

    @OptionGroup(title: "Model options") var model: ModelOptions
    @OptionGroup(title: "Split options") var split: SplitOptions
    @OptionGroup(title: "Thinking options") var think: ThinkOptions
    @OptionGroup var replacing: OverwriteOption
    @OptionGroup var output: OutputOptions

    @Option(
        help: ArgumentHelp(
            "The requests, a .jsonl or .jsonl.gz file, or - for standard input.",
            valueName: "file"))
    var input: String

    @Option(
        name: .customLong("output"),
        help: ArgumentHelp(
            "Where the scores go; written when all are done. - is standard output.",
            discussion: """
                A file that is there is refused. Beside a file, <file>.run.json says what made it.
                """, valueName: "file"))
    var scores: String

    @Option(help: "Special tokens before each text: auto (what the tokenizer adds), always, never.")
    var bos: BOSPolicy = .auto

    @Flag(help: "Add last_logits, the logits after the last token, to each line.")
    var lastLogits = false

    func validate() throws { try think.check(with: split) }

    func run() throws {
        try ScoreRun(
            model: model, split: split, think: think, input: input, output: scores, bos: bos,
            lastLogits: lastLogits, overwrite: replacing.overwrite, quiet: output.quiet
        ).run()
    }
}
