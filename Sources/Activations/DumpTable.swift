import Files

/// What a dump says beside the activations: `/tokens`, `/documents`, `/labels`. All arrays of tokens
/// have one entry per stored row.
public struct DumpTable: Sendable, Equatable {
    public enum Values: Sendable, Equatable {
        case integers([Int64])
        case numbers([Double])
        case texts([String])

        public var count: Int {
            switch self {
            case .integers(let values): values.count
            case .numbers(let values): values.count
            case .texts(let values): values.count
            }
        }
    }

    /// The labels of one task.
    public struct Labels: Sendable, Equatable {
        public var task: String
        /// One value for each stored token, not for each document.
        public var perToken: Bool
        public var values: Values

        public init(task: String, perToken: Bool, values: Values) {
            self.task = task
            self.perToken = perToken
            self.values = values
        }
    }

    public var ids: [Int32] = []
    /// The document of each row, from 0.
    public var documents: [Int32] = []
    /// The position in that document.
    public var positions: [Int32] = []
    /// First stored row and number of stored rows of each document.
    public var offsets: [Int64] = []
    public var lengths: [Int64] = []
    /// Of each document's token ids as little-endian 32-bit integers.
    public var sha256: [String] = []
    public var texts: [String]?
    public var labels: [Labels] = []

    public init() {}

    package func write(to root: HDF5Group) throws(ActivationError) {
        let tokens = try root.makeGroup("tokens")
        for (name, values) in [("id", ids), ("document", documents), ("position", positions)] {
            try tokens.write(
                name, values, chunk: [Self.chunk(values.count)], extendable: [0])
        }
        let group = try root.makeGroup("documents")
        try group.write(
            "offset", offsets, chunk: [Self.chunk(offsets.count)], extendable: [0])
        try group.write(
            "length", lengths, chunk: [Self.chunk(lengths.count)], extendable: [0])
        try group.write(
            "sha256", texts: sha256, length: 64, chunk: [Self.chunk(sha256.count)],
            extendable: [0])
        if let texts {
            try group.write(
                "text", texts: texts, chunk: [Self.chunk(texts.count)], extendable: [0])
        }
        guard !labels.isEmpty else { return }
        let labelled = try root.makeGroup("labels")
        for task in labels {
            let chunk = [Self.chunk(task.values.count)]
            let set =
                switch task.values {
                case .integers(let values):
                    try labelled.write(task.task, values, chunk: chunk, extendable: [0])
                case .numbers(let values):
                    try labelled.write(task.task, values, chunk: chunk, extendable: [0])
                case .texts(let values):
                    try labelled.write(task.task, texts: values, chunk: chunk, extendable: [0])
                }
            try set.set("per", task.perToken ? "token" : "document")
        }
    }

    private static func chunk(_ count: Int) -> Int { max(1, min(count, 1 << 16)) }

    package static func read(_ root: HDF5Group) throws(ActivationError) -> DumpTable {
        var table = DumpTable()
        let tokens = try root.group("tokens")
        table.ids = try tokens.dataSet("id").read()
        table.documents = try tokens.dataSet("document").read()
        table.positions = try tokens.dataSet("position").read()
        let documents = try root.group("documents")
        table.offsets = try documents.dataSet("offset").read()
        table.lengths = try documents.dataSet("length").read()
        table.sha256 = try documents.dataSet("sha256").texts()
        if documents.has("text") { table.texts = try documents.dataSet("text").texts() }
        if root.has("labels") {
            let group = try root.group("labels")
            for task in try group.members() {
                let set = try group.dataSet(task)
                let values: Values =
                    if set.isText {
                        .texts(try set.texts())
                    } else if set.isInteger {
                        .integers(try set.read())
                    } else {
                        .numbers(try set.read())
                    }
                table.labels.append(
                    Labels(
                        task: task, perToken: try set.text("per") == "token", values: values))
            }
        }
        try table.check(root.path)
        return table
    }

    private func check(_ path: String) throws(ActivationError) {
        let rows = ids.count
        var problem: String?
        if documents.count != rows || positions.count != rows {
            problem = "/tokens' data sets differ in length"
        } else if lengths.count != offsets.count || sha256.count != offsets.count
            || texts.map({ $0.count != offsets.count }) == true
        {
            problem = "/documents' data sets differ in length"
        } else {
            var next: Int64 = 0
            for (offset, length) in zip(offsets, lengths) where problem == nil {
                if offset != next || length < 0 {
                    problem = "/documents do not follow each other"
                } else if length > Int64(rows) - next {
                    problem = "/documents end beyond row \(rows), where /tokens end"
                } else {
                    next += length
                }
            }
            if problem == nil, next != rows {
                problem = "/documents end at row \(next), /tokens at \(rows)"
            }
            for document in offsets.indices where problem == nil {
                let first = Int(offsets[document])
                if !documents[first..<first + Int(lengths[document])].allSatisfy({
                    Int($0) == document
                }) {
                    problem = "/tokens/document and /documents disagree on document \(document)"
                }
            }
        }
        for task in labels
        where task.values.count != (task.perToken ? rows : offsets.count) && problem == nil {
            problem = "/labels/\(task.task) has \(task.values.count) values"
        }
        if let problem { throw .invalid(path: path, problem: problem) }
    }

