import ArgumentParser
import Commands
import Reporting

struct Compare: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Set runs side by side: models, texts, precisions, base and looped.",
        discussion: """
            Reads the folders of two to four runs of probe and prints how their curves agree: the rank \
            correlation, the mean size of the difference to the first run, and where it is greatest. Runs on \
            the same text of eight documents or more have a 95 % band of the difference, resampled over \
            documents; runs of models with other numbers of layers are set against relative depth. Splits \
            stand beside each other.

            Examples:
              etd-analyze compare runs/base runs/trained --html compare.html
              etd-analyze compare runs/seed0 runs/seed1 --json
            """)

    @Argument(help: ArgumentHelp("Folders that probe has written, two to four.", valueName: "run"))
    var runs: [String] = []

    @Option(help: ArgumentHelp("Also write a page with the curves.", valueName: "file"))
    var html: String?

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var replacing: OverwriteOption

    func validate() throws {
        guard (2...4).contains(runs.count) else {
            throw ValidationError("Give two to four run folders, not \(runs.count).")
        }
    }

    func run() throws {
        try Terminal.write(
            RunComparing(folders: runs, html: html, json: json, overwrite: replacing.overwrite)
                .run(style: TerminalStyle.detect()))
    }
}
