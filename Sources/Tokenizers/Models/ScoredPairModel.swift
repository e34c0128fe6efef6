/// SentencePiece's BPE: two neighbours merge if their text is a token, the best score first and equal
/// scores from left to right. The vocabulary of a GGUF file with the model "llama", Gemma's included.
struct ScoredPairModel: Sendable {
    let vocabulary: Vocabulary
    /// The tokens that merging may give: not control, unknown and byte tokens.
    private let mergeable: Vocabulary
    /// For each id, 0 for the best score, 1 for the next, …; equal scores share a rank.
    private let ranks: [UInt32]
    private let byteTokens: [Int32]
    private let unknown: Int32?

    /// - Parameter scores: One for each id of `mergeable`.
    init(vocabulary: Vocabulary, mergeable: Vocabulary, scores: [Float], unknown: Int32?) {
        self.vocabulary = vocabulary
        self.mergeable = mergeable
        self.unknown = unknown
        byteTokens = vocabulary.byteTokens()
        var rank: UInt32 = 0
        var ranks: [UInt32] = Array(repeating: 0, count: scores.count)
        var last: Float?
        for id in scores.indices.sorted(by: { scores[$0] > scores[$1] }) {
            if let last, last != scores[id] { rank += 1 }
            ranks[id] = rank
            last = scores[id]
        }
        self.ranks = ranks
    }

    private struct Rule: MergeRule {
        let text: UnsafeBufferPointer<UInt8>
        let tokens: Vocabulary
        let longest: Int
        let ranks: [UInt32]

        @inline(__always)
        func merge(_ left: Symbol, _ right: Symbol) -> (rank: UInt32, id: Int32)? {
            let range = Int(left.start)..<Int(right.end)
            guard range.count <= longest,
                let id = tokens.id(of: UnsafeBufferPointer(rebasing: text[range]))
            else { return nil }
            return (ranks[Int(id)], id)
        }
    }

    /// Appends the ids of `word`, valid UTF-8, to `ids`.
    func encode(
        _ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32], scratch: inout ModelScratch
    ) {
        scratch.symbols.removeAll(keepingCapacity: true)
        scratch.symbols.reserveCapacity(word.count)
        var start = 0
        while start < word.count {
            let end = min(start + UTF8Scan.length(of: word[start]), word.count)
            let id = mergeable.id(of: UnsafeBufferPointer(rebasing: word[start..<end])) ?? -1
            scratch.symbols.append(Symbol(id: id, start: Int32(start), end: Int32(end)))
            start = end
        }
        let rule = Rule(
            text: word, tokens: mergeable, longest: mergeable.longestToken, ranks: ranks)
        scratch.merger.run(&scratch.symbols, by: rule)
        var lastWasUnknown = false
        for symbol in scratch.symbols {
            if symbol.id >= 0 {
                ids.append(symbol.id)
                lastWasUnknown = false
                continue
            }
            let bytes = word[Int(symbol.start)..<Int(symbol.end)]
            if bytes.allSatisfy({ byteTokens[Int($0)] >= 0 }) {
                for byte in bytes { ids.append(byteTokens[Int(byte)]) }
                lastWasUnknown = false
            } else if let unknown {
                // Neighbouring unknown characters are one unknown piece.
                if !lastWasUnknown { ids.append(unknown) }
                lastWasUnknown = true
            }
        }
    }
}
