import Activations
import Analysis
import ArgumentParser
import Commands
import Corpus
import Probing
import Records
import Reporting

struct Probe: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure every layer, propose a split, write a report.",
        discussion: """
            One run through the model makes every pass: angular distance between consecutive states \
            (last token and all tokens), block influence, contribution, and at every boundary the logit \
            lens and the geometry of the states (effective rank, prompt entropy, curvature, CKA \
            between boundaries). Means have standard errors over documents.

            A document's first position, and others with states far longer than the rest, are attention \
            sinks: without them the geometry would measure little else, so it leaves them out (--sinks \
            keep brings them back). Means over positions keep them, and have twins named <name>_nosink that \
            do not.

            RUN/layers.json and layers.csv hold the numbers, RUN/split.json the proposed split or why \
            there is none, RUN/report.html shows it all in a browser, RUN/run.json says how it was made. \
            Where the evidence is too thin, split.json abstains, says why and ranks alternatives.

            --relevance asks which layers are read and which are used: it finds the reasoning tasks that \
            the model does, and measures what each layer makes readable (READ, in bits) and what the \
            answers lose when it is skipped (USE, in nats).

            Linear probes, when asked for, read reasoning tasks and surface controls from every \
            boundary (`etd-analyze tasks` lists the tasks); with --split and --iterations they read the looped model, the other passes the base model.

            Examples:
              etd-analyze probe --model smollm2-135m-instruct --out runs/smollm2
              etd-analyze probe --model ./OLMo-2-0425-1B --out runs/olmo2 \\
                --data c4.jsonl.gz --sequences 1000 --sequence-length 512 \\
                --passes angular
              etd-analyze probe --model smollm2-135m-instruct --out runs/probes \\
                --probes ridge --probe-examples 500
              etd-analyze probe --model smollm2-135m-instruct --out runs/relevance \\
                --relevance --relevance-budget 20min
              etd-analyze probe --model smollm2-135m-instruct --out runs/tuned \\
                --lens tuned --tuned smollm2.lens.safetensors
            """)

    @OptionGroup(title: "Model options") var model: ModelOptions
    @OptionGroup(title: "Data options") var data: DataOptions
    @OptionGroup(title: "Lens options") var tuned: TunedLensOptions
    @OptionGroup(title: "Linear probe options") var probing: LinearProbeOptions
    @OptionGroup(title: "Relevance options") var relevance: RelevanceOptions
    @OptionGroup(title: "Split options") var split: SplitOptions
    @OptionGroup var output: OutputOptions

    @Option(
        help: ArgumentHelp(
            "The run's directory; made if missing. One that holds a run is refused.",
            valueName: "run"))
    var out: String

    @Option(
        help: ArgumentHelp(
            "Only these passes, separated by commas.",
            discussion: ChosenPasses.help + " The split needs angular.", valueName: "pass,…"),
        transform: ChosenPasses.init)
    var passes = ChosenPasses()

    @Option(
        help: ArgumentHelp(
            "The positions of each document that the lens reads: all, last or every:N.",
            discussion:
                "The lens is most of a run's work. Its means are over these positions, and the files "
                + "say which.", valueName: "which"),
        transform: PositionSelection.init(argument:))
    var lensPositions: PositionSelection = .all

    @Option(
        help: ArgumentHelp(
            "Stop when a metric's standard error is at most this at every layer or boundary.",
            discussion:
                "Such as --until \"kl_to_final 0.02\". Documents are added until then, 20 at least; "
                + "--data and --sequences bound them.", valueName: "metric bound"),
        transform: StandardErrorBound.init(argument:))
    var until: StandardErrorBound?

    @Option(
        help: ArgumentHelp(
            "Make only shard i of n, from 1: consecutive documents. `merge` joins the folders.",
            discussion:
                "The merged run has the bytes of one run. shard.h5 in the folder holds exact sums, "
                + "some hundred MiB with the geometry pass.", valueName: "i/n"),
        transform: DumpHeader.Shard.init(argument:))
    var shard: DumpHeader.Shard?

    @Option(
        help: ArgumentHelp(
            "plain or tuned.",
            discussion:
                "tuned needs --tuned, and is what --tuned means by itself; the plain readings are always "
                + "made."))
    var lens: TunedLensOptions.Lens?

    @Option(
        help: ArgumentHelp(
            "Kneedle's sensitivity S: how far below a maximum the curve must fall.",
            discussion: "Only the split depends on it; the measurements do not.", valueName: "s"))
    var sensitivity = 1.0

    @Option(
        help: ArgumentHelp(
            "drop or keep: what the geometry does with attention sinks.",
            discussion:
                "Sinks are each document's first position, and those whose state is longer than 20 times the "
                + "document's median at a third of the boundaries.",
            valueName: "drop|keep"))
    var sinks = SinksRecord.Policy.drop

    @Flag(help: "Also write the SHA-256 of every weight file, which reads them whole.")
    var hash = false

    @Flag(help: "Replace the run that --out holds.")
    var overwrite = false

    func validate() throws {
        try split.requireIterations()
        guard sensitivity.isFinite, sensitivity >= 0 else {
            throw ValidationError("--sensitivity must be 0 or more, not \(sensitivity)")
        }
        if data.sequenceLength == 1 {
            throw ValidationError(
                "--sequence-length must be at least 2 for a probe, not 1: a lone token is an "
                    + "attention sink and has no next token")
        }
        if lens == .tuned, tuned.tuned == nil {
            throw ValidationError(
                "--lens tuned needs --tuned FILE; `etd-analyze tune-lens` makes one")
        }
        if lens == .plain, tuned.tuned != nil {
            throw ValidationError(
                "--lens plain and --tuned contradict each other; give one of them")
        }
        if tuned.tuned != nil, !passes.contains(.lens) {
            throw ValidationError("--tuned is for the lens pass, which --passes leaves out")
        }
        if sinks == .keep, !passes.contains(.geometry) {
            throw ValidationError("--sinks is for the geometry pass, which --passes leaves out")
        }
        if shard != nil {
            let reason: String? =
                if until != nil {
                    "--until needs all documents in one run"
                } else if probing.depth(named: passes.includesProbes) != .none {
                    "linear probes read texts of their own; run them without --shard"
                } else if relevance.relevance {
                    "--relevance runs items of its own; ask for it without --shard"
                } else if split.split != nil {
                    "a looped plan is measured in one run"
                } else {
                    nil
                }
            if let reason { throw ValidationError("--shard: \(reason)") }
        }
        if relevance.relevance, split.split != nil {
            throw ValidationError(
                "--relevance is of the model as it is; ask for it without --split")
        }
        if lensPositions != .all, !passes.contains(.lens) {
            throw ValidationError(
                "--lens-positions is for the lens pass, which --passes leaves out")
        }
        if let until,
            !passes.measuring.contains(where: { pass in
                pass.declaration.metrics.contains { $0.name == until.metric }
            })
        {
            throw ValidationError(
                "--until \(until.metric): no pass of this run measures it; add its pass to --passes"
            )
        }
        if probing.probes == ProbeDepth.none, passes.includesProbes {
            throw ValidationError("--probes none and --passes …,probes contradict each other")
        }
    }

    func run() throws {
        let run = ProbeRun(
            model: model, data: data, passes: passes, lens: tuned, probing: probing,
            relevance: relevance, split: split,
            sensitivity: sensitivity, sinks: sinks, lensPositions: lensPositions, until: until,
            shard: shard, hashed: hash, out: out, overwrite: overwrite,
            quiet: output.quiet)
        let (layers, split, _) = try run.run()
        try Terminal.write(
            TerminalSummary.text(
                layers: layers, split: split, passes: MeasuringPass.all.map(\.declaration),
                style: .detect(), width: TerminalStyle.width()))
        try Terminal.write("\nReport: \(out)/report.html\n")
    }
}

extension SinksRecord.Policy: ExpressibleByArgument {}
