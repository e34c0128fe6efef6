import Files

/// `evidence.h5`, schema `etd-evidence/v1`: the values behind means, by item and by document, so that
/// statistics run without the model.
public struct EvidenceFile: Sendable, Equatable {
    public static let schema = "etd-evidence/v1"

    /// Scans of one kind; `base` is the model as it is, one window without layers.
    public struct Scans: Sendable, Equatable {
        public var kind: String
        /// Start, length and iterations of each window, 0 where it has none.
        public var windows: [[Int32]]
        /// Margins in nats by window and item; NaN where an item was not seen.
        public var margins: [[Double]]
        /// -log P summed over a document's scored tokens, by window and document.
        public var nll: [[Double]]
        /// Log-odds of the gold option in nats, as `margins`; empty in files of before.
        public var logOdds: [[Double]]

        public init(
            kind: String, windows: [[Int32]], margins: [[Double]], logOdds: [[Double]] = [],
            nll: [[Double]]
        ) {
            self.kind = kind
            self.windows = windows
            self.margins = margins
            self.logOdds = logOdds
            self.nll = nll
        }
    }

    /// Values of one metric by document.
    public struct Table: Sendable, Equatable {
        public var name: String
        /// Layers, boundaries, or heads of all layers.
        public var places: Int
        /// Sums over a document's values; NaN where it has none. [documents][places]
        public var sums: [Double]
        /// How many values there are, where it is not the document's tokens. [documents][places]
        public var counts: [Double]?

        public init(name: String, places: Int, sums: [Double], counts: [Double]?) {
            self.name = name
            self.places = places
            self.sums = sums
            self.counts = counts
        }
    }

    /// Values of pairs of boundaries by document.
    public struct Blocks: Sendable, Equatable {
        public var name: String
        /// Two boundaries each.
        public var pairs: [[Int32]]
        /// [documents][pairs]
        public var values: [Double]

        public init(name: String, pairs: [[Int32]], values: [Double]) {
            self.name = name
            self.pairs = pairs
            self.values = values
        }
    }

    /// What a probe measured.
    public struct Probe: Sendable, Equatable {
        public var layers: [Table] = []
        public var boundaries: [Table] = []
        public var blocks: Blocks?
        /// Statistics that are no sums over documents, without one of 20 blocks of documents after the
        /// other: `values` is [20][places].
        public var jackknife: [Table] = []

        public init() {}
        public var isEmpty: Bool { self == Probe() }
    }

    public var probe = Probe()
    /// Of the model without loops, beside a looped one.
    public var base = Probe()
    public var relevance = Relevance()
    public var skipEffect: SkipEffect?
    public var dynamics: Dynamics?
    /// SHA-256 of each document's ids, as little-endian i32.
    public var sha256: [String]
    /// Tokens of each document, without added ones.
    public var tokens: [Int64]
    /// Scored tokens of each document: what its sums are divided by.
    public var scored: [Int64]
    /// For each item, 0 where the search saw it and 1 where the confirmation did.
    public var stages: [Int32]
    public var scans: [Scans]
    /// Members of the file that are not this type's, such as another tool's groups. They are kept where the
    /// file is written again.
    public private(set) var others: [String] = []

    /// The members that this type reads and writes.
    private static let known: Set<String> = [
        "documents", "items", "layers", "boundaries", "blocks", "blocks20", "base", "scans",
        "probes", "use", "skip_effect", "skip_effect_output", "dynamics",
    ]

    public init(
        sha256: [String], tokens: [Int64], scored: [Int64], stages: [Int32], scans: [Scans]
    ) {
        self.sha256 = sha256
        self.tokens = tokens
        self.scored = scored
        self.stages = stages
        self.scans = scans
    }

