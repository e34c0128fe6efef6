import ArgumentParser
import Commands
import Export

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a split as a checkpoint that other software runs.",
        discussion: """
            Formats:
            \(ExportFormat.all.map { "  \($0.name): \($0.summary)." }.joined(separator: "\n"))

            Which one: hf-unrolled and gguf-unrolled grow with k and run anywhere; hf-etd and peft hold \
            each weight once and need transformers or PEFT. docs/exporting.md has a section per engine.

            Examples:
              etd export --model ./OLMo-2-0425-1B --split 7-4-5 --iterations 3 \\
                --format hf-unrolled --out OLMo-2-1B-7-4x3-5
              etd export --model smollm2-135m-instruct --split 9-9*2-12 \\
                --format gguf-unrolled --out smollm2-9-9x2-12.gguf
              etd export --model ./OLMo-2-0425-1B --split RUN --format hf-etd --out OLMo-2-1B-etd
            """)

    @Option(
        help: ArgumentHelp(
            "The model to export.",
            discussion: """
                A Hugging Face directory for the hf and peft formats, a .gguf file or the short name of \
                a fetched one for gguf-unrolled.
                """))
    var model: String

    @OptionGroup(title: "Split options") var split: SplitOptions

    @Option(
        help: ArgumentHelp(
            "What to write: \(ExportFormat.all.map(\.name).joined(separator: ", ")).",
            valueName: "format"))
    var format: String

    @Option(
        help: ArgumentHelp(
            "The folder to make, or for gguf-unrolled the file.",
            discussion: """
                It has its name only when it is whole. One that is there is refused without --overwrite; \
                a folder that holds other things than an export is never replaced.
                """, valueName: "path"))
    var out: String

    @OptionGroup var replacing: OverwriteOption
    @OptionGroup var output: OutputOptions

    func validate() throws {
        try split.requireIterations()
        guard split.split != nil else {
            throw ValidationError(
                "--split is missing: it says which layers are the think block, such as 7-4-5 with "
                    + "--iterations 3, or 7-4*3-5")
        }
        do { _ = try ExportFormat.named(format) } catch { throw ValidationError("\(error)") }
    }

    func run() throws {
        try ExportRun(
            model: model, split: split, format: try ExportFormat.named(format), out: out,
            overwrite: replacing.overwrite, quiet: output.quiet
        ).run()
    }
}
