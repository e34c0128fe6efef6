import ArgumentParser
import Commands
import Files
import Reporting

struct Lens: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What each layer would predict after each token of a prompt.",
        discussion: """
            The logit lens: the final norm and the unembedding applied to the state at every boundary. \
            Boundary 0 is the embedding, the last one the model's own output. With --split and \
            --iterations the boundaries are those of the executed layers. \
            Read the table upwards: a row is a boundary, a column a token of the prompt, a cell the \
            token that would come next.

            With --tuned the table shows the tuned lens (`etd-analyze tune-lens` makes one), the page and \
            the JSON both. A boundary that the plan reaches several times has the same translator each time.

            Examples:
              etd-analyze lens --model smollm2-135m-instruct --prompt 'Paris is in'
              etd-analyze lens --model gemma-3-270m --prompt '2 + 2 =' --html lens.html
              etd-analyze lens --model smollm2-135m-instruct --tuned smollm2.lens.safetensors \\
                --prompt 'Paris is in'
            """)

    @OptionGroup(title: "Model options") var model: ModelOptions
    @OptionGroup(title: "Split options") var split: SplitOptions
    @OptionGroup(title: "Lens options") var tuned: TunedLensOptions
    @OptionGroup var replacing: OverwriteOption
    @OptionGroup var output: OutputOptions

    @Option(
        help: "The text to read; - takes standard input, without the line end that it ends with.")
    var prompt: String

    @Option(help: "Candidates per cell of --json and --html, 1 to 5.")
    var topK = 5

    @Option(
        help: ArgumentHelp(
            "Also write a page for the browser here; - writes it instead of the table.",
            valueName: "file"))
    var html: String?

    @Flag(help: "Write JSON instead of a table.")
    var json = false

    func validate() throws {
        try split.requireIterations()
        if json, html == "-" {
            throw ValidationError("--json and --html - both write to standard output; give one")
        }
        guard (1...5).contains(topK) else {
            throw ValidationError("--top-k must be from 1 to 5, not \(topK)")
        }
    }

    func run() throws {
        let page = try html.map { try Output($0, overwrite: replacing.overwrite) }
        let table = try LensRun(
            model: model, split: split, lens: tuned,
            prompt: prompt == "-" ? Terminal.inputText() : prompt, candidates: topK,
            quiet: output.quiet
        ).table()
        try page?.write(LensPage.page(table).utf8)
        if page?.kind == .standardOutput { return }
        if json {
            try Terminal.write(table.json.text() + "\n")
        } else {
            try Terminal.write(
                table.text(
                    width: TerminalStyle.width(), color: TerminalStyle.detect().color))
        }
    }
}
