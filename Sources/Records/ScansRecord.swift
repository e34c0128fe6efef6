import Files

/// `scans.json`, schema `etd-scans/v1`: what skipping or repeating windows of layers does.
public struct ScansRecord: Sendable, Equatable {
    public static let schema = "etd-scans/v1"

    /// A file that was read.
    public struct Source: Sendable, Equatable {
        public var path: String
        public var sha256: String
        public var count: Int

        public init(path: String, sha256: String, count: Int) {
            self.path = path
            self.sha256 = sha256
            self.count = count
        }
    }

    /// What was measured of one model or window. Margins and losses in nats.
    public struct Values: Sendable, Equatable {
        /// Mean of log P(gold) - max log P(other).
        public var margin: Estimate
        /// Share of margins above 0.
        public var accuracy: Estimate
        /// Mean negative log-probability per scored token of the text.
        public var nll: Estimate

        public init(margin: Estimate, accuracy: Estimate, nll: Estimate) {
            self.margin = margin
            self.accuracy = accuracy
            self.nll = nll
        }
    }

    public struct Window: Sendable, Equatable {
        /// skip, loop, half, damped, heun or rk4.
        public var kind: String
        public var start: Int
        public var length: Int
        /// nil for skip.
        public var iterations: Int?
        /// search or confirm.
        public var stage: String
        /// Items and documents behind the values.
        public var items: Int
        public var documents: Int
        public var values: Values
        /// The window's less the model's own, on the same items and documents.
        public var change: Values
        /// What `change.margin` has beyond what the cost to text explains; nil where that is unknown.
        public var residual: Double?

        public init(
            kind: String, start: Int, length: Int, iterations: Int?, stage: String, items: Int,
            documents: Int, values: Values, change: Values
        ) {
            self.kind = kind
            self.start = start
            self.length = length
            self.iterations = iterations
            self.stage = stage
            self.items = items
            self.documents = documents
            self.values = values
            self.change = change
        }
    }

    /// How a looped window goes on, mean over the text's documents; nil where states overflow.
    public struct Dynamics: Sendable, Equatable {
        public var start: Int
        public var length: Int
        /// ‖T^k h - T^(k-1) h‖/‖h‖ for k = 1, 2, …
        public var change: [Double?]
        /// The cosine of the k-th change and the one before, for k = 2, 3, …
        public var cosine: [Double?]

        public init(start: Int, length: Int, change: [Double?], cosine: [Double?]) {
            self.start = start
            self.length = length
            self.change = change
            self.cosine = cosine
        }
    }

    /// How the windows shared the items.
    public struct Racing: Sendable, Equatable {
        public var isOn: Bool
        public var seed: UInt64
        public var search: Int
        public var confirmation: Int

        public init(isOn: Bool, seed: UInt64, search: Int, confirmation: Int) {
            self.isOn = isOn
            self.seed = seed
            self.search = search
            self.confirmation = confirmation
        }
    }

    public var model: ModelRecord
    public var precision: String
    public var bos: String
    /// nil without items.
    public var items: Source?
    /// Items left out because they are longer than the model's context.
    public var tooLong: Int
    /// `count` is tokens; nil without text.
    public var text: Source?
    public var documents: Int
    public var racing: Racing
    public var base: Values
    public var windows: [Window]
    /// What the gate said of each task that it judged.
    public var gate: [RelevanceRecord.Trial] = []
    public var dynamics: [Dynamics] = []
    /// Mean relative change of what a later layer adds, by skipped and later layer; nil where it was not
    /// measured.
    public var skipEffect: [[Double?]]?
    /// Windows that were asked for and of which nothing was measured.
    public var notRun: Int
    /// Whether all that was asked for has been measured.
    public var isComplete: Bool
    /// Layers executed by the run that wrote this, counted once for a row; and what the same
    /// measurements take when nothing is shared.
    public var executions: Int
    public var naiveExecutions: Int
    /// Rows that went through the head in that run.
    public var headRows = 0

    public init(
        model: ModelRecord, precision: String, bos: String, items: Source?, tooLong: Int,
        text: Source?, documents: Int, racing: Racing, base: Values, windows: [Window],
        notRun: Int, isComplete: Bool, executions: Int, naiveExecutions: Int
    ) {
        self.model = model
        self.precision = precision
        self.bos = bos
        self.items = items
        self.tooLong = tooLong
        self.text = text
        self.documents = documents
        self.racing = racing
        self.base = base
        self.windows = windows
        self.notRun = notRun
        self.isComplete = isComplete
        self.executions = executions
        self.naiveExecutions = naiveExecutions
    }
}

