import ArgumentParser
import Probing
import Relevance

/// `--relevance` and what it measures.
public struct RelevanceOptions: ParsableArguments {
    @Flag(
        help: ArgumentHelp(
            "Also score which layers are read and which are used (READ and USE).",
            discussion: """
                A gate finds the reasoning tasks that the model does. READ: bits by which a layer makes \
                the answer easier to read than its foil. USE: what the items lose when the layer is \
                skipped, beyond what plain text loses. About 6 minutes for a model of 135M in bf16 \
                on two cores of a Zen 4; --relevance-budget bounds it.
                """))
    public var relevance = false

    @Option(
        help: ArgumentHelp(
            "Only these reasoning tasks, separated by commas. Default: all of them.",
            discussion: "`etd-analyze tasks` lists them. The gate chooses the level of each.",
            valueName: "task,…"))
    public var relevanceTasks: String?

    @Option(
        help: ArgumentHelp("Items of each task that READ's probes are fitted to.", valueName: "n"))
    public var relevanceItems = 1000

    @Option(
        help: ArgumentHelp(
            "Items behind USE, over all tasks; as many of knowledge beside them.", valueName: "n"))
    public var useItems = 200

    @Option(
        help: ArgumentHelp(
            "Stop relevance after this time, such as 20min, with what there is.",
            valueName: "time"))
    public var relevanceBudget: TimeBudget?

    @Option(help: ArgumentHelp("Draws items, folds, swaps and resamples.", valueName: "n"))
    public var relevanceSeed: UInt64 = 0

    public init() {}

    public func validate() throws {
        guard relevanceItems >= 100 else {
            throw ValidationError(
                "--relevance-items must be 100 or more, not \(relevanceItems): five folds of fewer show "
                    + "nothing")
        }
        guard useItems >= 20 else {
            throw ValidationError("--use-items must be 20 or more, not \(useItems)")
        }
        if let relevanceTasks {
            for (task, _) in try ProbeTasks.parse(relevanceTasks) where task.kind != .reasoning {
                throw ValidationError(
                    "--relevance-tasks: \(task.name) is a surface control; READ and USE are of "
                        + "reasoning tasks")
            }
        }
    }

    func tasks() throws -> [GeneratedTask] {
        guard let relevanceTasks else { return ProbeTasks.all.filter { $0.kind == .reasoning } }
        return try ProbeTasks.parse(relevanceTasks).map(\.task)
    }
}
