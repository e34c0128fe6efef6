import Files
import Plans

/// `results.json`, schema `etd-results/v1`: what one evaluation of one plan measured.
public struct ResultsRecord: Sendable, Equatable {
    public static let schema = "etd-results/v1"

    public struct Task: Sendable, Equatable {
        public var name: String
        public var group: String
        /// rc, mc or generate.
        public var format: String
        /// raw, per_char, per_token, uncond, exact_match or f1.
        public var metric: String
        /// A fraction, with the limits of its 95 % interval.
        public var value: Double
        public var low: Double
        public var high: Double
        public var items: Int
        /// Items whose context was cut on the left.
        public var truncated: Int
        /// Whether the metric is OLMES's for the format.
        public var isPrimary: Bool

        public init(
            name: String, group: String, format: String, metric: String, value: Double, low: Double,
            high: Double, items: Int, truncated: Int, isPrimary: Bool
        ) {
            self.name = name
            self.group = group
            self.format = format
            self.metric = metric
            self.value = value
            self.low = low
            self.high = high
            self.items = items
            self.truncated = truncated
            self.isPrimary = isPrimary
        }
    }

    /// How a task was asked.
    public struct Setting: Sendable, Equatable {
        public var name: String
        public var shots: Int
        public var data: String
        public var notes: [String]

        public init(name: String, shots: Int, data: String, notes: [String]) {
            self.name = name
            self.shots = shots
            self.data = data
            self.notes = notes
        }
    }

    public var model: ModelRecord
    public var split: Split?
    /// 1 for the base model.
    public var iterations: Int
    /// `base`, or such as `9-9*2-12`.
    public var notation: String
    public var precision: String
    public var bos: String
    /// Tokens a request may have.
    public var maximumLength: Int
    public var limit: Int?
    public var settings: [Setting]
    public var tasks: [Task]
    /// `adaptive` or `damped` with its settings; nil where the think block runs `iterations` times in a row.
    public var thinking: (key: String, value: JSON)?
    /// Passes of a token on average, where each thinks on its own account.
    public var meanPasses: Double?

    public static func == (a: ResultsRecord, b: ResultsRecord) -> Bool { a.json == b.json }

    public init(
        model: ModelRecord, split: Split?, iterations: Int, notation: String, precision: String,
        bos: String, maximumLength: Int, limit: Int?, settings: [Setting], tasks: [Task]
    ) {
        self.model = model
        self.split = split
        self.iterations = iterations
        self.notation = notation
        self.precision = precision
        self.bos = bos
        self.maximumLength = maximumLength
        self.limit = limit
        self.settings = settings
        self.tasks = tasks
    }

    /// OLMES's own figure of each task: the better of its two formats' primary metrics, chosen on the test
    /// score; the format can differ between two plans.
    public var olmesMaximum: [Task] {
        var best: [Task] = []
        for task in tasks where task.isPrimary {
            if let index = best.firstIndex(where: { $0.name == task.name }) {
                if task.value > best[index].value { best[index] = task }
            } else {
                best.append(task)
            }
        }
        return best
    }

    public var json: JSON {
        var members = fixed
        if let thinking { members[thinking.key] = thinking.value }
        if let meanPasses { members["mean_passes"] = .number(meanPasses) }
        return .object(members)
    }

    private var fixed: JSON.Object {
        [
            "schema": .string(Self.schema), "model": model.json,
            "split": split.map {
                [
                    "encoder": .number($0.encoder), "think": .number($0.think),
                    "decoder": .number($0.decoder),
                ]
            } ?? .null,
            "iterations": .number(iterations), "notation": .string(notation),
            "precision": .string(precision), "bos": .string(bos),
            "max_length": .number(maximumLength), "limit": .number(limit),
            "settings": .array(
                settings.map {
                    [
                        "name": .string($0.name), "shots": .number($0.shots),
                        "data": .string($0.data), "notes": .array($0.notes.map(JSON.string)),
                    ]
                }),
            "tasks": .array(
                tasks.map {
                    [
                        "name": .string($0.name), "group": .string($0.group),
                        "format": .string($0.format), "metric": .string($0.metric),
                        "value": .number($0.value), "low": .number($0.low),
                        "high": .number($0.high), "items": .number($0.items),
                        "truncated": .number($0.truncated), "primary": .bool($0.isPrimary),
                    ]
                }),
            "olmes_maximum": .array(
                olmesMaximum.map {
                    [
                        "name": .string($0.name), "format": .string($0.format),
                        "metric": .string($0.metric), "value": .number($0.value),
                    ]
                }),
        ]
    }

    /// - Throws: `FileError` naming the file and the missing or wrong member.
    public static func read(path: String) throws(FileError) -> ResultsRecord {
        let reader = try RecordReader(try JSON.read(path: path), path: path, schema: schema)
        var split: Split?
        if reader.json["split"] != nil {
            let member = try reader.member("split")
            split = Split(
                encoder: try member.int("encoder"), think: try member.int("think"),
                decoder: try member.int("decoder"))
        }
        var record = ResultsRecord(
            model: try ModelRecord(reader.member("model")), split: split,
            iterations: try reader.int("iterations"), notation: try reader.string("notation"),
            precision: try reader.string("precision"), bos: try reader.string("bos"),
            maximumLength: try reader.int("max_length"), limit: reader.json["limit"]?.intValue,
            settings: try reader.elements("settings") { (element) throws(FileError) in
                Setting(
                    name: try element.string("name"), shots: try element.int("shots"),
                    data: try element.string("data"),
                    notes: (element.json["notes"]?.arrayValue ?? []).compactMap(\.stringValue))
            },
            tasks: try reader.elements("tasks") { (element) throws(FileError) in
                Task(
                    name: try element.string("name"), group: try element.string("group"),
                    format: try element.string("format"), metric: try element.string("metric"),
                    value: try element.double("value"), low: try element.double("low"),
                    high: try element.double("high"), items: try element.int("items"),
                    truncated: try element.int("truncated"),
                    isPrimary: try element.bool("primary"))
            })
        record.thinking =
            ["adaptive", "damped"].lazy.compactMap { key in
                reader.json[key].map { (key, $0) }
            }.first
        record.meanPasses = reader.json["mean_passes"]?.doubleValue
        return record
    }
}
