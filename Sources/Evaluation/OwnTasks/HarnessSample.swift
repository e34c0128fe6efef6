import Files

/// A line of lm-evaluation-harness's `--log_samples` files: a question that was asked as continuations of one
/// context. Since 0.4.4 `arguments` is an object of `gen_args_<i>` with `arg_0` and `arg_1`; before, a list of
/// pairs.
public struct HarnessSample: Sendable, Equatable {
    public var id: String?
    public var context: String
    /// As they stand behind the context, most with a space before them.
    public var options: [String]
    public var gold: Int

    public static func matches(_ json: JSON) -> Bool { json["arguments"] != nil }

    /// - Throws: what `wrong` makes of a problem's words.
    public init<Problem: Error>(
        _ json: JSON, _ wrong: (String) -> Problem
    ) throws(Problem) {
        var pairs: [(context: String, option: String)] = []
        func add(_ context: JSON?, _ option: JSON?) throws(Problem) {
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
        id = json["doc_id"]?.intValue.map(String.init)
        context = first.context
        options = asked.map(\.option)
        self.gold = gold
    }
}