extension ScansRecord {
    public var json: JSON {
        [
            "schema": .string(Self.schema), "model": model.json,
            "precision": .string(precision), "bos": .string(bos),
            "items": items.map {
                [
                    "path": .string($0.path), "sha256": .string($0.sha256),
                    "count": .number($0.count), "too_long": .number(tooLong),
                ]
            } ?? .null,
            "text": text.map {
                [
                    "path": .string($0.path), "sha256": .string($0.sha256),
                    "tokens": .number($0.count), "documents": .number(documents),
                ]
            } ?? .null,
            "racing": [
                "on": .bool(racing.isOn), "seed": .string(String(racing.seed)),
                "search_items": .number(racing.search),
                "confirm_items": .number(racing.confirmation),
            ],
            "base": .object(base.members()),
            "windows": .array(windows.map(\.json)),
            "gate": .array(gate.map(\.json)),
            "dynamics": .array(
                dynamics.map { window in
                    [
                        "start": .number(window.start), "length": .number(window.length),
                        "change": .array(window.change.map { .number($0) }),
                        "cosine": .array(window.cosine.map { .number($0) }),
                    ]
                }),
            "skip_effect": skipEffect.map { map in
                .array(map.map { row in .array(row.map { .number($0) }) })
            } ?? .null,
            "not_run": .number(notRun), "complete": .bool(isComplete),
            "layer_executions": .number(executions),
            "naive_layer_executions": .number(naiveExecutions), "head_rows": .number(headRows),
        ]
    }

    /// - Throws: `FileError`.
    public static func read(path: String) throws(FileError) -> ScansRecord {
        let json = try JSON.read(path: path)
        let reader = try RecordReader(json, path: path, schema: schema)
        let racing = try reader.member("racing")
        guard let seed = UInt64(try racing.string("seed")) else {
            throw racing.wrong("seed", "a whole number as a string")
        }
        func source(
            _ name: String, _ count: String
        ) throws(FileError) -> (source: Source, reader: RecordReader)? {
            if reader.json[name] == nil { return nil }
            let member = try reader.member(name)
            return (
                Source(
                    path: try member.string("path"), sha256: try member.string("sha256"),
                    count: try member.int(count)), member
            )
        }
        let items = try source("items", "count")
        let text = try source("text", "tokens")
        var record = ScansRecord(
            model: try ModelRecord(reader.member("model")),
            precision: try reader.string("precision"), bos: try reader.string("bos"),
            items: items?.source, tooLong: try items?.reader.int("too_long") ?? 0,
            text: text?.source, documents: try text?.reader.int("documents") ?? 0,
            racing: Racing(
                isOn: try racing.bool("on"), seed: seed, search: try racing.int("search_items"),
                confirmation: try racing.int("confirm_items")),
            base: Values(try reader.member("base")),
            windows: try reader.elements("windows") { (element) throws(FileError) in
                try Window(element)
            },
            notRun: try reader.int("not_run"), isComplete: try reader.bool("complete"),
            executions: try reader.int("layer_executions"),
            naiveExecutions: try reader.int("naive_layer_executions"))
        record.headRows = reader.json["head_rows"]?.intValue ?? 0
        if reader.json["gate"]?.arrayValue != nil {
            record.gate = try reader.elements("gate") { (trial) throws(FileError) in
                try RelevanceRecord.Trial(trial)
            }
        }
        if reader.json["dynamics"]?.arrayValue != nil {
            record.dynamics = try reader.elements("dynamics") { (window) throws(FileError) in
                Dynamics(
                    start: try window.layers("start"), length: try window.layers("length"),
                    change: (window.json["change"]?.arrayValue ?? []).map(\.doubleValue),
                    cosine: (window.json["cosine"]?.arrayValue ?? []).map(\.doubleValue))
            }
        }
        if reader.json["skip_effect"]?.arrayValue != nil {
            record.skipEffect = try reader.matrix("skip_effect")
        }
        return record
    }
}

extension ScansRecord.Values {
    /// - Parameter suffix: put behind each name.
    func members(_ suffix: String = "") -> JSON.Object {
        var members: JSON.Object = [:]
        for (name, estimate) in [("margin", margin), ("accuracy", accuracy), ("nll", nll)] {
            members[name + suffix] = .number(estimate.mean)
            members[name + suffix + "_se"] = .number(estimate.standardError)
        }
        return members
    }

    init(_ reader: RecordReader, _ suffix: String = "") {
        func estimate(_ name: String) -> Estimate {
            Estimate(
                mean: reader.json[name + suffix]?.doubleValue,
                standardError: reader.json[name + suffix + "_se"]?.doubleValue)
        }
        self.init(
            margin: estimate("margin"), accuracy: estimate("accuracy"), nll: estimate("nll"))
    }
}

extension ScansRecord.Window {
    var json: JSON {
        var members: JSON.Object = [
            "kind": .string(kind), "start": .number(start), "length": .number(length),
            "iterations": .number(iterations), "stage": .string(stage), "items": .number(items),
            "documents": .number(documents),
        ]
        for (name, value) in values.members() { members[name] = value }
        for (name, value) in change.members("_delta") { members[name] = value }
        members["margin_residual"] = .number(residual)
        return .object(members)
    }

    init(_ reader: RecordReader) throws(FileError) {
        self.init(
            kind: try reader.string("kind"), start: try reader.layers("start"),
            length: try reader.layers("length"), iterations: reader.json["iterations"]?.intValue,
            stage: try reader.string("stage"), items: try reader.int("items"),
            documents: try reader.int("documents"), values: .init(reader),
            change: .init(reader, "_delta"))
        residual = reader.json["margin_residual"]?.doubleValue
    }
}
