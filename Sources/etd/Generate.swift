import ArgumentParser
import Commands
import Tokenizers

struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Go on from a prompt, with the think block run as often as asked.",
        discussion: """
            With --prompt the text goes to standard output as it comes. With --input each line is a JSON \
            object: {"prompt":…}, {"tokens":[…]} or, with --chat, {"messages":[…]}, if wanted with "split", "iterations", "max_tokens", \
            "stop" (a string or several), "seed" and "id"; requests run together, whatever their depth. \
            Each line of the output is {"index","prompt_tokens","tokens","text","finish_reason"}: \
            prompt_tokens are the ids that ran as the prompt, tokens the new ids, finish_reason stop or \
            length; index counts the input's lines from 0. The most likely token is taken unless \
            --temperature, --top-k, --top-p or --min-p ask for draws.

            Examples:
              etd generate --model smollm2-135m-instruct --prompt 'The sky is' --max-tokens 20
              etd generate --model smollm2-135m-instruct --split 9-9-12 --iterations 2 \\
                --input in.jsonl --output out.jsonl --json
              etd generate --model smollm2-135m-instruct --split 9-9-12 --adaptive 'change<0.2' \\
                --max-iterations 4 --kv-policy last --prompt 'The sky is'
            """)

    @OptionGroup(title: "Model options") var model: ModelOptions
    @OptionGroup(title: "Split options") var split: SplitOptions
    @OptionGroup(title: "Thinking options") var think: ThinkOptions
    @OptionGroup(title: "Text options") var options: GenerateOptions
    @OptionGroup var replacing: OverwriteOption
    @OptionGroup var output: OutputOptions

    @Option(help: ArgumentHelp("What to go on from; - is standard input.", valueName: "text"))
    var prompt: String?

    @Option(
        help: ArgumentHelp(
            "The requests, a .jsonl or .jsonl.gz file, or - for standard input.",
            valueName: "file"))
    var input: String?

    @Option(
        name: .customLong("output"),
        help: ArgumentHelp(
            "Where the results go; written when all are done. - is standard output.",
            discussion: """
                A file that is there is refused. Beside a file, <file>.run.json says what made it. \
                After Ctrl-C, <file>.partial holds what was finished.
                """, valueName: "file"))
    var results: String?

    @Option(help: "Special tokens before each text: auto (what the tokenizer adds), always, never.")
    var bos: BOSPolicy = .auto

    func validate() throws {
        try think.check(with: split)
        guard (prompt == nil) != (input == nil) else {
            throw ValidationError(
                prompt == nil
                    ? "give --prompt TEXT, or --input FILE with --output FILE"
                    : "give --prompt or --input, not both")
        }
        guard (input == nil) == (results == nil) else {
            throw ValidationError(
                input == nil ? "--output goes with --input" : "--input needs --output FILE")
        }
        if prompt != nil, options.logprobs != nil, !options.json {
            throw ValidationError("--logprobs with --prompt needs --json")
        }
        if prompt != nil, options.skipBad {
            throw ValidationError("--skip-bad goes with --input")
        }
    }

    func run() throws {
        let run = GenerateRun(
            model: model, split: split, think: think, options: options, bos: bos,
            overwrite: replacing.overwrite, quiet: output.quiet)
        if let prompt { return try run.run(.prompt(prompt)) }
        if let input, let results { try run.run(.file(input: input, output: results)) }
    }
}
