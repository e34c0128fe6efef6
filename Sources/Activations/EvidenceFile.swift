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

        public init(kind: String, windows: [[Int32]], margins: [[Double]], nll: [[Double]]) {
            self.kind = kind
            self.windows = windows
            self.margins = margins
            self.nll = nll
        }
    }

    /// SHA-256 of each document's ids, as little-endian i32.
    public var sha256: [String]
    /// Tokens of each document.
    public var tokens: [Int64]
    /// Scored tokens of each document: what its sums are divided by.
    public var scored: [Int64]
    /// For each item, 0 where the search saw it and 1 where the confirmation did.
    public var stages: [Int32]
    public var scans: [Scans]

    public init(
        sha256: [String], tokens: [Int64], scored: [Int64], stages: [Int32], scans: [Scans]
    ) {
        self.sha256 = sha256
        self.tokens = tokens
        self.scored = scored
        self.stages = stages
        self.scans = scans
    }

    /// Writes the file under its final name when it is whole.
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
        let group = try file.root.makeGroup("scans")
        for scan in scans where !scan.windows.isEmpty {
            let kind = try group.makeGroup(scan.kind)
            try kind.write(
                "windows", scan.windows.flatMap(\.self), shape: [scan.windows.count, 3])
            if !stages.isEmpty {
                try kind.write(
                    "margin", scan.margins.flatMap(\.self),
                    shape: [scan.windows.count, stages.count])
            }
            if !tokens.isEmpty {
                try kind.write(
                    "nll", scan.nll.flatMap(\.self), shape: [scan.windows.count, tokens.count])
                try kind.write("nll_n", scored)
            }
        }
        try file.close()
        do { try temporary.commit(replacing: replacing) } catch { throw .file(error) }
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
                    nll: try values("nll", evidence.tokens.count)))
        }
        return evidence
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
