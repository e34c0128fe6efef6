import ArgumentParser
import Commands

struct Report: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Rebuild the report of a run from its files.",
        discussion: """
            Reads RUN/layers.json, split.json and run.json and writes RUN/report.html, such as after an \
            update of etd-analyze. Nothing is measured again. Of a training run it draws the curves in \
            metrics.jsonl: loss, gradients in all and by pass, learning rate, k, speed.

            Examples:
              etd-analyze report runs/smollm2
              etd-analyze report runs/trained
            """)

    @Argument(help: ArgumentHelp("The run's directory.", valueName: "run"))
    var directory: String

    func run() throws {
        try Terminal.write(RunDirectory.rebuildReport(directory) + "\n")
    }
}
