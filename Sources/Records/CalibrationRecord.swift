import Files
import Plans

/// `calibration.json`, schema `etd-calibration/v1`: the threshold of a halting rule, with a promise about
/// how often its answers differ from full depth's.
public struct CalibrationRecord: Sendable, Equatable {
    public static let schema = "etd-calibration/v1"

    /// One threshold that was tested.
    public struct Tested: Sendable, Equatable {
        /// As `--adaptive` takes it.
        public var rule: String
        /// Mean loss of the sequences.
        public var risk: Double
        /// Of the hypothesis that the risk is above ε.
        public var p: Double
        public var meanPasses: Double

        public init(rule: String, risk: Double, p: Double, meanPasses: Double) {
            self.rule = rule
            self.risk = risk
            self.p = p
            self.meanPasses = meanPasses
        }
    }

    public var fingerprint: String
    public var split: Split
    /// Full depth.
    public var maximum: Int
    public var policy: String
    public var precision: String
    /// The chosen rule with its threshold; one at which no token halts where none passed.
    public var rule: String
    /// Whether a threshold passed; otherwise the answer is full depth.
    public var isEarly: Bool
    public var epsilon: Double
    public var delta: Double
    public var sequences: Int
    public var tokens: Int
    public var meanPasses: Double
    /// The least number of passes, the same for all tokens of a text, at which a token's answer is full
    /// depth's; mean over tokens.
    public var oraclePasses: Double
    /// In the order of the tests; the last one failed unless all passed.
    public var tested: [Tested]
    /// Why the answer is full depth; nil where it is not.
    public var note: String?
    public var createdBy: String

    public init(
        fingerprint: String, split: Split, maximum: Int, policy: String, precision: String,
        rule: String, isEarly: Bool, epsilon: Double, delta: Double, sequences: Int, tokens: Int,
        meanPasses: Double, oraclePasses: Double, tested: [Tested], note: String?, createdBy: String
    ) {
        self.fingerprint = fingerprint
        self.split = split
        self.maximum = maximum
        self.policy = policy
        self.precision = precision
        self.rule = rule
        self.isEarly = isEarly
        self.epsilon = epsilon
        self.delta = delta
        self.sequences = sequences
        self.tokens = tokens
        self.meanPasses = meanPasses
        self.oraclePasses = oraclePasses
        self.tested = tested
        self.note = note
        self.createdBy = createdBy
    }

    public var json: JSON {
        [
            "schema": .string(Self.schema),
            "model": ["fingerprint": .string(fingerprint)],
            "split": split.json,
            "maximum": .number(maximum),
            "kv_policy": .string(policy),
            "precision": .string(precision),
            "rule": .string(rule),
            "early": .bool(isEarly),
            "epsilon": .number(epsilon),
            "delta": .number(delta),
            "n": .number(sequences),
            "tokens": .number(tokens),
            "unit": "sequence",
            "text": "forced",
            "loss":
                "share of a sequence's tokens whose most likely next token differs from full depth's",
            "test": "Hoeffding-Bentkus, fixed sequence from full depth down",
            "mean_passes": .number(meanPasses),
            "oracle_passes": .number(oraclePasses),
            "tested": .array(
                tested.map {
                    [
                        "rule": .string($0.rule), "risk": .number($0.risk), "p": .number($0.p),
                        "mean_passes": .number($0.meanPasses),
                    ]
                }),
            "note": .text(note),
            "created_by": .string(createdBy),
        ]
    }

    /// - Throws: `FileError` for a file that cannot be read or is none.
    public static func read(path: String) throws(FileError) -> CalibrationRecord {
        let reader = try RecordReader(JSON.read(path: path), path: path, schema: schema)
        return CalibrationRecord(
            fingerprint: try reader.member("model").string("fingerprint"),
            split: try Split(reader.member("split")), maximum: try reader.int("maximum"),
            policy: try reader.string("kv_policy"), precision: try reader.string("precision"),
            rule: try reader.string("rule"), isEarly: try reader.bool("early"),
            epsilon: try reader.double("epsilon"), delta: try reader.double("delta"),
            sequences: try reader.int("n"), tokens: try reader.int("tokens"),
            meanPasses: try reader.double("mean_passes"),
            oraclePasses: try reader.double("oracle_passes"),
            tested: try reader.elements("tested") { (element) throws(FileError) in
                Tested(
                    rule: try element.string("rule"), risk: try element.double("risk"),
                    p: try element.double("p"), meanPasses: try element.double("mean_passes"))
            },
            note: reader.json["note"]?.stringValue,
            createdBy: reader.json["created_by"]?.stringValue ?? "")
    }

    /// Whether an argument names such a file: a rule has no dot before its name's end and no slash.
    public static func looksLikeFile(_ argument: String) -> Bool {
        argument.contains("/") || argument.hasSuffix(".json")
    }
}
