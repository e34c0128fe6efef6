import Files

/// `relevance` of `layers.json`: which tasks the model does, and what stands behind the layers' `read_bits`
/// and `use` (docs/relevance.md).
public struct RelevanceRecord: Sendable, Equatable {
    /// A task at one level, tried by the gate.
    public struct Trial: Sendable, Equatable {
        public var task: String
        /// nil where the task has no levels.
        public var difficulty: Int?
        /// Worked examples before each question.
        public var shots: Int
        public var items: Int
        public var accuracy: Double
        /// What the model's answer has on guessing, in nats, and its standard error.
        public var information: Estimate
        public var passed: Bool

        public init(
            task: String, difficulty: Int?, shots: Int, items: Int, accuracy: Double,
            information: Estimate, passed: Bool
        ) {
            self.task = task
            self.difficulty = difficulty
            self.shots = shots
            self.items = items
            self.accuracy = accuracy
            self.information = information
            self.passed = passed
        }
    }

    public struct Read: Sendable, Equatable {
        public var tasks: [String]
        public var items: Int
        public var swaps: Int
        /// Least READ that 80 % of such layers would show, over all layers together; in bits.
        public var detectable: Double?
        /// What could not be read, as `task: reason`.
        public var unread: [String]

        public init(
            tasks: [String], items: Int, swaps: Int, detectable: Double?, unread: [String]
        ) {
            self.tasks = tasks
            self.items = items
            self.swaps = swaps
            self.detectable = detectable
            self.unread = unread
        }
    }

    public struct Use: Sendable, Equatable {
        public var tasks: [String]
        public var items: Int
        /// a and b of damage = a + b · text damage, and the layers behind them.
        public var intercept: Double
        public var slope: Double
        public var fitted: [Int]
        /// Of the band for all layers, in standard errors.
        public var critical: Double
        /// Least |USE| that 80 % of such layers would show, in nats.
        public var detectable: Double?
        /// Spearman's correlation of the two halves of the items.
        public var halfCorrelation: Double?
        /// USE by layer in each half of the items.
        public var halves: [[Double?]]

        public init(
            tasks: [String], items: Int, intercept: Double, slope: Double, fitted: [Int],
            critical: Double, detectable: Double?, halfCorrelation: Double?, halves: [[Double?]]
        ) {
            self.tasks = tasks
            self.items = items
            self.intercept = intercept
            self.slope = slope
            self.fitted = fitted
            self.critical = critical
            self.detectable = detectable
            self.halfCorrelation = halfCorrelation
            self.halves = halves
        }
    }

    public var seed: UInt64
    public var isComplete: Bool
    public var trials: [Trial]
    public var read: Read?
    public var use: Use?
    /// USE on items that ask for facts.
    public var knowledge: Use?
    /// Seconds by part.
    public var seconds: [String: Double]

    public init(
        seed: UInt64, isComplete: Bool, trials: [Trial], read: Read?, use: Use?, knowledge: Use?,
        seconds: [String: Double]
    ) {
        self.seed = seed
        self.isComplete = isComplete
        self.trials = trials
        self.read = read
        self.use = use
        self.knowledge = knowledge
        self.seconds = seconds
    }

    /// Names of the layers' scores, in the order that the report shows them.
    public static let scores = [
        "read_bits", "read_value_bits", "read_by_template_bits", "use", "use_knowledge",
        "use_damage", "use_text_damage",
    ]
}

extension RelevanceRecord {
    public var json: JSON {
        [
            "seed": .string(String(seed)), "complete": .bool(isComplete),
            "gate": .array(trials.map(\.json)), "read": read?.json ?? .null,
            "use": use?.json ?? .null, "use_knowledge": knowledge?.json ?? .null,
            "seconds": .object(
                .init(
                    uniqueKeysWithValues: seconds.sorted { $0.key < $1.key }.map {
                        ($0.key, JSON.number($0.value))
                    })),
        ]
    }

