/// Byte pair encoding by a list of merges, as Hugging Face's `BPE` model defines it.
struct BytePairModel: Sendable {
    struct Options: Sendable {
        /// The token of characters that are not in the vocabulary; without one they vanish.
        var unknown: Int32?
        /// Neighbouring unknown characters become one token.
        var fusesUnknown = false
        /// Characters that are not in the vocabulary become the tokens `<0xHH>` of their bytes.
        var hasByteFallback = false
        /// A word that is a token is that token, whatever the merges say.
        var ignoresMerges = false
        /// Prepended to every character of a word but the first when it is looked up.
        var continuingPrefix: [UInt8] = []
        /// Appended to the last character of a word when it is looked up.
        var wordSuffix: [UInt8] = []
    }

    let vocabulary: Vocabulary
    let options: Options
    /// (left, right) → (rank, merged id).
    private let merges: PairTable
    private let byteTokens: [Int32]
    /// The ids of the characters below U+0800, -1 where there is none; byte-level alphabets and
    /// most text lie here.
    private let commonCharacters: [Int32]

    init(vocabulary: Vocabulary, merges: PairTable, options: Options) {
        self.vocabulary = vocabulary
        self.merges = merges
        self.options = options
        byteTokens = vocabulary.byteTokens()
        commonCharacters = (0..<0x800).map { value in
            vocabulary.id(of: String(Unicode.Scalar(value)!).utf8) ?? -1
        }
    }

    private struct Rule: MergeRule {
        let merges: PairTable

        @inline(__always)
        func merge(_ left: Symbol, _ right: Symbol) -> (rank: UInt32, id: Int32)? {
            merges[left.id, right.id].map { ($0.first, $0.second) }
        }
    }

    /// Appends the ids of `word`, valid UTF-8, to `ids`.
    func encode(
        _ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32], scratch: inout ModelScratch
    ) {
        if options.ignoresMerges, let id = vocabulary.id(of: word) {
            ids.append(id)
            return
        }
        scratch.symbols.removeAll(keepingCapacity: true)
        split(word, into: &scratch.symbols)
        scratch.merger.run(&scratch.symbols, by: Rule(merges: merges))
        for symbol in scratch.symbols { ids.append(symbol.id) }
    }

    /// One symbol for each character, or for each byte of one that is not in the vocabulary.
    private func split(_ word: UnsafeBufferPointer<UInt8>, into symbols: inout [Symbol]) {
        // The unknown token is held back until the next known character, so that it can grow. Byte
        // tokens do not release it: they come out before it. That is how `BPE::merge_word` does it.
        var pending: Symbol?
        var start = 0
        while start < word.count {
            let end = min(start + UTF8Scan.length(of: word[start]), word.count)
            let id = character(word, start..<end)
            if id >= 0 {
                if let unknown = pending { symbols.append(unknown) }
                pending = nil
                symbols.append(Symbol(id: id, start: Int32(start), end: Int32(end)))
            } else if options.hasByteFallback,
                let bytes = fallback(word, start..<end)
            {
                for (offset, byte) in bytes.enumerated() {
                    let position = Int32(start + min(offset, end - start - 1))
                    symbols.append(Symbol(id: byte, start: position, end: position + 1))
                }
            } else if let unknown = options.unknown {
                if options.fusesUnknown, pending != nil {
                    pending?.end = Int32(end)
                } else {
                    if let unknown = pending { symbols.append(unknown) }
                    pending = Symbol(id: unknown, start: Int32(start), end: Int32(end))
                }
            }
            start = end
        }
        if let unknown = pending { symbols.append(unknown) }
    }

    private func character(_ word: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Int32 {
        if let text = decorated(word, range) { return vocabulary.id(of: text) ?? -1 }
        switch range.count {
        case 1: return commonCharacters[Int(word[range.lowerBound] & 0x7F)]
        case 2:
            let high = Int(word[range.lowerBound] & 0x1F) << 6
            return commonCharacters[high | Int(word[range.lowerBound + 1] & 0x3F)]
        default:
            return vocabulary.id(of: UnsafeBufferPointer(rebasing: word[range])) ?? -1
        }
    }

    /// The character with the continuing prefix and the word suffix that it gets at its place; nil
    /// if it gets none.
    private func decorated(_ word: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> [UInt8]? {
        let prefix = range.lowerBound > 0 ? options.continuingPrefix : []
        let suffix = range.upperBound == word.count ? options.wordSuffix : []
        return prefix.isEmpty && suffix.isEmpty ? nil : prefix + word[range] + suffix
    }

    /// The byte tokens of a character; nil unless the vocabulary has them all.
    private func fallback(
        _ word: UnsafeBufferPointer<UInt8>, _ range: Range<Int>
    ) -> [Int32]? {
        let bytes = decorated(word, range) ?? Array(word[range])
        let ids = bytes.map { byteTokens[Int($0)] }
        return ids.contains(-1) ? nil : ids
    }
}

/// Memory that a model uses while it encodes, kept from one word to the next.
struct ModelScratch {
    var symbols: [Symbol] = []
    var merger = Merger()
    var paths: [UnigramModel.Path] = []
}
