import Corpus
import Files

/// The folder of the benchmarks' files: `<task>.jsonl[.gz]`, a document a line, and the examples before the
/// questions in `<task>.shots.jsonl[.gz]`. Three public collections are read under their own names:
/// `agieval_english.jsonl`, `olmes_shots.json` and `bbh_cot_prompts.json`.
public struct BenchmarkData {
    public let folders: [String]
    /// What `--shots-file` names: an object whose keys are tasks, `task:subtask` or OLMES's names of
    /// shots, and whose values are lists of documents, or of BBH ready prompts.
    public let shotsFile: String?

    /// - Parameter folders: in order of preference.
    public init(folders: [String], shotsFile: String? = nil) {
        self.folders = folders
        self.shotsFile = shotsFile
    }

    /// What stands before a question.
    public enum Shots: Sendable, Equatable {
        case documents([BenchmarkDocument])
        /// A ready text, as BBH's chains of thought.
        case text(String)
    }

    /// The documents of a task in their files' order, and its examples by subtask ("" where there are no
    /// subtasks).
    public struct Loaded: Sendable {
        public var documents: [BenchmarkDocument]
        public var shots: [String: Shots]
        /// Where they come from, and what to know of it.
        public var path: String
        public var notes: [String]
    }

    public func load(_ benchmark: Benchmark, shots count: Int) throws -> Loaded {
        guard let path = benchmark.dataPath ?? find(benchmark.files) else {
            throw EvaluationError.missingData(
                task: benchmark.name,
                looked: folders.flatMap { folder in
                    benchmark.files.map { Paths.join(folder, $0 + ".jsonl[.gz]") }
                }, source: benchmark.source)
        }
        var documents = try documents(path, benchmark, areShots: false)
        if let subtasks = benchmark.subtasks {
            documents = subtasks.flatMap { subtask in documents.filter { $0.subtask == subtask } }
        } else if benchmark.averaging == .items, !benchmark.spreadsSubtasks {
            for index in documents.indices { documents[index].subtask = nil }
        }
        guard !documents.isEmpty else {
            throw EvaluationError.noItems(task: benchmark.name, problem: "\(path) holds none")
        }
        var seen: Set<String> = []
        for document in documents where !seen.insert(document.itemID).inserted {
            throw EvaluationError.file(
                path: path, problem: "two documents have the id \(document.itemID)")
        }
        var loaded = Loaded(documents: documents, shots: [:], path: path, notes: [])
        if count > 0 { try addShots(count, benchmark, &loaded) }
        return loaded
    }

    private func find(_ names: [String], extensions: [String] = [".jsonl", ".jsonl.gz"]) -> String?
    {
        for folder in folders {
            for name in names {
                for ending in extensions {
                    let path = Paths.join(folder, name + ending)
                    if Paths.kind(path) == .file { return path }
                }
            }
        }
        return nil
    }

    private func documents(
        _ path: String, _ benchmark: Benchmark, areShots: Bool
    ) throws -> [BenchmarkDocument] {
        let reader = DocumentReader(
            path: path, hasOptions: benchmark.hasOptions,
            fewestOptions: benchmark.fewestOptions, areShots: areShots,
            fixedChoices: benchmark.choices, keepsFields: benchmark.keepsFields)
        let lines = try TextLines(path: path)
        var documents: [BenchmarkDocument] = []
        var number = 0
        while let line = try lines.next() {
            number += 1
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
            var json: JSON
            do {
                json = try JSON.parse(line)
            } catch {
                throw EvaluationError.line(
                    path: path, line: number, problem: "not valid JSON: \(error)")
            }
            if let rewrite = benchmark.rewrite {
                json = try rewrite(json) { .line(path: path, line: number, problem: $0) }
            }
            // Public collections hold sets that are not asked, and that may look different.
            if let subtasks = benchmark.subtasks, let own = DocumentReader.subtask(of: json),
                !subtasks.contains(own)
            {
                continue
            }
            documents.append(benchmark.prepare(try reader.read(json, line: number)))
        }
        return documents
    }

    // MARK: Examples before the questions

    private func addShots(_ count: Int, _ benchmark: Benchmark, _ loaded: inout Loaded) throws {
        let subtasks = OrderedNames(loaded.documents.map { $0.subtask ?? "" }).names
        for subtask in subtasks {
            if let path = shotsFile,
                let shots = try keyed(path, benchmark, subtask: subtask, count: count)
            {
                loaded.shots[subtask] = shots
            }
        }
        guard loaded.shots.count < subtasks.count else { return }
        if let path = benchmark.shotsPath ?? find(benchmark.files.map { $0 + ".shots" }) {
            let documents = try documents(path, benchmark, areShots: true)
            for subtask in subtasks where loaded.shots[subtask] == nil {
                let own = documents.filter { subtask.isEmpty || $0.subtask == subtask }
                if own.count >= count {
                    loaded.shots[subtask] = .documents(Array(own.prefix(count)))
                }
            }
        }
        for name in ["olmes_shots", "bbh_cot_prompts"] where loaded.shots.count < subtasks.count {
            guard let path = find([name], extensions: [".json", ".json.gz"]) else { continue }
            for subtask in subtasks where loaded.shots[subtask] == nil {
                loaded.shots[subtask] = try keyed(path, benchmark, subtask: subtask, count: count)
            }
        }
        if benchmark.takesLowestAsShots, loaded.shots.count < subtasks.count {
            try takeLowest(count, benchmark, subtasks, &loaded)
        }
        if let missing = subtasks.first(where: { loaded.shots[$0] == nil }) {
            throw EvaluationError.missingShots(
                task: missing.isEmpty ? benchmark.name : "\(benchmark.name) (\(missing))",
                shots: count, found: 0, help: benchmark.shotsSource)
        }
    }

