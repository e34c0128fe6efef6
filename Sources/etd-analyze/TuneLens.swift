import ArgumentParser
import Commands

struct TuneLens: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tune-lens",
        abstract: "Train a tuned lens: an affine translator for each boundary.",
        discussion: """
            The logit lens reads early states with a final norm and an unembedding made for late ones. A \
            tuned lens (arXiv 2303.08112) first adds A·h + b, trained for each boundary so that the \
            reading comes close to the model's own output: KL(output‖lens) is minimised, from A = b = 0, \
            the plain lens. `lens --tuned` and `probe --tuned` use the file.

            The last twentieth of the text is never trained on; at the end both lenses are compared on it, \
            and boundaries where the tuned one is not closer are named. While it runs, <out>.training holds \
            the half-done training, and the same command continues one that was killed.

            Examples:
              etd-analyze tune-lens --model smollm2-135m-instruct --data text.txt --out smollm2.lens.safetensors
              etd-analyze lens --model smollm2-135m-instruct --tuned smollm2.lens.safetensors \\
                --prompt 'The capital of France is' --html lens.html
            """)

    @OptionGroup(title: "Model options") var model: ModelOptions
    @OptionGroup(title: "Data options") var data: DataOptions
    @OptionGroup(title: "Training options") var training: LensTrainingOptions
    @OptionGroup var output: OutputOptions

    @Option(
        help: ArgumentHelp(
            "The safetensors file to write. One that exists is refused.", valueName: "file"))
    var out: String

    @Flag(help: "Replace the file that --out names, and start anew.")
    var overwrite = false

    func run() throws {
        let header = try TuneLensRun(
            model: model, data: data, training: training, out: out, overwrite: overwrite,
            quiet: output.quiet
        ).run()
        if try Terminal.isStandardOutput(out) {
            if !output.quiet { Terminal.note(header.table) }
        } else {
            try Terminal.write(header.table + "\(out)\n")
        }
    }
}
