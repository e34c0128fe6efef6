import ArgumentParser
import Commands

@main
struct EtdAnalyze: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "etd-analyze",
        abstract: "Which layers of this model think?",
        discussion: """
            Measures every layer of a pretrained language model and proposes how to cut it into \
            encoder, think block and decoder (Encode, Think, Decode: arXiv 2510.07358).

            Start with:
              etd-analyze probe --model smollm2-135m-instruct --out runs/smollm2
            """,
        version: Product.version,
        subcommands: [Probe.self, Lens.self, Inspect.self, Report.self])
}
