import Evaluation
import Files
import Foundation
import Tokenizers

/// A question with options, as ids.
public struct ScanItem: Sendable, Equatable {
    /// Context and option, one request for each option.
    public var options: [ScoreRequest]
    /// The right option's index.
    public var gold: Int
    /// Items of one group stay together where items are divided; nil for one that stands alone.
    public var group: String?
    /// What kind of question it is, such as `variable_assignment:1`; nil where nobody said.
    public var task: String?

    public init(options: [ScoreRequest], gold: Int, group: String? = nil, task: String? = nil) {
        self.options = options
        self.gold = gold
        self.group = group
        self.task = task
    }

    /// log P(gold) - max log P(other), in nats, from each option's log P; NaN where one is NaN.
    public func margin(_ logProbabilities: [Double]) -> Double {
        var other = -Double.infinity
        for (index, value) in logProbabilities.enumerated() where index != gold {
            if value.isNaN { return .nan }
            other = max(other, value)
        }
        return logProbabilities[gold] - other
    }

    /// log p/(1 - p) with p the gold option's share of the options' probabilities, in nats; NaN where a
    /// log P is NaN. Unlike the margin it moves with every option.
    public func logOdds(_ logProbabilities: [Double]) -> Double {
        var others = logProbabilities
        let own = others.remove(at: gold)
        guard let top = others.max(), !logProbabilities.contains(where: \.isNaN) else {
            return .nan
        }
        let sum = others.reduce(0) { $0 + exp($1 - top) }
        return own - top - log(sum)
    }
}

/// Reads items: `{"context", "options": […], "gold", "group"?}`, whose border between context and
/// option is `score`'s, or `{"context_tokens", "options_tokens": [[…]], "gold", "group"?}`.
public struct ScanItemReader {
    private let requests: ScoreRequestReader
    private let tokenizer: LazyTokenizer
    private let bos: BOSPolicy
    private let path: String
    private let vocabulary: Int

    /// - Parameter path: names the file in errors.
    public init(tokenizer: LazyTokenizer, bos: BOSPolicy, path: String, vocabulary: Int) {
        requests = ScoreRequestReader(tokenizer: tokenizer, bos: bos, path: path)
        self.tokenizer = tokenizer
        self.bos = bos
        self.path = path
        self.vocabulary = vocabulary
    }

    /// - Parameter number: the line's number, from 1.
    /// - Throws: `ScanError.line`, and `ScoreError` for text that cannot be cut into context and option.
    public func read(_ line: [UInt8], number: Int) throws -> ScanItem {
        func wrong(_ problem: String) -> ScanError {
            .line(path: path, line: number, problem: problem)
        }
        let json: JSON
        do {
            json = try JSON.parse(line)
        } catch {
            throw wrong("not valid JSON: \(error)")
        }
        return try item(json, wrong)
    }

    /// - Parameter wrong: makes the error that names where the item stands.
    func item(_ json: JSON, _ wrong: (String) -> ScanError) throws -> ScanItem {
        let options: [ScoreRequest]
        if json["context_tokens"] != nil || json["options_tokens"] != nil {
            options = try tokens(json, wrong)
        } else {
            options = try texts(json, wrong)
        }
        guard options.count >= 2 else {
            throw wrong("has \(options.count) option; a margin needs two or more")
        }
        for (index, option) in options.enumerated() {
            if let id = option.tokens.first(where: { $0 < 0 || $0 >= vocabulary }) {
                throw wrong(
                    "option \(index): token id \(id) is outside the vocabulary of \(vocabulary); were "
                        + "these tokens made with another tokenizer?")
            }
            if let other = options[..<index].firstIndex(of: option) {
                throw wrong("options \(other) and \(index) are equal; each must differ")
            }
        }
        guard let gold = json["gold"]?.intValue else {
            throw wrong("\"gold\" must be the right option's index, from 0")
        }
        guard options.indices.contains(gold) else {
            throw wrong("\"gold\" is \(gold), and the options are 0..\(options.count - 1)")
        }
        return ScanItem(
            options: options, gold: gold, group: json["group"]?.stringValue,
            task: json["task"]?.stringValue)
    }

    /// An item of texts.
    /// - Parameter name: names it in errors, such as its task.
    /// - Throws: `ScanError.items`, and `ScoreError` for text that cannot be cut into context and option.
    public func item(
        context: String, options: [String], gold: Int, task: String, group: String? = nil
    ) throws -> ScanItem {
        let json: JSON = [
            "context": .string(context), "options": .array(options.map(JSON.string)),
            "gold": .number(gold), "task": .string(task), "group": group.map(JSON.string) ?? .null,
        ]
        return try item(json) { .items(path: task, problem: $0) }
    }

    private func texts(
        _ json: JSON, _ wrong: (String) -> ScanError
    ) throws -> [ScoreRequest] {
        guard let context = json["context"]?.stringValue, let options = json["options"]?.arrayValue
        else {
            throw wrong(
                "expected \"context\" with \"options\", or \"context_tokens\" with "
                    + "\"options_tokens\"")
        }
        return try options.enumerated().map { index, option in
            let own = option["context"]?.stringValue ?? context
            guard let text = option.stringValue ?? option["continuation"]?.stringValue else {
                throw wrong("option \(index) is \(option.kind), not a string")
            }
            guard !text.isEmpty else { throw wrong("option \(index) is empty") }
            let request: JSON = ["context": .string(own), "continuation": .string(text)]
            do {
                return try requests.read(Array(request.text(indent: 0).utf8), number: 1)
            } catch ScoreError.line(_, _, let problem) {
                throw wrong("option \(index): \(problem)")
            }
        }
    }

    private func tokens(
        _ json: JSON, _ wrong: (String) -> ScanError
    ) throws -> [ScoreRequest] {
        func ids(_ value: JSON?, _ name: String) throws -> [Int32] {
            guard let values = value?.arrayValue else {
                throw wrong("\(name) must be a list of ids")
            }
            return try values.map { value in
                guard let id = value.intValue.flatMap({ Int32(exactly: $0) }) else {
                    throw wrong("\(name) holds \(value.text(indent: 0)), which is no token id")
                }
                return id
            }
        }
        let context = try ids(json["context_tokens"], "\"context_tokens\"")
        guard let options = json["options_tokens"]?.arrayValue else {
            throw wrong("\"options_tokens\" must be a list of lists of ids")
        }
        guard let prefix = try bos.prefix(before: .ids, { try tokenizer.get() }) else {
            throw wrong("--bos always, but the model names no BOS token")
        }
        let head = prefix + context
        guard !head.isEmpty else {
            throw wrong("\"context_tokens\" is empty, and the first token needs one before it")
        }
        return try options.enumerated().map { index, option in
            let option = try ids(option, "option \(index)")
            guard !option.isEmpty else { throw wrong("option \(index) is empty") }
            return ScoreRequest(tokens: head + option, firstScored: head.count)
        }
    }
}
