import Files
import OrderedCollections
import Plans

/// `split.json`, schema `etd-split/v1`: a proposed split with its evidence, or an abstention.
public struct SplitRecord: Sendable, Equatable {
    public static let schema = "etd-split/v1"

    public struct Alternative: Sendable, Equatable {
        public var split: Split
        /// By name, such as `mean_angular_distance`.
        public var scores: [String: Double]

        public init(split: Split, scores: [String: Double]) {
            self.split = split
            self.scores = scores
        }
    }

    public struct Evidence: Sendable, Equatable {
        /// What this selector proposes by itself, degenerate or not; nil when it finds nothing.
        public var proposal: Split?
        /// Whatever the selector wants to show: its settings and curves.
        public var values: JSON

        public init(proposal: Split?, values: JSON) {
            self.proposal = proposal
            self.values = values
        }
    }

    public struct Cost: Sendable, Equatable {
        public var iterations: Int
        public var flopsPerToken: Double
        public var kvBytesPerToken: Double

        public init(iterations: Int, flopsPerToken: Double, kvBytesPerToken: Double) {
            self.iterations = iterations
            self.flopsPerToken = flopsPerToken
            self.kvBytesPerToken = kvBytesPerToken
        }
    }

    public var architecture: String
    public var layers: Int
    public var fingerprint: String
    /// The name of the selector that decided.
    public var method: String
    /// nil when the selector abstained.
    public var split: Split?
    public var recommendedIterations: Int?
    public var maximumIterations: Int?
    /// Share of bootstrap resamples whose think block begins and ends within one layer of this one's.
    public var confidence: Double?
    /// Why there is no split; nil when there is one.
    public var abstention: String?
    /// Best first within each length of the think block.
    public var alternatives: [Alternative]
    /// By selector name, in the order shown.
    public var evidence: OrderedDictionary<String, Evidence>
    public var cost: [Cost]
    public var createdBy: String
    /// What `select` says of all evidence together, as it stands in the file; nil in a probe's.
    public var verdict: JSON?

    public init(
        architecture: String, layers: Int, fingerprint: String, method: String, split: Split?,
        recommendedIterations: Int? = nil, maximumIterations: Int? = nil, confidence: Double?,
        abstention: String?, alternatives: [Alternative],
        evidence: OrderedDictionary<String, Evidence>, cost: [Cost], createdBy: String
    ) {
        self.architecture = architecture
        self.layers = layers
        self.fingerprint = fingerprint
        self.method = method
        self.split = split
        self.recommendedIterations = recommendedIterations
        self.maximumIterations = maximumIterations
        self.confidence = confidence
        self.abstention = abstention
        self.alternatives = alternatives
        self.evidence = evidence
        self.cost = cost
        self.createdBy = createdBy
    }
}

extension Split {
    var json: JSON {
        ["encoder": .number(encoder), "think": .number(think), "decoder": .number(decoder)]
    }

    init(_ reader: RecordReader) throws(FileError) {
        self.init(
            encoder: try reader.layers("encoder"), think: try reader.layers("think"),
            decoder: try reader.layers("decoder"))
    }
}

extension SplitRecord {
    public var json: JSON {
        guard let verdict, case .object(var members) = plain else { return plain }
        members["verdict"] = verdict
        return .object(members)
    }

    private var plain: JSON {
        [
            "schema": .string(Self.schema),
            "split": split?.json ?? .null,
            "notation": .text(split?.notation),
            "iterations": split == nil
                ? .null
                : [
                    "recommended": .number(recommendedIterations),
                    "maximum": .number(maximumIterations),
                ],
            "model": [
                "architecture": .string(architecture),
                "layers": .number(layers),
                "fingerprint": .string(fingerprint),
            ],
            "method": .string(method),
            "confidence": .number(confidence),
            "abstained": .bool(abstention != nil),
            "reason": .text(abstention),
            "alternatives": .array(
                alternatives.map { alternative in
                    [
                        "split": alternative.split.json,
                        "notation": .string(alternative.split.notation),
                        "scores": .object(
                            JSON.Object(
                                uniqueKeysWithValues: alternative.scores.sorted { $0.key < $1.key }
                                    .map { ($0.key, JSON.number($0.value)) })),
                    ]
                }),
            "evidence": .object(
                JSON.Object(
                    uniqueKeysWithValues: evidence.map { name, item in
                        (name, Self.json(item))
                    })),
            "cost": .array(
                cost.map {
                    [
                        "k": .number($0.iterations), "flops_per_token": .number($0.flopsPerToken),
                        "kv_bytes_per_token": .number($0.kvBytesPerToken),
                    ]
                }),
            "created_by": .string(createdBy),
        ]
    }

    private static func json(_ item: Evidence) -> JSON {
        [
            "proposal": item.proposal.map { proposal in
                guard case .object(var members) = proposal.json else { return .null }
                members["notation"] = .string(proposal.notation)
                return .object(members)
            } ?? .null,
            "values": item.values,
        ]
    }

    /// - Throws: `FileError` naming the file and what is wrong, such as parts that do not sum to L.
    public static func read(path: String) throws(FileError) -> SplitRecord {
        try read(try JSON.read(path: path), path: path)
    }

    /// The same of what stands in the file at `path`.
    public static func read(_ json: JSON, path: String) throws(FileError) -> SplitRecord {
        let reader = try RecordReader(json, path: path, schema: schema)
        let model = try reader.member("model")
        let abstained = try reader.bool("abstained")
        let layers = try model.layers("layers")
        func checked(_ reader: RecordReader) throws(FileError) -> Split {
            let split = try Split(reader)
            guard split.encoder >= 0, split.think >= 1, split.decoder >= 0, split.layers == layers
            else {
                throw .invalid(
                    path: path,
                    problem:
                        "\(reader.place): \(split.notation) does not cut \(layers) layers into "
                        + "three parts with a think block")
            }
            return split
        }
        let alternatives = try reader.elements("alternatives") { (element) throws(FileError) in
            Alternative(
                split: try checked(element.member("split")),
                scores: (element.json["scores"]?.objectValue ?? [:]).reduce(into: [:]) {
                    $0[$1.key] = $1.value.doubleValue
                })
        }
        var evidence: OrderedDictionary<String, Evidence> = [:]
        for (name, value) in reader.json["evidence"]?.objectValue ?? [:] {
            let item = RecordReader(path: path, place: "evidence.\(name).", json: value)
            evidence[name] = Evidence(
                proposal: item.json["proposal"] == nil
                    ? nil : try Split(item.member("proposal")),
                values: item.json["values"] ?? .null)
        }
        let iterations = reader.json["iterations"]
        var record = SplitRecord(
            architecture: try model.string("architecture"), layers: layers,
            fingerprint: try model.string("fingerprint"), method: try reader.string("method"),
            split: abstained ? nil : try checked(reader.member("split")),
            recommendedIterations: iterations?["recommended"]?.intValue,
            maximumIterations: iterations?["maximum"]?.intValue,
            confidence: reader.json["confidence"]?.doubleValue,
            abstention: abstained ? try reader.string("reason") : nil, alternatives: alternatives,
            evidence: evidence,
            cost: try reader.elements("cost") { (element) throws(FileError) in
                Cost(
                    iterations: try element.int("k"),
                    flopsPerToken: try element.double("flops_per_token"),
                    kvBytesPerToken: try element.double("kv_bytes_per_token"))
            },
            createdBy: reader.json["created_by"]?.stringValue ?? "")
        if let verdict = reader.json["verdict"], verdict.objectValue != nil {
            record.verdict = verdict
        }
        return record
    }
}
