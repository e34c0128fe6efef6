import Files

/// A value with its 95 % interval.
public struct Interval: Sendable, Equatable {
    public var value: Double
    public var low: Double
    public var high: Double

    public init(_ value: Double, _ low: Double, _ high: Double) {
        self.value = value
        self.low = low
        self.high = high
    }
}

/// `probes` of `layers.json`: what linear probes read at each boundary, task by task, and what follows
/// for the layers.
public struct ProbesRecord: Sendable, Equatable {
    /// What a probe reads at one boundary.
    public struct Reading: Sendable, Equatable {
        /// Share of test examples read right, with Wilson's interval.
        public var accuracy: Interval
        public var macroF1: Double
        /// The same on labels drawn at random per item (the control task).
        public var controlAccuracy: Double
        /// Accuracy less control accuracy, with a bootstrap interval over items.
        public var selectivity: Interval
        /// Bits of the training labels in the online code.
        public var codeLength: Double
        /// Bits of the uniform code over `codeLength`; above 1 the state tells something.
        public var compression: Double
        /// The penalty chosen on the validation examples, for the task and for the control task.
        public var strength: Double
        public var controlStrength: Double

        public init(
            accuracy: Interval, macroF1: Double, controlAccuracy: Double, selectivity: Interval,
            codeLength: Double, compression: Double, strength: Double, controlStrength: Double
        ) {
            self.accuracy = accuracy
            self.macroF1 = macroF1
            self.controlAccuracy = controlAccuracy
            self.selectivity = selectivity
            self.codeLength = codeLength
            self.compression = compression
            self.strength = strength
            self.controlStrength = controlStrength
        }
    }

    public struct Task: Sendable, Equatable {
        public var name: String
        /// `reasoning`, `surface` or `data`.
        public var kind: String
        public var difficulty: Int?
        /// The file, for data of the user's own.
        public var path: String?
        public var classes: [String]
        public var train: Int
        public var validation: Int
        public var test: Int
        /// Share of the test examples that have the most frequent training label.
        public var majority: Double
        /// One for each boundary.
        public var ridge: [Reading]
        /// One for each boundary, or none when logistic probes were not asked for.
        public var logistic: [Reading]
        /// The first boundary at which the ridge probe's selectivity has an interval above 0 and reaches
        /// half of the task's greatest, and its accuracy an interval above `majority`; nil if none.
        public var readableAt: Int?
        /// Whether the task is a surface control or readable from the embedding alone.
        public var isSurface: Bool { kind == "surface" || readableAt == 0 }

        public init(
            name: String, kind: String, difficulty: Int?, path: String?, classes: [String],
            train: Int, validation: Int, test: Int, majority: Double, ridge: [Reading],
            logistic: [Reading], readableAt: Int?
        ) {
            self.name = name
            self.kind = kind
            self.difficulty = difficulty
            self.path = path
            self.classes = classes
            self.train = train
            self.validation = validation
            self.test = test
            self.majority = majority
            self.ridge = ridge
            self.logistic = logistic
            self.readableAt = readableAt
        }
    }

    /// A boundary of the plan that was run.
    public struct Boundary: Sendable, Equatable {
        /// The layer that writes to it; nil for the embedding.
        public var layer: Int?
        /// The think block's pass, from 1; nil outside the think block.
        public var iteration: Int?

        public init(layer: Int?, iteration: Int?) {
            self.layer = layer
            self.iteration = iteration
        }
    }

    public var seed: UInt64
    /// Such as `9-9*3-12`; nil for the base model.
    public var plan: String?
    public var boundaries: [Boundary]
    public var tasks: [Task]

    public init(seed: UInt64, plan: String?, boundaries: [Boundary], tasks: [Task]) {
        self.seed = seed
        self.plan = plan
        self.boundaries = boundaries
        self.tasks = tasks
    }
}

extension ProbesRecord {
    public var json: JSON {
        [
            "seed": .string(String(seed)),
            "plan": .text(plan),
            "boundaries": .array(
                boundaries.enumerated().map { index, boundary in
                    [
                        "index": .number(index), "layer": .number(boundary.layer),
                        "iteration": .number(boundary.iteration),
                    ]
                }),
            "tasks": .array(tasks.map(\.json)),
        ]
    }

    init(_ reader: RecordReader) throws(FileError) {
        guard let seed = UInt64(try reader.string("seed")) else {
            throw reader.wrong("seed", "a whole number as a string")
        }
        self.init(
            seed: seed, plan: reader.json["plan"]?.stringValue,
            boundaries: try reader.elements("boundaries") { (element) throws(FileError) in
                Boundary(
                    layer: element.json["layer"]?.intValue,
                    iteration: element.json["iteration"]?.intValue)
            },
            tasks: try reader.elements("tasks") { (element) throws(FileError) in
                try Task(element)
            })
    }
}

extension ProbesRecord.Task {
    var json: JSON {
        [
            "name": .string(name), "kind": .string(kind), "difficulty": .number(difficulty),
            "path": .text(path), "classes": .array(classes.map(JSON.string)),
            "examples": [
                "train": .number(train), "validation": .number(validation), "test": .number(test),
            ],
            "majority": .number(majority), "readable_at": .number(readableAt),
            "surface": .bool(isSurface),
            "ridge": .array(ridge.enumerated().map { $1.json(index: $0) }),
            "logistic": .array(logistic.enumerated().map { $1.json(index: $0) }),
        ]
    }

    init(_ reader: RecordReader) throws(FileError) {
        let examples = try reader.member("examples")
        func readings(_ key: String) throws(FileError) -> [ProbesRecord.Reading] {
            try reader.elements(key) { (element) throws(FileError) in
                ProbesRecord.Reading(
                    accuracy: try Interval(element, "accuracy"),
                    macroF1: try element.double("macro_f1"),
                    controlAccuracy: try element.double("control_accuracy"),
                    selectivity: try Interval(element, "selectivity"),
                    codeLength: try element.double("code_length_bits"),
                    compression: try element.double("compression"),
                    strength: try element.double("strength"),
                    controlStrength: try element.double("control_strength"))
            }
        }
        self.init(
            name: try reader.string("name"), kind: try reader.string("kind"),
            difficulty: reader.json["difficulty"]?.intValue,
            path: reader.json["path"]?.stringValue,
            classes: (reader.json["classes"]?.arrayValue ?? []).compactMap(\.stringValue),
            train: try examples.int("train"), validation: try examples.int("validation"),
            test: try examples.int("test"), majority: try reader.double("majority"),
            ridge: try readings("ridge"), logistic: try readings("logistic"),
            readableAt: reader.json["readable_at"]?.intValue)
    }
}

extension ProbesRecord.Reading {
    func json(index: Int) -> JSON {
        var members: JSON.Object = ["index": .number(index)]
        accuracy.write("accuracy", to: &members)
        members["macro_f1"] = .number(macroF1)
        members["control_accuracy"] = .number(controlAccuracy)
        selectivity.write("selectivity", to: &members)
        members["code_length_bits"] = .number(codeLength)
        members["compression"] = .number(compression)
        members["strength"] = .number(strength)
        members["control_strength"] = .number(controlStrength)
        return .object(members)
    }
}

extension Interval {
    func write(_ name: String, to members: inout JSON.Object) {
        members[name] = .number(value)
        members[name + "_low"] = .number(low)
        members[name + "_high"] = .number(high)
    }

    init(_ reader: RecordReader, _ name: String) throws(FileError) {
        self.init(
            try reader.double(name), try reader.double(name + "_low"),
            try reader.double(name + "_high"))
    }
}
