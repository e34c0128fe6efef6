import ArgumentParser
import Commands

struct Report: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Rebuild the report of a run from its files.",
        discussion: "Example: etd-analyze report runs/smollm2")

    @Argument(help: "The run's directory.")
    var run: String

    func run() throws {
        Terminal.write(try RunDirectory.rebuildReport(run) + "\n")
    }
}
