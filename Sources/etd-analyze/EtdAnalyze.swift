import ArgumentParser
import Commands

@main
struct EtdAnalyze: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "etd-analyze",
        abstract: "Which layers of this model think?",
        discussion: """
            Measures every layer of a pretrained language model and proposes how to cut it into \
            encoder, think block and decoder (Encode, Think, Decode: arXiv 2510.07358). `etd` runs a \
            model with its think block repeated.

            Start with:
              scripts/fetch-model smollm2-135m-instruct
              etd-analyze probe --model smollm2-135m-instruct --out runs/smollm2

            A model is a Hugging Face directory, a .gguf file, or the short name of a fetched model \
            (scripts/fetch-model --list). Results go to standard output or --out, progress to standard \
            error. Exit codes: 0 success, 1 failure (one line says why), 64 wrong usage.
            """,
        version: Product.version,
        subcommands: [
            Probe.self, Scan.self, Select.self, Lens.self, TuneLens.self, Tasks.self, Dump.self,
            Merge.self, Compare.self, CacheMapCommand.self,
            Inspect.self, Report.self,
        ])

    static func main() { Terminal.main(Self.self) }
}