    init(_ reader: RecordReader) throws(FileError) {
        guard let seed = UInt64(try reader.string("seed")) else {
            throw reader.wrong("seed", "a whole number as a string")
        }
        func part<Part>(
            _ name: String, _ read: (RecordReader) throws(FileError) -> Part
        ) throws(FileError) -> Part? {
            reader.json[name]?.objectValue == nil ? nil : try read(reader.member(name))
        }
        self.init(
            seed: seed, isComplete: try reader.bool("complete"),
            trials: try reader.elements("gate") { (trial) throws(FileError) in try Trial(trial) },
            read: try part("read") { (read) throws(FileError) in try Read(read) },
            use: try part("use") { (use) throws(FileError) in try Use(use) },
            knowledge: try part("use_knowledge") { (use) throws(FileError) in try Use(use) },
            seconds: (reader.json["seconds"]?.objectValue ?? [:]).reduce(into: [:]) {
                $0[$1.key] = $1.value.doubleValue
            })
    }
}

extension RelevanceRecord.Trial {
    /// Such as `variable_assignment:1 (5 examples)`.
    public var label: String {
        task + (difficulty.map { ":\($0)" } ?? "") + (shots > 0 ? " (\(shots) examples)" : "")
    }

    var json: JSON {
        [
            "task": .string(task), "difficulty": .number(difficulty), "shots": .number(shots),
            "items": .number(items), "accuracy": .number(accuracy),
            "information": .number(information.mean),
            "information_se": .number(information.standardError), "passed": .bool(passed),
        ]
    }

    init(_ reader: RecordReader) throws(FileError) {
        self.init(
            task: try reader.string("task"), difficulty: reader.json["difficulty"]?.intValue,
            shots: try reader.int("shots"), items: try reader.int("items"),
            accuracy: try reader.double("accuracy"),
            information: Estimate(
                mean: reader.json["information"]?.doubleValue,
                standardError: reader.json["information_se"]?.doubleValue),
            passed: try reader.bool("passed"))
    }
}

extension RelevanceRecord.Read {
    fileprivate var json: JSON {
        [
            "tasks": .array(tasks.map(JSON.string)), "items": .number(items),
            "swaps": .number(swaps), "detectable_bits": .number(detectable),
            "unread": .array(unread.map(JSON.string)),
        ]
    }

    fileprivate init(_ reader: RecordReader) throws(FileError) {
        self.init(
            tasks: reader.strings("tasks"), items: try reader.int("items"),
            swaps: try reader.int("swaps"),
            detectable: reader.json["detectable_bits"]?.doubleValue,
            unread: reader.strings("unread"))
    }
}

extension RelevanceRecord.Use {
    fileprivate var json: JSON {
        [
            "tasks": .array(tasks.map(JSON.string)), "items": .number(items),
            "intercept": .number(intercept), "slope": .number(slope),
            "fitted_layers": .array(fitted.map { .number($0) }), "critical": .number(critical),
            "detectable": .number(detectable), "half_correlation": .number(halfCorrelation),
            "halves": .array(halves.map { half in .array(half.map { .number($0) }) }),
        ]
    }

    fileprivate init(_ reader: RecordReader) throws(FileError) {
        self.init(
            tasks: reader.strings("tasks"), items: try reader.int("items"),
            intercept: try reader.double("intercept"), slope: try reader.double("slope"),
            fitted: (reader.json["fitted_layers"]?.arrayValue ?? []).compactMap(\.intValue),
            critical: try reader.double("critical"),
            detectable: reader.json["detectable"]?.doubleValue,
            halfCorrelation: reader.json["half_correlation"]?.doubleValue,
            halves: (reader.json["halves"]?.arrayValue ?? []).map {
                ($0.arrayValue ?? []).map(\.doubleValue)
            })
    }
}

extension RecordReader {
    fileprivate func strings(_ key: String) -> [String] {
        (json[key]?.arrayValue ?? []).compactMap(\.stringValue)
    }
}
