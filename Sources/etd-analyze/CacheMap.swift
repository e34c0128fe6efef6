import ArgumentParser
import Commands

struct CacheMapCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cache-map",
        abstract: "Which passes of the think block need keys and values of their own.",
        discussion: """
            Replaces the keys and values that every pass of the block has by the first pass's, the last \
            one's or their mean, in one layer at a time and in all of them, and says what that does to \
            the loss of the text and to the margin of its tokens (log p less that of the likeliest other \
            one), with 95 % intervals over documents. The policy shared, one slot for all passes, runs \
            as it is. It is proposed if the upper end of a 95 % band for all changes stays within \
            --tolerance, and where --split names a split file, written into it.

            Example:
              etd-analyze cache-map --model smollm2-135m-instruct --split 9-9-12 --iterations 2 \\
                --data text.txt --sequences 16 --out runs/cache
            """)

    @OptionGroup(title: "Model options") var model: ModelOptions
    @OptionGroup(title: "Data options") var data: DataOptions
    @OptionGroup(title: "Split options") var split: SplitOptions
    @OptionGroup var replacing: OverwriteOption
    @OptionGroup var output: OutputOptions

    @Option(
        help: ArgumentHelp(
            "Nats of the text's mean loss that a policy may cost.", valueName: "nats"))
    var tolerance = 0.01

    @Option(help: ArgumentHelp("A folder; cache-map.json goes there.", valueName: "run"))
    var out: String

    func validate() throws {
        guard split.split != nil else {
            throw ValidationError("--split is missing: it says where the think block is")
        }
        try split.requireIterations()
        guard tolerance.isFinite, tolerance >= 0 else {
            throw ValidationError("--tolerance must be 0 or more, not \(tolerance)")
        }
    }

    func run() throws {
        try CacheMapRun(
            model: model, data: data, split: split, tolerance: tolerance, out: out,
            overwrite: replacing.overwrite, quiet: output.quiet
        ).run()
    }
}
