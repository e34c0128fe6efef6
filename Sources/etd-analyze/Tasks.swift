import ArgumentParser
import Commands
import Reporting

struct Tasks: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The tasks that linear probes are fitted to.",
        discussion: """
            Reasoning tasks and surface controls, generated from a seed: the same examples on every \
            machine. Without arguments it lists them; with names it explains them and shows examples; \
            with --out it writes DIR/NAME.jsonl, which --probe-data of `probe` reads back.

            Training, validation and test examples share neither wording nor names nor the numbers a \
            label follows from. A task is NAME, or NAME:DIFFICULTY.

            Examples:
              etd-analyze tasks
              etd-analyze tasks running_sum:4 --examples 3
              etd-analyze tasks syllogism --count 2000 --out tasks
            """)

    @Argument(help: ArgumentHelp("The tasks; all when left out.", valueName: "task"))
    var names: [String] = []

    @Option(help: ArgumentHelp("Show this many examples of each named task.", valueName: "n"))
    var examples = 3

    @Option(help: ArgumentHelp("Examples of each task that --out writes.", valueName: "n"))
    var count = LinearProbeOptions.standardExamples

    @Option(help: ArgumentHelp("Seed of the generator.", valueName: "n"))
    var seed: UInt64 = 0

    @Option(help: ArgumentHelp("Write the examples into this directory.", valueName: "dir"))
    var out: String?

    @OptionGroup var replacing: OverwriteOption

    func validate() throws {
        try OptionRange.check(examples, "--examples", from: 0, to: OptionRange.examples)
        try OptionRange.check(count, "--count", to: OptionRange.examples)
        _ = try chosen()
    }

    private func chosen() throws -> ChosenTasks {
        try ChosenTasks(names.isEmpty ? "all" : names.joined(separator: ","), argument: "<task>")
    }

    func run() throws {
        let text = try TasksRun(
            tasks: chosen(), named: !names.isEmpty, shown: examples, count: count, seed: seed,
            out: out, overwrite: replacing.overwrite
        ).run(style: .detect(), width: TerminalStyle.width())
        try Terminal.write(text)
    }
}
