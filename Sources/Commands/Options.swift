import Analysis
import ArgumentParser
import Corpus
import Files
import Foundation
import ModelStore
import Models
import Plans
import Records
import Selection
import Tensors
import Tokenizers

/// `--model`, and how to compute with it.
public struct ModelOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The model to look at.",
            discussion: """
                A Hugging Face directory (config.json, *.safetensors, tokenizer.json), a .gguf file, or \
                the short name of a model that scripts/fetch-model has fetched.
                """))
    public var model: String

    public enum Precision: String, ExpressibleByArgument, CaseIterable, Sendable {
        case f32, bf16
    }

    @Option(
        help: ArgumentHelp(
            "Arithmetic of the matrix products; sums are f32 in both.",
            discussion: """
                Default: bf16 where the CPU multiplies it (AVX512-BF16 or AMX), else f32. Asked for on \
                another CPU, bf16 runs as f32 and says so.
                """))
    public var precision: Precision?

    @Option(
        help: ArgumentHelp(
            "Threads to work with. Default: all cores. Results do not depend on it.",
            valueName: "n"))
    public var threads: Int?

    public init() {}

    public func validate() throws {
        try OptionRange.check(threads, "--threads", to: OptionRange.threads)
    }

    /// Applies `--threads` to this process, and says so when `--precision` cannot be had.
    public func apply(quiet: Bool) {
        if let threads { Parallel.threads = threads }
        if precision == .bf16, !Arithmetic.bf16.isAvailable, !quiet {
            Terminal.note(
                "--precision bf16: this CPU has neither AVX512-BF16 nor, in a build with oneDNN, "
                    + "AMX; computing in f32")
        }
    }

    /// The model, with notes on what had to be assumed on standard error.
    /// - Throws: `ModelStoreError`, `CheckpointError`, `ModelError`.
    public func open(quiet: Bool) throws -> LoadedModel {
        try Self.source(model).open(arithmetic: arithmetic) { if !quiet { Terminal.note($0) } }
    }

    /// What `--model` names.
    static func source(_ model: String) throws -> ModelSource {
        do {
            return try ModelSource(model)
        } catch {
            throw CommandError.flag(name: "--model", problem: error.description)
        }
    }

    /// The arithmetic that the run uses.
    public var arithmetic: Arithmetic {
        precision != .f32 && Arithmetic.bf16.isAvailable ? .bf16 : .f32
    }
}

/// `--data` and how it is cut.
public struct DataOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What to run: a .txt, .jsonl, .json.gz, .u16, .u32 or .npy file, or - for standard input.",
            discussion: """
                A text or token file is cut into consecutive windows, each one document; a line of \
                JSON lines (.jsonl, .ndjson, .json, also with .gz) is one document ("text", "tokens", or \
                "context" with "continuation"), cut to its first tokens; it may be \
                64 MiB long. A .npy without NumPy's header holds ids alone, as OLMo's do: of 2 bytes where \
                the vocabulary has at most 65,536, else of 4. Standard input is read as .jsonl where its \
                first line is a JSON object, else as .txt. Default: a text of the project's own, about \
                6,000 tokens.
                """, valueName: "file"))
    public var data: String?

    @Option(
        help: ArgumentHelp(
            "The field of a JSON line that holds its text.", valueName: "name"))
    public var textKey = "text"

    @Option(
        help: ArgumentHelp(
            "Tokens per window, an added BOS included.",
            discussion: "Default: 1024, or the model's context if that is shorter.", valueName: "n")
    )
    public var sequenceLength: Int?

    @Option(
        help: ArgumentHelp("Run at most this many windows or documents.", valueName: "k"))
    public var sequences: Int?

    @Option(
        help: ArgumentHelp(
            "Special tokens before each document: auto, always or never.",
            discussion: """
                auto: what the tokenizer adds. Token files get a BOS only with always. An added BOS is \
                run but left out of means.
                """))
    public var bos: BOSPolicy = .auto

    public init() {}

    public func validate() throws {
        try OptionRange.check(sequences, "--sequences", to: OptionRange.text)
        try OptionRange.check(sequenceLength, "--sequence-length", to: OptionRange.text)
    }
}

extension BOSPolicy: ExpressibleByArgument {}

