import Corpus
import Evaluation
import Files

/// Reads a file of items, whatever wrote it:
/// - the project's own lines (`ScanItemReader`);
/// - OLMES request files, a line for each option: lines of one `doc_id` make an item, and the requests
///   that ask the options without the question are left out;
/// - lm-evaluation-harness's `--log_samples` files, a line for each document.
public struct ItemFile: Sendable {
    public var items: [ScanItem] = []
    /// Documents asked without their question, which are no items.
    public var unconditional = 0

    public init() {}

    /// - Throws: `ScanError.line`, `.items`, `ScoreError`, `CorpusError`.
    public static func read(path: String, reader: ScanItemReader) throws -> ItemFile {
        let file = try TextLines(path: path)
        var result = ItemFile()
        var gathered = Requests()
        var number = 0
        while let line = try file.next() {
            number += 1
            if TextLines.isBlank(line) { continue }
            func wrong(_ problem: String) -> ScanError {
                .line(path: path, line: number, problem: problem)
            }
            let json: JSON
            do {
                json = try JSON.parse(line)
            } catch {
                throw wrong("not valid JSON: \(error)")
            }
            if json["request"] != nil {
                try gathered.add(json, number, wrong)
            } else if HarnessSample.matches(json) {
                let sample = try HarnessSample(json, wrong)
                result.items.append(
                    try reader.item(
                        [
                            "context": .string(sample.context),
                            "options": .array(sample.options.map(JSON.string)),
                            "gold": .number(sample.gold),
                            "group": sample.id.map(JSON.string) ?? .null,
                        ], wrong))
            } else {
                result.items.append(try reader.item(json, wrong))
            }
        }
        for document in gathered.conditional() {
            result.items.append(
                try reader.item(document.item) {
                    .line(path: path, line: document.line, problem: $0)
                })
        }
        result.unconditional = gathered.unconditional
        return result
    }

    /// Requests by document.
    private struct Requests {
        private struct Document {
            var line: Int
            var name: String
            var task: String?
            var context: String
            /// Each with the context it follows: a fill-in task has one continuation and several contexts.
            var options: [JSON] = []
            var gold: Int
            var query: String?
        }

        private var documents: [Document] = []
        private var place: [String: Int] = [:]
        private(set) var unconditional = 0

        mutating func add(
            _ json: JSON, _ line: Int, _ wrong: (String) -> ScanError
        ) throws(ScanError) {
            guard let context = json["request"]?["context"]?.stringValue,
                let option = json["request"]?["continuation"]?.stringValue
            else {
                throw wrong("\"request\" needs \"context\" and \"continuation\", which are strings")
            }
            guard let document = json["doc_id"]?.intValue else {
                throw wrong("has no \"doc_id\" that says which question it belongs to")
            }
            let gold = json["label"]?.intValue ?? json["doc"]?["gold"]?.intValue
            guard let gold else {
                throw wrong("has no \"label\", the right option's index from 0")
            }
            let task = json["task_name"]?.stringValue
            let key = "\(task ?? "")|\(document)"
            let request: JSON = ["context": .string(context), "continuation": .string(option)]
            if let known = place[key] {
                documents[known].options.append(request)
                return
            }
            place[key] = documents.count
            documents.append(
                Document(
                    line: line, name: json["native_id"]?.stringValue ?? "\(document)", task: task,
                    context: context, options: [request], gold: gold,
                    query: json["doc"]?["query"]?.stringValue))
        }

        /// Those that hold their question. A document that is asked twice is asked once without it.
        mutating func conditional() -> [(line: Int, item: JSON)] {
            var longest: [String: Int] = [:]
            for document in documents {
                let name = "\(document.task ?? "")|\(document.name)"
                longest[name] = max(longest[name] ?? 0, document.context.utf8.count)
            }
            let kept = documents.filter { document in
                let name = "\(document.task ?? "")|\(document.name)"
                let holdsQuery = document.query.map { document.context.contains($0) } ?? true
                return holdsQuery && document.context.utf8.count == longest[name]
            }
            unconditional = documents.count - kept.count
            return kept.map { document in
                (
                    document.line,
                    [
                        "context": .string(document.context),
                        "options": .array(document.options),
                        "gold": .number(document.gold),
                        "task": document.task.map(JSON.string) ?? .null,
                    ]
                )
            }
        }
    }
}
