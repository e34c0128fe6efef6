import ArgumentParser
import Commands

@main
struct Etd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "etd",
        abstract: "Run a model with a split of its layers.",
        discussion: """
            The engine beside etd-analyze: turns text into tokens, scores and generates, with the \
            think block run as often as asked, trains such a model and exports it for other software.

            Start with:
              scripts/fetch-model smollm2-135m-instruct
              echo '{"text":"The cat sat on the mat."}' > in.jsonl
              etd score --model smollm2-135m-instruct --input in.jsonl --output out.jsonl

            A model is a Hugging Face directory, a .gguf file, or the short name of a fetched model \
            (scripts/fetch-model --list). Exit codes: 0 success, 1 failure (one line says why), 64 wrong \
            usage.
            """,
        version: Product.version,
        subcommands: [
            Tokenize.self, Score.self, Generate.self, Calibrate.self, Eval.self, Train.self,
            ExportCommand.self,
        ])

    static func main() { Terminal.main(Self.self) }
}