    /// Writes the file under its final name when it is whole. What others have put into the file that it
    /// replaces goes along.
    /// - Throws: `ActivationError`.
    public func write(to path: String, replacing: Bool) throws(ActivationError) {
        let temporary: TemporaryFile
        do { temporary = try TemporaryFile(for: path) } catch { throw .file(error) }
        let file = try HDF5File.create(temporary.path)
        try file.root.set("schema", Self.schema)
        if !tokens.isEmpty {
            let documents = try file.root.makeGroup("documents")
            try documents.write("sha256", texts: sha256, length: 64)
            try documents.write("tokens", tokens)
        }
        if !stages.isEmpty {
            try file.root.makeGroup("items").write("stage", stages)
        }
        try Self.write(probe, to: file.root)
        if !base.isEmpty { try Self.write(base, to: file.root.makeGroup("base")) }
        try writeRelevance(to: file.root)
        let made = scans.filter { !$0.windows.isEmpty }
        let group = made.isEmpty ? nil : try file.root.makeGroup("scans")
        for scan in made {
            guard let kind = try group?.makeGroup(scan.kind) else { continue }
            try kind.write(
                "windows", scan.windows.flatMap(\.self), shape: [scan.windows.count, 3])
            if !stages.isEmpty {
                try kind.write(
                    "margin", scan.margins.flatMap(\.self),
                    shape: [scan.windows.count, stages.count])
                if !scan.logOdds.isEmpty {
                    try kind.write(
                        "log_odds", scan.logOdds.flatMap(\.self),
                        shape: [scan.windows.count, stages.count])
                }
            }
            if !tokens.isEmpty {
                try kind.write(
                    "nll", scan.nll.flatMap(\.self), shape: [scan.windows.count, tokens.count])
                try kind.write("nll_n", scored)
            }
        }
        if replacing, Paths.kind(path) != .missing {
            let earlier = try HDF5File.open(path)
            for name in try Self.others(earlier.root) {
                try earlier.root.copy(name, into: file.root)
            }
        }
        try file.close()
        do { try temporary.commit(replacing: replacing) } catch { throw .file(error) }
    }

    private static func write(
        _ probe: Probe, to group: HDF5Group
    ) throws(ActivationError) {
        for (name, tables) in [("layers", probe.layers), ("boundaries", probe.boundaries)]
        where !tables.isEmpty {
            let place = try group.makeGroup(name)
            for table in tables {
                let shape = [table.sums.count / max(1, table.places), table.places]
                try place.write(table.name, table.sums, shape: shape)
                if let counts = table.counts {
                    try place.write(table.name + "_n", counts, shape: shape)
                }
            }
        }
        if let blocks = probe.blocks, !blocks.pairs.isEmpty {
            let place = try group.makeGroup("blocks")
            try place.write(
                "pairs", blocks.pairs.flatMap(\.self), shape: [blocks.pairs.count, 2])
            try place.write(
                blocks.name, blocks.values,
                shape: [blocks.values.count / blocks.pairs.count, blocks.pairs.count])
        }
        if !probe.jackknife.isEmpty {
            let place = try group.makeGroup("blocks20")
            for table in probe.jackknife {
                try place.write(
                    table.name, table.sums,
                    shape: [table.sums.count / max(1, table.places), table.places])
            }
        }
    }

    /// - Throws: `ActivationError`, `.invalid` where shapes do not fit one another.
    public static func read(_ path: String) throws(ActivationError) -> EvidenceFile {
        let file = try HDF5File.open(path)
        guard try file.root.text("schema") == schema else {
            throw .invalid(path: path, problem: "its schema is not \(schema)")
        }
        var evidence = EvidenceFile(sha256: [], tokens: [], scored: [], stages: [], scans: [])
        if file.root.has("documents") {
            let documents = try file.root.group("documents")
            evidence.sha256 = try documents.dataSet("sha256").texts()
            evidence.tokens = try documents.dataSet("tokens").read(as: Int64.self)
        }
        if file.root.has("items") {
            evidence.stages = try file.root.group("items").dataSet("stage").read(as: Int32.self)
        }
        evidence.others = try others(file.root)
        try evidence.readRelevance(file.root)
        let documents = evidence.tokens.count
        evidence.probe = try probe(file.root, documents: documents)
        if file.root.has("base") {
            evidence.base = try probe(file.root.group("base"), documents: documents)
        }
        guard file.root.has("scans") else { return evidence }
        let group = try file.root.group("scans")
        for name in try group.members() {
            let kind = try group.group(name)
            let windows = try matrix(kind, "windows", Int32.self, columns: 3)
            func values(_ name: String, _ columns: Int) throws(ActivationError) -> [[Double]] {
                guard kind.has(name) else { return [] }
                let values = try matrix(kind, name, Double.self, columns: columns)
                guard values.count == windows.count else {
                    throw .invalid(
                        path: path,
                        problem: "scans/\(kind.name)/\(name) has \(values.count) windows, not "
                            + "\(windows.count)")
                }
                return values
            }
            if kind.has("nll_n") {
                evidence.scored = try kind.dataSet("nll_n").read(as: Int64.self)
            }
            evidence.scans.append(
                Scans(
                    kind: name, windows: windows,
                    margins: try values("margin", evidence.stages.count),
                    logOdds: try values("log_odds", evidence.stages.count),
                    nll: try values("nll", evidence.tokens.count)))
        }
        return evidence
    }

