/// Which special tokens stand before a document: the one rule of every command's `--bos`.
public enum BOSPolicy: String, Sendable, CaseIterable {
    /// What the tokenizer's post-processor adds to a text; nothing before ids.
    case auto
    /// What it adds to a text, else the BOS token; before ids too.
    case always
    case never

    /// What the document is given as.
    public enum Input: Sendable { case text, ids }

    /// The tokens that stand before a document.
    /// - Parameter tokenizer: opened only where the answer depends on it; nil if there is none.
    /// - Returns: nil where a BOS is asked for and there is no such token.
    /// - Throws: what opening the tokenizer throws.
    public func prefix<Failure: Error>(
        before input: Input, _ tokenizer: () throws(Failure) -> Tokenizer?
    ) throws(Failure) -> [Int32]? {
        switch self {
        case .never: return []
        case .auto: return input == .text ? try tokenizer()?.prefixTokens ?? [] : []
        case .always:
            guard let tokenizer = try tokenizer() else { return nil }
            return tokenizer.prefixTokens.isEmpty
                ? tokenizer.bosToken.map { [$0] } : tokenizer.prefixTokens
        }
    }
}
