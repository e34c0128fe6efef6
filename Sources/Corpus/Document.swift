import Files

/// One run of tokens that a pass sees by itself, from position 0.
public struct Document: Sendable, Equatable {
    public var tokens: [Int32]
    /// Tokens at the start that were added, not read (BOS): run, but left out of means.
    public var addedTokens: Int
    /// What a JSON line says of the document in "labels", by task, and in "label".
    public var labels: JSON.Object

    public init(tokens: [Int32], addedTokens: Int = 0, labels: JSON.Object = [:]) {
        self.tokens = tokens
        self.addedTokens = addedTokens
        self.labels = labels
    }

    /// Of its ids, as little-endian i32, in lower-case hexadecimal: tells whether two runs saw the same.
    public var sha256: String {
        var hash = SHA256()
        tokens.map(\.littleEndian).withUnsafeBytes { hash.update($0) }
        return hash.hexadecimal()
    }
}