    private static func others(_ root: HDF5Group) throws(ActivationError) -> [String] {
        var kept = known
        // Without its windows it is not a scan's.
        if try !holdsDynamics(root) { kept.remove("dynamics") }
        return try root.members().filter { !kept.contains($0) }
    }

    private static func probe(
        _ group: HDF5Group, documents: Int
    ) throws(ActivationError) -> Probe {
        var probe = Probe()
        if group.has("layers") { probe.layers = try tables(group.group("layers"), documents) }
        if group.has("boundaries") {
            probe.boundaries = try tables(group.group("boundaries"), documents)
        }
        if group.has("blocks") {
            let place = try group.group("blocks")
            let pairs = try matrix(place, "pairs", Int32.self, columns: 2)
            if let name = try place.members().first(where: { $0 != "pairs" }) {
                let values = try matrix(place, name, Double.self, columns: pairs.count)
                guard values.count == documents else { throw wrong(place, name, documents) }
                probe.blocks = Blocks(
                    name: name, pairs: pairs, values: values.flatMap(\.self))
            }
        }
        if group.has("blocks20") { probe.jackknife = try tables(group.group("blocks20"), nil) }
        return probe
    }

    /// Every data set of a group with, where there are, its numbers of values.
    private static func tables(
        _ group: HDF5Group, _ documents: Int?
    ) throws(ActivationError) -> [Table] {
        let names = try group.members()
        var tables: [Table] = []
        for name in names where !(name.hasSuffix("_n") && names.contains(String(name.dropLast(2))))
        {
            let set = try group.dataSet(name)
            guard set.shape.count == 2, documents == nil || set.shape[0] == documents else {
                throw wrong(group, name, documents ?? 20)
            }
            var counts: [Double]?
            if names.contains(name + "_n") {
                let divisors = try group.dataSet(name + "_n")
                guard divisors.shape == set.shape else { throw wrong(group, name + "_n", 0) }
                counts = try divisors.read(as: Double.self)
            }
            tables.append(
                Table(
                    name: name, places: set.shape[1], sums: try set.read(as: Double.self),
                    counts: counts))
        }
        return tables
    }

    private static func wrong(_ group: HDF5Group, _ name: String, _ rows: Int) -> ActivationError {
        .invalid(
            path: group.path,
            problem: "\(group.name)/\(name) has not the shape that its \(rows) rows need; make the "
                + "run again")
    }

    /// Whose values a run replaces; the others' stay.
    public enum Writer: Sendable {
        case probe, scan
    }

    /// What a run adds its own values to: what another kind of run has left there, or an empty file.
    /// - Throws: `.invalid` where that is of other documents: they could not stand in one file.
    public static func begin(
        _ path: String, as writer: Writer, sha256: [String]
    ) throws(ActivationError) -> EvidenceFile {
        let empty = EvidenceFile(sha256: [], tokens: [], scored: [], stages: [], scans: [])
        guard Paths.kind(path) != .missing else { return empty }
        let found = try read(path)
        let stays =
            switch writer {
            case .probe: !found.scans.isEmpty || !found.others.isEmpty
            case .scan:
                !found.probe.isEmpty || !found.relevance.isEmpty || !found.others.isEmpty
            }
        guard stays else { return empty }
        guard found.sha256.isEmpty || sha256.isEmpty || found.sha256 == sha256 else {
            throw .invalid(
                path: path,
                problem: "holds values of other documents than this run's; write to another "
                    + "folder, or run both on the same text and length")
        }
        return found
    }

    private static func matrix<T: HDF5Scalar & ExpressibleByIntegerLiteral>(
        _ group: HDF5Group, _ name: String, _ type: T.Type, columns: Int
    ) throws(ActivationError) -> [[T]] {
        let set = try group.dataSet(name)
        guard set.shape.count == 2, set.shape[1] == columns else {
            throw .invalid(
                path: set.path,
                problem: "\(set.name) has shape \(set.shape); expected \(columns) columns")
        }
        let values = try set.read(as: type)
        return (0..<set.shape[0]).map { Array(values[$0 * columns..<($0 + 1) * columns]) }
    }
}
