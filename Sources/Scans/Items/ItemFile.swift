import Corpus
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
            } else if json["arguments"] != nil {
                result.items.append(try reader.item(try Self.sample(json, wrong), wrong))
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

    /// A line of lm-evaluation-harness's samples as an item. Since 0.4.4 `arguments` is an object of
    /// `gen_args_<i>` with `arg_0` and `arg_1`; before, a list of pairs.
    private static func sample(_ json: JSON, _ wrong: (String) -> ScanError) throws -> JSON {
        var pairs: [(context: String, option: String)] = []
        func add(_ context: JSON?, _ option: JSON?) throws(ScanError) {
            guard let context = context?.stringValue, let option = option?.stringValue else {
                throw wrong(
                    "\"arguments\" is not a context with an option; only multiple-choice tasks "
                        + "give items")
            }
            pairs.append((context, option))
        }
        if let list = json["arguments"]?.arrayValue {
            for pair in list { try add(pair.arrayValue?.first, pair.arrayValue?.dropFirst().first) }
        } else if let object = json["arguments"]?.objectValue {
            for index in 0..<object.count {
                let pair = object["gen_args_\(index)"]
                try add(pair?["arg_0"], pair?["arg_1"])
            }
        }
        guard let first = pairs.first else { throw wrong("\"arguments\" is empty") }
        // Without the question: the harness appends these for its mutual-information metric.
        let asked = pairs.prefix { $0.context == first.context }
        func trimmed(_ text: String) -> Substring {
            text.drop { $0 == " " }
        }
        let gold =
            json["target"]?.intValue
            ?? json["target"]?.stringValue.flatMap { text in
                Int(text) ?? asked.firstIndex { trimmed($0.option) == trimmed(text) }
            }
        guard let gold else {
            throw wrong("\"target\" is neither an option's index nor one of the options")
        }
        return [
            "context": .string(first.context),
            "options": .array(asked.map { .string($0.option) }), "gold": .number(gold),
            "group": json["doc_id"]?.intValue.map { .string(String($0)) } ?? .null,
        ]
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
