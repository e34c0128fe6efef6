import Files

/// What keeps a conversation from becoming a prompt.
public enum ChatTemplateError: Error, Equatable, CustomStringConvertible {
    case syntax(String)
    /// A construct of Jinja that is not built, by its name.
    case unknown(String)
    case failed(String)
    /// The template's own words: it does not take this conversation.
    case refused(String)
    case endless

    public var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .syntax(let problem): "the chat template cannot be read: \(problem)"
        case .unknown(let what):
            "the chat template uses \(what), which is not built; write the prompt out, without --chat"
        case .failed(let problem): "the chat template fails: \(problem)"
        case .refused(let words): "the chat template refuses this conversation: \(words)"
        case .endless: "the chat template does not end; write the prompt out, without --chat"
        }
    }
}

/// Turns a conversation into a prompt, by the Jinja template that a tokenizer brings along. The subset of
/// Jinja is that of the supported families' templates; what lies beyond it is an error that names it.
public struct ChatTemplate: Sendable {
    public struct Message: Sendable, Equatable {
        public var role: String
        public var content: String

        public init(role: String, content: String) {
            self.role = role
            self.content = content
        }
    }

    private let source: String

    /// - Throws: `ChatTemplateError` for what is no template.
    public init(_ source: String) throws(ChatTemplateError) {
        _ = try JinjaParser.parse(source)
        self.source = source
    }

    /// The prompt, special tokens written out.
    /// - Parameters:
    ///   - beginsAnswer: whether it ends where the model is to answer.
    ///   - special: by name, such as `bos_token`.
    ///   - more: further variables.
    public func render(
        _ messages: [Message], beginsAnswer: Bool = true, special: [String: String] = [:],
        more: [String: JSON] = [:]
    ) throws(ChatTemplateError) -> String {
        var variables = special.mapValues(JinjaValue.string)
        variables["messages"] = .list(
            messages.map {
                .map([
                    .init(key: "role", value: .string($0.role)),
                    .init(key: "content", value: .string($0.content)),
                ])
            })
        variables["add_generation_prompt"] = .bool(beginsAnswer)
        // As transformers gives them when nothing is asked for.
        variables["tools"] = JinjaValue.none
        variables["documents"] = JinjaValue.none
        for (name, value) in more { variables[name] = JinjaValue(value) }
        return try JinjaRuntime.render(JinjaParser.parse(source), variables)
    }
}
