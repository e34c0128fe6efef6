import Files

/// One question of a benchmark, or one example to stand before the questions.
public struct BenchmarkDocument: Sendable, Equatable {
    /// As the data file spells it.
    public var id: String
    public var subtask: String?
    public var passage: String?
    public var question: String
    /// The options; empty where the answer is generated.
    public var choices: [String]
    /// The right option's index, or what the grader takes.
    public var gold: JSON
    /// An example's answer as it stands in the prompt; nil where the right option is the answer.
    public var answer: String?
    /// The line's own, where a user's template may name them.
    public var fields: [String: JSON] = [:]

    public init(
        id: String, subtask: String? = nil, passage: String? = nil, question: String,
        choices: [String] = [], gold: JSON, answer: String? = nil
    ) {
        self.id = id
        self.subtask = subtask
        self.passage = passage
        self.question = question
        self.choices = choices
        self.gold = gold
        self.answer = answer
    }

    /// The right option's index.
    public var goldIndex: Int? { gold.intValue }

    /// Names the item in results: unique within a task.
    public var itemID: String { subtask.map { "\($0)/\(id)" } ?? id }

    /// Items that share a passage are not independent.
    public var cluster: String {
        passage.map { SHA256.hexadecimal(of: $0.utf8) } ?? itemID
    }
}

/// Reads documents from lines of JSON. Members go by the names of this project's format or by those of
/// the public files: `id`; `subtask` (`task`, `subject`, `category`); `passage`; `question` (`input`);
/// `choices` (`options`); `gold` (`target`, `label`, `answer_index`, `answer.aliases`); `answer`
/// (`answer.value`).
struct DocumentReader {
    /// Names the file in errors.
    let path: String
    /// Whether documents have options and the gold answer is one of them.
    let hasOptions: Bool
    let fewestOptions: Int
    /// Whether they stand before the questions, with an answer.
    let areShots: Bool
    /// The options of every question.
    var fixedChoices: [String]?
    /// Whether documents keep their line's fields; a template then says what the question is.
    var keepsFields = false

    /// - Parameter number: the line's number in the file, from 1; documents without an id are named by it.
    func read(_ json: JSON, line number: Int) throws(EvaluationError) -> BenchmarkDocument {
        func wrong(_ problem: String) -> EvaluationError {
            .line(path: path, line: number, problem: problem)
        }
        guard json.objectValue != nil else { throw wrong("expected an object, found \(json.kind)") }
        guard let question = Self.string(json, ["question", "input"]) ?? (keepsFields ? "" : nil)
        else { throw wrong("\"question\" is missing or no string") }
        let id: String
        switch json["id"] ?? json["question_id"] {
        case .string(let text): id = text
        case .int(let value): id = String(value)
        case nil: id = String(number - 1)
        default: throw wrong("\"id\" is neither a string nor a whole number")
        }
        var document = BenchmarkDocument(
            id: id, subtask: Self.subtask(of: json), passage: Self.string(json, ["passage"]),
            question: question, gold: .null,
            answer: json["answer"]?["value"]?.stringValue ?? json["answer"]?.stringValue)
        if document.passage?.isEmpty == true { document.passage = nil }
        if keepsFields, let members = json.objectValue {
            document.fields = Dictionary(uniqueKeysWithValues: members.map { ($0.key, $0.value) })
        }
        let gold =
            json["gold"] ?? json["target"] ?? json["label"] ?? json["answer_index"]
            ?? json["answer"]?["aliases"]
        guard hasOptions else {
            guard gold != nil || areShots else { throw wrong("\"gold\" is missing") }
            guard !areShots || document.answer != nil else {
                throw wrong("an example needs \"answer\", the text that stands in the prompt")
            }
            document.gold = gold ?? .null
            return document
        }
        let own = (json["choices"] ?? json["options"])?.arrayValue
        guard let choices = fixedChoices?.map(JSON.string) ?? own,
            choices.count >= fewestOptions, choices.allSatisfy({ $0.stringValue != nil })
        else {
            throw wrong(
                "\"choices\" is not a list of \(fewestOptions == 1 ? "one string" : "two strings") "
                    + "or more")
        }
        document.choices = choices.compactMap(\.stringValue)
        let index: Int?
        if let fixedChoices, let text = gold?.stringValue,
            let place = fixedChoices.firstIndex(of: text)
        {
            index = place
        } else if let letter = gold?.stringValue {
            index = letter.utf8.count == 1 ? letter.utf8.first.map { Int($0) - 0x41 } : nil
        } else {
            index = gold?.intValue
        }
        guard let gold else { throw wrong("\"gold\" is missing") }
        guard let index, document.choices.indices.contains(index) else {
            throw wrong(
                "\"gold\" is \(gold.text(indent: 0)), but there are \(document.choices.count) choices: "
                    + "expected 0 to \(document.choices.count - 1), or a letter")
        }
        document.gold = .number(index)
        return document
    }

    static func subtask(of json: JSON) -> String? {
        string(json, ["subtask", "task", "subject", "category"])
    }

    private static func string(_ json: JSON, _ names: [String]) -> String? {
        names.lazy.compactMap { json[$0]?.stringValue }.first
    }
}
