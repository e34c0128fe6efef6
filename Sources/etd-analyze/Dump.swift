import ArgumentParser
import Commands

struct Dump: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Store what the layers hold as an HDF5 file.",
        discussion: """
            Runs the data through the model and writes the wanted sites, block by block, from a thread \
            of its own. The file opens with h5py; docs/activation-dumps.md says what stands where.

            While it runs, finished parts stand in <out>.parts. The same command continues a run that \
            was killed. On a cluster each job makes a shard (--shard 3/16), and `merge` joins them.

            Examples:
              etd-analyze dump --model smollm2-135m-instruct --out acts.h5
              etd-analyze dump --model ./OLMo-2-0425-1B --data c4.jsonl.gz --tokens 1000000 \\
                --sites resid,attn_out,mlp_out --dtype bf16 --out olmo2.h5
              etd-analyze dump --model gemma-3-270m --data lines.jsonl --labels --positions last \\
                --out last.h5
              etd-analyze dump --model smollm2-135m-instruct --data c4.jsonl.gz --moments \\
                --out moments.h5
            """)

    @OptionGroup(title: "Model options") var model: ModelOptions
    @OptionGroup(title: "Data options") var data: DataOptions
    @OptionGroup(title: "Split options") var split: SplitOptions
    @OptionGroup(title: "Dump options") var dump: DumpOptions
    @OptionGroup var output: OutputOptions

    @Option(help: ArgumentHelp("The file to write. One that exists is refused.", valueName: "file"))
    var out: String

    @Flag(help: "Replace the file that --out names.")
    var overwrite = false

    func validate() throws {
        try split.requireIterations()
        if out.lowercased().hasSuffix(".npy") || out.lowercased().hasSuffix(".npz") {
            throw ValidationError(
                "--out \(out): a dump is an HDF5 file, not NumPy's; name it \(out.dropLast(4)).h5, "
                    + "which h5py opens as arrays")
        }
    }

    func run() throws {
        let summary = try DumpRun(
            model: model, data: data, split: split, dump: dump, out: out, overwrite: overwrite,
            quiet: output.quiet
        ).run()
        let text =
            "\(out): \(summary.rows) tokens of \(summary.documents) documents, "
            + "\(summary.bytes) bytes"
        if try !Terminal.isStandardOutput(out) {
            try Terminal.write(text + "\n")
        } else if !output.quiet {
            Terminal.note(text)
        }
    }
}

struct Merge: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Join the shards of one dump.",
        discussion: """
            The shards of `dump --shard i/n`, each once and in any order. The result holds what the \
            unsharded run would have written.

            Example:
              etd-analyze merge shards/*.h5 --out acts.h5
            """)

    @Argument(help: ArgumentHelp("The shards.", valueName: "shard"))
    var shards: [String]

    @Option(help: ArgumentHelp("The file to write. One that exists is refused.", valueName: "file"))
    var out: String

    @Flag(help: "Replace the file that --out names.")
    var overwrite = false

    func run() throws { try MergeRun.run(shards, out: out, overwrite: overwrite) }
}
