import Files
import Plans

/// `<output>.run.json`, schema `etd-engine-run/v1`: what made the file beside it.
public struct EngineRunRecord: Sendable, Equatable {
    public static let schema = "etd-engine-run/v1"

    /// What is put behind the output's name.
    public static let suffix = ".run.json"

    public var arguments: [String]
    /// Program and library versions by name.
    public var versions: [String: String]
    /// OpenBLAS's name for the CPU its kernels were chosen for.
    public var blasCoreType: String
    public var threads: Int
    public var model: ModelRecord
    /// nil for the model as it is.
    public var split: Split?
    /// How often the think block ran; 1 for the model as it is.
    public var iterations: Int
    public var precision: String
    /// How the think block ran where that is more than so many passes, under its key; nil otherwise.
    public var thinking: Thinking?
    /// UTC, ISO 8601.
    public var created: String

    /// `adaptive` or `damped`, and how many passes that came to.
    public struct Thinking: Sendable, Equatable {
        public var key: String
        public var settings: JSON
        /// Such as `9-9*adaptive-12`.
        public var notation: String
        /// {mean, histogram} of the tokens of the output.
        public var passes: JSON

        public init(key: String, settings: JSON, notation: String, passes: JSON) {
            self.key = key
            self.settings = settings
            self.notation = notation
            self.passes = passes
        }
    }

    public init(
        arguments: [String], versions: [String: String], blasCoreType: String, threads: Int,
        model: ModelRecord, split: Split?, iterations: Int, precision: String,
        thinking: Thinking? = nil, created: String
    ) {
        self.arguments = arguments
        self.versions = versions
        self.blasCoreType = blasCoreType
        self.threads = threads
        self.model = model
        self.split = split
        self.iterations = iterations
        self.precision = precision
        self.thinking = thinking
        self.created = created
    }

    public var json: JSON {
        guard let thinking, case .object(var members) = plain else { return plain }
        members["notation"] = .string(thinking.notation)
        members[thinking.key] = thinking.settings
        members["passes"] = thinking.passes
        return .object(members)
    }

    private var plain: JSON {
        let cut: JSON =
            split.map {
                [
                    "encoder": .number($0.encoder), "think": .number($0.think),
                    "decoder": .number($0.decoder),
                ]
            } ?? .null
        let notation: JSON =
            split.map { .string("\($0.encoder)-\($0.think)*\(iterations)-\($0.decoder)") } ?? .null
        return [
            "schema": .string(Self.schema),
            "created": .string(created),
            "arguments": .array(arguments.map(JSON.string)),
            "versions": .object(
                JSON.Object(
                    uniqueKeysWithValues: versions.sorted { $0.key < $1.key }
                        .map { ($0.key, JSON.string($0.value)) })),
            "blas_core_type": .string(blasCoreType),
            "threads": .number(threads),
            "model": model.json,
            "split": cut,
            "notation": notation,
            "iterations": .number(iterations),
            "precision": .string(precision),
        ]
    }
}
