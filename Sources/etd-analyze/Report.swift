import ArgumentParser
import Commands

struct Report: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Rebuild the report of a run from its files.",
        discussion: "Example: etd-analyze report runs/smollm2")

    @Argument(help: ArgumentHelp("The run's directory.", valueName: "run"))
    var directory: String

    func run() throws {
        Terminal.write(try RunDirectory.rebuildReport(directory) + "\n")
    }
}
