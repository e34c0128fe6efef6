import Tensors

/// A sample of the positions of a whole text, each drawn by a seeded hash of its document's index and its
/// position, so that no pattern in the text can fall in step with it and shards draw the same.
package struct TokenSample: Sendable {
    /// About as many positions are drawn: of more than that, each with the probability
    /// `expectedTokens` / tokens.
    package static let expectedTokens = 4096

    /// The seed, mixed: a plain one would only exchange the documents' numbers.
    private let start: UInt64
    /// Hashes below are in the sample; nil takes all.
    private let threshold: UInt64?

    /// - Parameter tokens: of the whole text, without added ones.
    package init(tokens: Int, seed: UInt64 = 0) {
        var mixer = SplitMix64(seed: seed)
        start = mixer.next()
        threshold =
            tokens <= Self.expectedTokens
            ? nil : UInt64.max / UInt64(tokens) * UInt64(Self.expectedTokens)
    }

    /// - Parameters:
    ///   - document: its index in the whole text.
    ///   - position: in the document.
    package func contains(document: Int, position: Int) -> Bool {
        guard let threshold else { return true }
        // Each step mixes all bits before the next number enters, so that neighbours have nothing in common.
        var hash = start
        for number in [document, position] {
            var mixer = SplitMix64(seed: hash ^ UInt64(truncatingIfNeeded: number))
            hash = mixer.next()
        }
        return hash < threshold
    }
}
