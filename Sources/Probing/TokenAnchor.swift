import Tokenizers

/// Finds the token that a character belongs to.
///
/// Tokenizers here give ids without offsets. But ids decode, and decoding the first n ids gives the
/// beginning of the text: the token that completes a character is the first n whose beginning reaches
/// its end. That holds where decoding gives back the text itself, which is checked; a tokenizer that
/// changes its text (lower case, other spaces) leaves no way to say which token a character became.
public struct TokenAnchor {
    private let tokenizer: Tokenizer

    public init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

    /// The place in `ids` of the token that ends the character.
    /// - Parameters:
    ///   - ids: of `text`, without added special tokens.
    ///   - position: of the character among the text's Unicode scalars, from 0.
    /// - Returns: nil when the ids do not decode to the text; for the last character always the last
    ///   token.
    public func token(of position: Int, in text: String, ids: [Int32]) -> Int? {
        let scalars = text.unicodeScalars
        guard !ids.isEmpty, position >= 0, position < scalars.count else { return nil }
        if position == scalars.count - 1 { return ids.count - 1 }
        let bytes = Array(text.utf8)
        guard decoded(ids[...]) == bytes else { return nil }
        let index = scalars.index(scalars.startIndex, offsetBy: position + 1)
        let end = text.utf8.distance(from: text.startIndex, to: index)
        // Not by bisection: what the first n tokens give need not grow with n. Under byte fallback an
        // unfinished character spoils the ones before it until it is finished.
        return (1...ids.count).first { count in
            decoded(ids[..<count]).starts(with: bytes[..<end])
        }.map { $0 - 1 }
    }

    private func decoded(_ ids: ArraySlice<Int32>) -> [UInt8] {
        Array(tokenizer.decode(Array(ids), skipSpecialTokens: false).utf8)
    }
}