/// `--split` and `--iterations`.
public struct SplitOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Run the layers as encoder, think block and decoder.",
            discussion: """
                Such as 7-4-5 with --iterations, 7-4*3-5 (the think block three times), or a run's \
                folder or its split.json, whose recommended number of iterations counts. One of them \
                must say how often.
                """))
    public var split: String?

    @Option(
        help: ArgumentHelp(
            "How often the think block runs. 1 is the base model.", valueName: "k"))
    public var iterations: Int?

    @Option(
        help: ArgumentHelp("Take this alternative of the split file, from 1.", valueName: "n"))
    public var alternative: Int?

    @Flag(help: "Take a split file that was made for other weights.")
    public var allowMismatch = false

    public init() {}

    public func validate() throws {
        try OptionRange.check(iterations, "--iterations", to: OptionRange.iterations)
        if split == nil, iterations != nil || alternative != nil || allowMismatch {
            throw ValidationError(
                "--iterations, --alternative and --allow-mismatch need --split, which says what to "
                    + "iterate")
        }
    }

    /// For commands where nothing else can say how often: tells at once that nothing does.
    /// - Throws: `ValidationError`, which is wrong usage.
    public func requireIterations() throws {
        // What is no notation, or a wrong one, is told when the model is known.
        if let split, iterations == nil, let notation = try? SplitNotation(split),
            notation.iterations == nil
        {
            throw Self.withoutIterations("--split \(split)", notation.split)
        }
    }

    /// A depth that nobody chose is never run: it would be the base model's, without a word.
    private static func withoutIterations(_ what: String, _ split: Split) -> ValidationError {
        ValidationError(
            "\(what) does not say how often the think block runs; add --iterations 2, or write "
                + "--split \(split.encoder)-\(split.think)*2-\(split.decoder)")
    }

    /// The plan asked for; the identity plan without `--split`.
    /// - Throws: among others `ValidationError`, which is wrong usage, for a plan that cannot be made.
    public func plan(for loaded: LoadedModel) throws -> LayerPlan {
        let layers = loaded.model.configuration.layerCount
        guard let (split, iterations) = try chosen(for: loaded) else {
            return .identity(layers: layers)
        }
        do {
            return try split.plan(iterations: iterations)
        } catch {
            throw ValidationError("--split with --iterations \(iterations): \(error)")
        }
    }

    /// The split asked for and how often its think block runs; nil without `--split`.
    /// - Throws: `ValidationError` where nothing says how often, and what `SplitSource` throws.
    func chosen(for loaded: LoadedModel) throws -> (split: Split, iterations: Int)? {
        guard let argument = split, let (split, count) = try resolved(for: loaded) else {
            return nil
        }
        guard let count else {
            let which = alternative.map { "alternative \($0)" } ?? "the split"
            throw Self.withoutIterations("\(which) of --split \(argument)", split)
        }
        return (split, count)
    }

    /// The split asked for, and how often its think block runs if anything says so; nil without
    /// `--split`.
    func resolved(for loaded: LoadedModel) throws -> (split: Split, iterations: Int?)? {
        let layers = loaded.model.configuration.layerCount
        guard let argument = split else { return nil }
        let (split, written) = try SplitSource.resolve(
            argument: argument, alternative: alternative, layers: layers,
            fingerprint: loaded.checkpoint.fingerprint, allowMismatch: allowMismatch)
        if let iterations, let written, iterations != written,
            (try? SplitNotation(argument)) != nil
        {
            throw CommandError.flag(
                name: "--iterations \(iterations)",
                problem: "--split \(argument) already says \(written); give one of them")
        }
        return (split, iterations ?? written)
    }
}

/// `--tuned` and `--lens`.
public struct TunedLensOptions: ParsableArguments {
    public enum Lens: String, ExpressibleByArgument, CaseIterable, Sendable {
        case plain, tuned
    }

    @Option(
        help: ArgumentHelp(
            "Read with this tuned lens too, beside the plain one.",
            discussion: "A file of `etd-analyze tune-lens`, made for the same weights.",
            valueName: "file"))
    public var tuned: String?

    public init() {}

    /// The lens; nil when none is asked for.
    public func lens(for loaded: LoadedModel) throws -> (lens: TunedLens, header: TunedLens.Header)?
    {
        guard let tuned else { return nil }
        return try TunedLens.read(
            tuned, model: loaded.model.configuration, fingerprint: loaded.checkpoint.fingerprint)
    }

    func record(_ header: TunedLens.Header) throws -> TunedLensRecord? {
        guard let tuned else { return nil }
        return TunedLensRecord(
            path: tuned, sha256: try SHA256.hexadecimal(ofFile: tuned),
            tokens: header.tokens, data: header.data, precision: header.precision)
    }
}

/// `--overwrite`.
public struct OverwriteOption: ParsableArguments {
    @Flag(help: "Replace a file that is there already. It keeps its permissions.")
    public var overwrite = false

    public init() {}
}

/// `--quiet`.
public struct OutputOptions: ParsableArguments {
    @Flag(help: "No progress and no notes on standard error.")
    public var quiet = false

    public init() {}
}
