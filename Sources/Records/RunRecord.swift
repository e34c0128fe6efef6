import Files

/// `run.json`, schema `etd-run/v1`: how a run was made and what it cost.
public struct RunRecord: Sendable, Equatable {
    public static let schema = "etd-run/v1"

    /// Seconds of wall time.
    public struct Timings: Sendable, Equatable {
        public var open: Double
        public var tokenize: Double
        public var pass: Double
        public var total: Double
        /// The examples of linear probes through the model, and fitting; nil without them.
        public var probeForward: Double?
        public var probeFit: Double?

        public init(
            open: Double, tokenize: Double, pass: Double, total: Double,
            probeForward: Double? = nil, probeFit: Double? = nil
        ) {
            self.open = open
            self.tokenize = tokenize
            self.pass = pass
            self.total = total
            self.probeForward = probeForward
            self.probeFit = probeFit
        }
    }

    /// The result of a check that every run makes on its first window.
    public struct SelfCheck: Sendable, Equatable {
        public var name: String
        public var value: Double
        public var limit: Double

        public init(name: String, value: Double, limit: Double) {
            self.name = name
            self.value = value
            self.limit = limit
        }
    }

    public var arguments: [String]
    /// Program and library versions by name.
    public var versions: [String: String]
    /// OpenBLAS's name for the CPU its kernels were chosen for.
    public var blasCoreType: String
    public var threads: Int
    /// By name: model fingerprint, tokenizer, data.
    public var hashes: [String: String]
    public var tokens: Int
    public var peakResidentBytes: Int
    public var timings: Timings
    public var selfChecks: [SelfCheck]
    /// UTC, ISO 8601.
    public var created: String

    public init(
        arguments: [String], versions: [String: String], blasCoreType: String, threads: Int,
        hashes: [String: String], tokens: Int, peakResidentBytes: Int, timings: Timings,
        selfChecks: [SelfCheck], created: String
    ) {
        self.arguments = arguments
        self.versions = versions
        self.blasCoreType = blasCoreType
        self.threads = threads
        self.hashes = hashes
        self.tokens = tokens
        self.peakResidentBytes = peakResidentBytes
        self.timings = timings
        self.selfChecks = selfChecks
        self.created = created
    }

    public var json: JSON {
        func object(_ values: [String: String]) -> JSON {
            .object(
                JSON.Object(
                    uniqueKeysWithValues: values.sorted { $0.key < $1.key }
                        .map { ($0.key, JSON.string($0.value)) }))
        }
        var timings: JSON.Object = [
            "open_s": .number(self.timings.open), "tokenize_s": .number(self.timings.tokenize),
            "pass_s": .number(self.timings.pass), "total_s": .number(self.timings.total),
        ]
        if let seconds = self.timings.probeForward { timings["probe_forward_s"] = .number(seconds) }
        if let seconds = self.timings.probeFit { timings["probe_fit_s"] = .number(seconds) }
        return [
            "schema": .string(Self.schema),
            "created": .string(created),
            "arguments": .array(arguments.map(JSON.string)),
            "versions": object(versions),
            "blas_core_type": .string(blasCoreType),
            "threads": .number(threads),
            "hashes": object(hashes),
            "tokens": .number(tokens),
            "peak_rss_bytes": .number(peakResidentBytes),
            "timings": .object(timings),
            "self_checks": .array(
                selfChecks.map {
                    [
                        "name": .string($0.name), "value": .number($0.value),
                        "limit": .number($0.limit),
                    ]
                }),
        ]
    }

    /// - Throws: `FileError` naming the file and the missing or wrong member.
    public static func read(path: String) throws(FileError) -> RunRecord {
        try read(try JSON.read(path: path), path: path)
    }

    /// The same of what stands in the file at `path`.
    public static func read(_ json: JSON, path: String) throws(FileError) -> RunRecord {
        let reader = try RecordReader(json, path: path, schema: schema)
        func strings(_ key: String) -> [String: String] {
            (reader.json[key]?.objectValue ?? [:]).reduce(into: [:]) {
                $0[$1.key] = $1.value.stringValue
            }
        }
        let timings = try reader.member("timings")
        return RunRecord(
            arguments: (reader.json["arguments"]?.arrayValue ?? []).compactMap(\.stringValue),
            versions: strings("versions"), blasCoreType: try reader.string("blas_core_type"),
            threads: try reader.int("threads"), hashes: strings("hashes"),
            tokens: try reader.int("tokens"), peakResidentBytes: try reader.int("peak_rss_bytes"),
            timings: Timings(
                open: try timings.double("open_s"), tokenize: try timings.double("tokenize_s"),
                pass: try timings.double("pass_s"), total: try timings.double("total_s"),
                probeForward: timings.json["probe_forward_s"]?.doubleValue,
                probeFit: timings.json["probe_fit_s"]?.doubleValue),
            selfChecks: try reader.elements("self_checks") { (element) throws(FileError) in
                SelfCheck(
                    name: try element.string("name"), value: try element.double("value"),
                    limit: try element.double("limit"))
            },
            created: reader.json["created"]?.stringValue ?? "")
    }
}
