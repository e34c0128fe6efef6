import ArgumentParser
import Commands

struct Scan: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scan",
        abstract: "Skip or repeat each window of layers and see what it does.",
        discussion: """
            A causal scan: every window of layers is left out or run several times, and the model is scored \
            on items with options (margin and accuracy) and on plain text (negative log-probability per \
            token). RUN/scans.json has a row for each window with standard errors and the difference to the \
            model as it is, RUN/evidence.h5 the values by item and document. A scan that was stopped or \
            killed goes on with the same command.

            Examples:
              etd-analyze scan --model smollm2-135m-instruct --items items.jsonl --out runs/scan
              etd-analyze scan --model smollm2-135m-instruct --kinds loop,damped --windows 9-17,12-14 \\
                --iterations 2..4 --items items.jsonl --no-racing --budget 10min --out runs/scan
            """)

    @OptionGroup(title: "Model options") var model: ModelOptions
    @OptionGroup(title: "Data options") var data: DataOptions
    @OptionGroup(title: "Scan options") var scan: ScanOptions
    @OptionGroup var overwrite: OverwriteOption
    @OptionGroup var output: OutputOptions

    @Option(
        help: ArgumentHelp(
            "The run folder to write to, made if missing.", valueName: "run"))
    var out: String

    func run() throws {
        let record = try ScanRun(
            model: model, data: data, options: scan, out: out, overwrite: overwrite.overwrite,
            quiet: output.quiet
        ).run()
        try Terminal.write(ScanRun.summary(record) + "\(out)\n")
    }
}