    /// The examples of a keyed file; nil where it has none for the subtask.
    private func keyed(
        _ path: String, _ benchmark: Benchmark, subtask: String, count: Int
    ) throws -> Shots? {
        let file = try json(path)
        guard let members = file.objectValue else {
            throw EvaluationError.file(
                path: path, problem: "expected an object with a list of examples for each task")
        }
        let keys = benchmark.shotKeys(subtask: subtask)
        guard let key = keys.first(where: { members[$0] != nil }), let value = members[key] else {
            return nil
        }
        if let text = value.stringValue {
            guard let made = benchmark.shotText(text, count: count) else {
                throw EvaluationError.file(
                    path: path, problem: "\(key): holds fewer than \(count) examples")
            }
            return .text(made)
        }
        guard let values = value.arrayValue else {
            throw EvaluationError.file(path: path, problem: "\(key): expected a list of examples")
        }
        guard values.count >= count else {
            throw EvaluationError.missingShots(
                task: benchmark.name, shots: count, found: values.count,
                help: "\(path) has no more under \(key)")
        }
        let reader = DocumentReader(
            path: "\(path): \(key)", hasOptions: benchmark.hasOptions,
            fewestOptions: benchmark.fewestOptions, areShots: true)
        var documents: [BenchmarkDocument] = []
        for (index, value) in values.prefix(count).enumerated() {
            documents.append(benchmark.prepare(try reader.read(value, line: index + 1)))
        }
        return .documents(documents)
    }

    private func json(_ path: String) throws -> JSON {
        guard path.hasSuffix(".gz") else { return try JSON.read(path: path) }
        let lines = try TextLines(path: path)
        var bytes: [UInt8] = []
        while let line = try lines.next() {
            bytes += line
            bytes.append(0x0A)
        }
        do {
            return try JSON.parse(bytes)
        } catch {
            throw FileError.invalidJSON(path: path, error)
        }
    }

    /// The first `count` documents of each subtask by id become its examples and leave the test.
    private func takeLowest(
        _ count: Int, _ benchmark: Benchmark, _ subtasks: [String], _ loaded: inout Loaded
    ) throws {
        var taken: Set<String> = []
        for subtask in subtasks where loaded.shots[subtask] == nil {
            let own = loaded.documents.filter { ($0.subtask ?? "") == subtask }
                .sorted { (Int($0.id) ?? .max) < (Int($1.id) ?? .max) }
            guard own.count > count else { continue }
            loaded.shots[subtask] = .documents(Array(own.prefix(count)))
            taken.formUnion(own.prefix(count).map(\.itemID))
        }
        guard !taken.isEmpty else { return }
        loaded.documents.removeAll { taken.contains($0.itemID) }
        loaded.notes.append(
            "the \(count) lowest ids of each subtask stand before the questions and are left out of "
                + "the test (\(taken.count) items): OLMES's own examples are not in the data")
    }
}

/// Names in order of appearance, each once.
struct OrderedNames {
    private(set) var names: [String] = []
    private var seen: Set<String> = []

    init(_ all: some Sequence<String>) {
        for name in all where seen.insert(name).inserted { names.append(name) }
    }
}

/// Which documents are asked, in which order.
public enum BenchmarkSubset {
    /// OLMES's subset of a task, `random.Random(1234).sample(documents, size)`; all documents in their
    /// order where it takes all, or where the data has no more than the subset.
    public static func documents(
        _ documents: [BenchmarkDocument], size: Int?
    ) -> [BenchmarkDocument] {
        guard let size, documents.count > size else { return documents }
        var random = PythonRandom(seed: 1234)
        return random.sample(population: documents.count, count: size).map { documents[$0] }
    }

    /// The first `limit`, taken from the subtasks in turn: each gives as many as it has or as the others
    /// give. Documents of a subtask stay together, in their order.
    public static func first(
        _ limit: Int?, of documents: [BenchmarkDocument]
    ) -> [BenchmarkDocument] {
        guard let limit, documents.count > limit else { return documents }
        let subtasks = OrderedNames(documents.map { $0.subtask ?? "" }).names
        let own = Dictionary(grouping: documents) { $0.subtask ?? "" }
        var quota = [String: Int](uniqueKeysWithValues: subtasks.map { ($0, 0) })
        var left = limit
        while left > 0 {
            for subtask in subtasks where left > 0 {
                guard let taken = quota[subtask], taken < own[subtask]?.count ?? 0 else { continue }
                quota[subtask] = taken + 1
                left -= 1
            }
        }
        return subtasks.flatMap { (own[$0] ?? []).prefix(quota[$0] ?? 0) }
    }
}