    /// The rows and documents of `next` behind this table's.
    /// - Throws: `.shards` if the two differ in what they hold.
    mutating func append(_ next: DumpTable, path: String) throws(ActivationError) {
        let rows = Int64(ids.count)
        let before = Int32(offsets.count)
        ids += next.ids
        positions += next.positions
        documents += next.documents.map { $0 + before }
        offsets += next.offsets.map { $0 + rows }
        lengths += next.lengths
        sha256 += next.sha256
        guard (texts == nil) == (next.texts == nil), labels.map(\.task) == next.labels.map(\.task)
        else {
            throw .shards(
                problem: "\(path): differs from the other shards in /documents/text or /labels")
        }
        if let more = next.texts { texts! += more }
        for index in labels.indices {
            switch (labels[index].values, next.labels[index].values) {
            case (.integers(let a), .integers(let b)): labels[index].values = .integers(a + b)
            case (.numbers(let a), .numbers(let b)): labels[index].values = .numbers(a + b)
            case (.texts(let a), .texts(let b)): labels[index].values = .texts(a + b)
            default:
                throw .shards(
                    problem: "\(path): /labels/\(labels[index].task) has another type than in the "
                        + "other shards")
            }
        }
    }
}

/// The root attributes of a dump, or of moments.
public struct DumpHeader: Sendable, Equatable {
    public static let schema = "etd-activations/v1"

    public var model: JSON
    /// Empty without a tokenizer.
    public var tokenizer: String
    /// Path, documents and tokens of the whole data, of all shards, and the SHA-256 of its token ids.
    public var data: JSON
    public var createdBy: String
    /// What else decides the content: sites, layers, positions, dtype, compression, precision, plan.
    public var settings: JSON
    /// Which shard this is, from 1; nil for a whole dump.
    public var shard: Shard?

    public struct Shard: Sendable, Equatable, CustomStringConvertible {
        public var index: Int
        public var count: Int

        public init(index: Int, count: Int) {
            self.index = index
            self.count = count
        }

        public var description: String { "\(index)/\(count)" }

        /// The documents of this shard, of `documents`: consecutive ones, as even as can be.
        public func documents(of documents: Int) -> Range<Int> {
            (index - 1) * documents / count..<index * documents / count
        }
    }

    public init(
        model: JSON, tokenizer: String, data: JSON, createdBy: String, settings: JSON,
        shard: Shard?
    ) {
        self.model = model
        self.tokenizer = tokenizer
        self.data = data
        self.createdBy = createdBy
        self.settings = settings
        self.shard = shard
    }

    public var fingerprint: String { model["fingerprint"]?.stringValue ?? "" }

    /// The level of deflate; nil for none.
    package var deflate: Int? {
        let text = settings["compression"]?.stringValue ?? "none"
        return text.hasPrefix("deflate:")
            ? Int(text.dropFirst("deflate:".count)).flatMap { (1...9).contains($0) ? $0 : nil }
            : nil
    }

    /// Writes everything but `complete`, which is 0 then.
    package func write(to root: HDF5Group) throws(ActivationError) {
        try root.set("schema", Self.schema)
        try root.set("model", model.text(indent: 0))
        try root.set("tokenizer_sha256", tokenizer)
        try root.set("data", data.text(indent: 0))
        try root.set("created_by", createdBy)
        try root.set("settings", settings.text(indent: 0))
        if let shard { try root.set("shard", [Int64(shard.index), Int64(shard.count)]) }
        try root.set("complete", 0)
    }

    /// - Throws: `.invalid` if the file is not a complete dump of this schema.
    package static func read(_ root: HDF5Group) throws(ActivationError) -> DumpHeader {
        let path = root.path
        guard root.hasAttribute("schema"), try root.text("schema") == schema else {
            throw .invalid(path: path, problem: "is not an activation dump (\(schema))")
        }
        guard try root.integer("complete") == 1 else {
            throw .invalid(path: path, problem: "is not complete; make it again")
        }
        func json(_ name: String) throws(ActivationError) -> JSON {
            let text = try root.text(name)
            do {
                return try JSON.parse(Array(text.utf8))
            } catch {
                throw .invalid(path: path, problem: "attribute \(name) is not valid JSON: \(error)")
            }
        }
        var shard: Shard?
        if root.hasAttribute("shard") {
            let numbers = try root.values("shard", as: Int64.self)
            guard numbers.count == 2, numbers[0] >= 1, numbers[0] <= numbers[1],
                numbers[1] <= 1_000_000
            else {
                throw .invalid(
                    path: path, problem: "attribute shard is not i of n, n up to 1,000,000")
            }
            shard = Shard(index: Int(numbers[0]), count: Int(numbers[1]))
        }
        return DumpHeader(
            model: try json("model"), tokenizer: try root.text("tokenizer_sha256"),
            data: try json("data"), createdBy: try root.text("created_by"),
            settings: root.hasAttribute("settings") ? try json("settings") : [:], shard: shard)
    }
}
