import Files

/// What became of one question in one format under one plan: a line of `items.jsonl`.
public struct EvaluatedItem: Sendable, Equatable {
    public var task: String
    public var format: Benchmark.Format
    public var id: String
    public var subtask: String?
    /// Items that share it are not independent.
    public var cluster: String
    public var gold: JSON
    /// The option's index under the format's primary metric, or the generated text.
    public var prediction: JSON
    /// 0 or 1, or F1.
    public var score: Double
    /// Whether `score` is a share of right answers, and not F1.
    public var isShare: Bool
    /// Per option: sums of natural logarithms, tokens and code points of the continuation.
    public var logProbabilities: [Double]
    public var unconditional: [Double]
    public var tokens: [Int]
    public var characters: [Int]
    /// Whether a context was cut on the left.
    public var isTruncated: Bool
    /// How often the think block ran, or may run at most.
    public var passes: Int
    /// Over the tokens of the options or the answer, where each thinks on its own account.
    public var meanPasses: Double?

    public init(
        task: String, format: Benchmark.Format, id: String, subtask: String?, cluster: String,
        gold: JSON, prediction: JSON, score: Double, isShare: Bool, logProbabilities: [Double] = [],
        unconditional: [Double] = [], tokens: [Int] = [], characters: [Int] = [],
        isTruncated: Bool = false, passes: Int, meanPasses: Double? = nil
    ) {
        self.task = task
        self.format = format
        self.id = id
        self.subtask = subtask
        self.cluster = cluster
        self.gold = gold
        self.prediction = prediction
        self.score = score
        self.isShare = isShare
        self.logProbabilities = logProbabilities
        self.unconditional = unconditional
        self.tokens = tokens
        self.characters = characters
        self.isTruncated = isTruncated
        self.passes = passes
        self.meanPasses = meanPasses
    }

    /// The option that `metric` prefers, the first of equals; nil where its figures are missing.
    public func choice(_ metric: Benchmark.Metric) -> Int? {
        let values: [Double]
        switch metric {
        case .raw: values = logProbabilities
        case .perCharacter: values = zip(logProbabilities, characters).map { $0 / Double($1) }
        case .perToken: values = zip(logProbabilities, tokens).map { $0 / Double($1) }
        case .unconditional: values = zip(logProbabilities, unconditional).map(-)
        case .exactMatch, .f1: return nil
        }
        guard !values.isEmpty else { return nil }
        return values.indices.reduce(0) { values[$1] > values[$0] ? $1 : $0 }
    }

    public var json: JSON {
        var members: JSON.Object = [
            "task": .string(task), "format": .string(format.rawValue), "id": .string(id),
        ]
        if let subtask { members["subtask"] = .string(subtask) }
        if cluster != id { members["cluster"] = .string(cluster) }
        members["gold"] = gold
        members["prediction"] = prediction
        if isShare {
            members["correct"] = .bool(score == 1)
        } else {
            members["score"] = .number(score)
        }
        if !logProbabilities.isEmpty {
            members["logprobs"] = .array(logProbabilities.map { .number($0) })
        }
        if !unconditional.isEmpty {
            members["logprobs_uncond"] = .array(unconditional.map { .number($0) })
        }
        if !tokens.isEmpty {
            members["n_tokens"] = .array(tokens.map { .number($0) })
            members["n_chars"] = .array(characters.map { .number($0) })
        }
        if isTruncated { members["truncated"] = .bool(true) }
        members["passes"] = .number(passes)
        if let meanPasses { members["mean_passes"] = .number(meanPasses) }
        return .object(members)
    }

    /// - Parameter number: the line's number in the file, from 1.
    public init(_ json: JSON, path: String, line number: Int) throws(EvaluationError) {
        func wrong(_ key: String, _ expected: String) -> EvaluationError {
            .line(path: path, line: number, problem: "\"\(key)\" is missing or is not \(expected)")
        }
        func string(_ key: String) throws(EvaluationError) -> String {
            guard let value = json[key]?.stringValue else { throw wrong(key, "a string") }
            return value
        }
        let format = try string("format")
        guard let format = Benchmark.Format(rawValue: format) else {
            throw wrong("format", "rc, mc or generate")
        }
        let id = try string("id")
        let score: Double
        if let correct = json["correct"]?.boolValue {
            score = correct ? 1 : 0
        } else {
            guard let value = json["score"]?.doubleValue, (0...1).contains(value) else {
                throw wrong("correct", "true or false, and neither is \"score\" from 0 to 1")
            }
            score = value
        }
        func numbers(_ key: String) -> [Double] {
            (json[key]?.arrayValue ?? []).compactMap(\.doubleValue)
        }
        self.init(
            task: try string("task"), format: format, id: id, subtask: json["subtask"]?.stringValue,
            cluster: json["cluster"]?.stringValue ?? id, gold: json["gold"] ?? .null,
            prediction: json["prediction"] ?? .null, score: score,
            isShare: json["correct"] != nil, logProbabilities: numbers("logprobs"),
            unconditional: numbers("logprobs_uncond"), tokens: numbers("n_tokens").map { Int($0) },
            characters: numbers("n_chars").map { Int($0) },
            isTruncated: json["truncated"]?.boolValue ?? false,
            passes: json["passes"]?.intValue ?? 1,
            meanPasses: json["mean_passes"]?.doubleValue)
    }
}
