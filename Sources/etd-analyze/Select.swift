import ArgumentParser
import Commands
import Selection

struct Select: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Weigh all evidence of saved runs and propose the think block.",
        discussion: """
            Reads what probe and scan have left in one or more run folders of one model; no model runs. With \
            --model it makes the runs that are missing first: probe --relevance, then a scan of loops and half \
            loops. Two \
            answers: may the frozen model loop a window (only if one gains on items that did not choose it, \
            with a bound for all windows together), and which window is worth training (from USE, the damage \
            of half loops, and how loops settle; unproven until trained). Every selector says what it sees, \
            and how often resamples of documents and items say the same.

            RUN/split.json has both answers, RUN/report.html shows them. Where resamples disagree, it \
            proposes nothing, says why and ranks candidates. What was not measured is named, with the \
            command that makes it.

            Examples:
              etd-analyze select --model smollm2-135m-instruct --out runs/smollm2 --budget 20min

              etd-analyze probe --model smollm2-135m-instruct --relevance --out runs/smollm2
              etd-analyze scan --model smollm2-135m-instruct --item-tasks all \\
                --kinds loop,half --out runs/smollm2
              etd-analyze select runs/smollm2
            """)

    @Argument(help: ArgumentHelp("Folders that probe or scan have written.", valueName: "run"))
    var runs: [String] = []

    @Option(
        help: ArgumentHelp(
            "Makes what --out does not hold yet of this model.",
            discussion:
                "A Hugging Face directory, a .gguf file, a hub id or a fetched model's name.",
            valueName: "model"))
    var model: String?

    @Option(
        help: ArgumentHelp(
            "Where split.json goes, and with --model the runs. Default: the first run.",
            valueName: "folder"))
    var out: String?

    @Option(
        help: ArgumentHelp(
            "With --model: stop measuring after this time, such as 20min, and weigh what there is.",
            valueName: "time"))
    var budget: TimeBudget?

    @OptionGroup var output: OutputOptions

    @Option(help: ArgumentHelp("Resamples of documents and items.", valueName: "n"))
    var resamples = 2000

    @Option(help: ArgumentHelp("Draws the resamples.", valueName: "n"))
    var seed: UInt64 = 0

    @Option(
        help: ArgumentHelp(
            "Recommend nothing that runs more layers than this many times the model's, such as 1.5x.",
            valueName: "factor"))
    var maxOverhead: Overhead?

    @Option(
        help: ArgumentHelp(
            "Recommend nothing that costs plain text more than this, in nats per token.",
            discussion:
                "Margins can grow while the model's text falls apart; inf asks for margins alone.",
            valueName: "nats"))
    var maxTextCost = Verdict.Limits.usualTextCost

    @Option(
        help: ArgumentHelp(
            "A probe of the same model on another text, to see which proposals move with the text.",
            discussion: "May be given several times. Only the sweep of settings reads it.",
            valueName: "run"))
    var otherText: [String] = []

    @Option(
        help: ArgumentHelp(
            "Weigh only every second document and item, first or second: how far the verdict depends on them.",
            valueName: "half"))
    var half: SavedEvidence.Half?

    @Flag(
        help: """
            Also time decoding with the best candidates at k = 1 to 4: one stream, milliseconds per token. Runs the \
            model; the times differ from run to run.
            """)
    var latency = false

    func validate() throws {
        guard model != nil || !runs.isEmpty else {
            throw ValidationError("Give a run folder, or --model with --out to make one.")
        }
        if model != nil, out == nil { throw ValidationError("--model needs --out for its runs") }
        if budget != nil, model == nil {
            throw ValidationError("--budget is for the runs that --model makes")
        }
        guard maxTextCost >= 0 else {
            throw ValidationError("--max-text-cost must be 0 or more, not \(maxTextCost)")
        }
        guard resamples >= 100 else {
            throw ValidationError("--resamples must be 100 or more, not \(resamples)")
        }
    }

    func run() throws {
        var folders = runs
        if let model, let out {
            try SelectMaking(
                model: .parse(["--model", model]), data: .parse([]), out: out, budget: budget,
                quiet: output.quiet
            ).run()
            folders.insert(out, at: 0)
        }
        let (record, folder, path) = try SelectRun(
            runs: folders, out: out, seed: seed, resamples: resamples,
            limits: .init(overhead: maxOverhead?.factor ?? .infinity, textCost: maxTextCost),
            otherTexts: otherText, half: half,
            latency: latency ? DecodeLatency(quiet: output.quiet) : nil
        ).run()
        try Terminal.write(SelectRun.summary(record, run: folder, model: path))
    }
}

extension SavedEvidence.Half: ExpressibleByArgument {}
