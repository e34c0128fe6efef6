import Files

/// A text with places to be filled, in the subset of Jinja that chat templates use.
public struct TextTemplate: Sendable, Equatable {
    public let source: String

    /// - Throws: `ChatTemplateError.syntax`, `.unknown` for what is no template.
    public init(_ source: String) throws(ChatTemplateError) {
        _ = try JinjaParser.parse(source)
        self.source = source
    }

    /// The text with `variables` in its places.
    /// - Throws: `ChatTemplateError.failed` for a name that is none of `variables` too: an empty place would go
    ///   unseen.
    public func render(_ variables: [String: JSON]) throws(ChatTemplateError) -> String {
        try JinjaRuntime.render(
            JinjaParser.parse(source), variables.mapValues(JinjaValue.init), isStrict: true)
    }
}
