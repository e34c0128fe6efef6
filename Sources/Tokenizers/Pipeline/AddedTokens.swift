/// A token that is recognised in the text as it stands, before the text is split into words.
struct AddedToken: Sendable {
    var content: [UInt8]
    var id: Int32
    /// Left out by `decode(skipSpecialTokens: true)`.
    var isSpecial: Bool
    /// Looked for in the normalized text.
    var isNormalized = false
    /// Takes the white space before it, and behind it, with it.
    var stripsLeft = false
    var stripsRight = false
    /// Not recognised within a word.
    var isSingleWord = false
}

/// Finds added tokens: at every place the longest, from left to right, without overlap.
struct AddedTokenMatcher: Sendable {
    private let tokens: [AddedToken]
    /// The index of each token by what is looked for.
    private var trie: ByteTrie
    /// A token of which normalization leaves nothing. It is found before every character where no other
    /// is, and behind the last; having no text it gives no id, but it cuts the text.
    private let empty: AddedToken?

    /// - Parameter patterns: What to look for in place of each token's content.
    init(_ tokens: [AddedToken], patterns: [[UInt8]]) {
        self.tokens = tokens
        trie = ByteTrie(minimumCapacity: patterns.reduce(0) { $0 + $1.count })
        for (index, pattern) in patterns.enumerated() { trie.insert(pattern, Int32(index)) }
        empty = patterns.firstIndex(where: \.isEmpty).map { tokens[$0] }
    }

    private func longestMatch(
        _ text: UnsafeBufferPointer<UInt8>, at start: Int
    ) -> (token: AddedToken, end: Int)? {
        var found: (index: Int32, end: Int)?
        trie.forEachMatch(in: text, at: start) { found = ($0, $1) }
        return found.map { (tokens[Int($0.index)], $0.end) }
    }

    /// `empty` at a place between characters.
    private func emptyMatch(_ text: [UInt8], at start: Int) -> (token: AddedToken, end: Int)? {
        guard let empty, start == text.count || text[start] & 0xC0 != 0x80 else { return nil }
        return (empty, start)
    }

    /// Cuts `text` into added tokens and what lies between them (id nil), in order.
    func split(_ text: [UInt8]) -> [(range: Range<Int>, id: Int32?)] {
        if text.isEmpty { return [] }
        var cutter = Cutter(text: text)
        var position = 0
        // Where the last match that was not empty ends: the empty token is not found there.
        var matchEnd = -1
        while position < text.count {
            let match =
                text.withUnsafeBufferPointer { longestMatch($0, at: position) }
                ?? (position == matchEnd ? nil : emptyMatch(text, at: position))
            guard let (token, end) = match else {
                position += 1
                continue
            }
            cutter.cut(token, position..<end)
            if end > position { matchEnd = end }
            position = max(end, position + 1)
        }
        if matchEnd < text.count, let (token, end) = emptyMatch(text, at: text.count) {
            cutter.cut(token, end..<end)
        }
        return cutter.finish()
    }

    /// Gathers the parts of a text around one match after another.
    private struct Cutter {
        let text: [UInt8]
        private var parts: [(range: Range<Int>, id: Int32?)] = []
        private var done = 0
        /// Where the last white space that was taken ends: a token within it need not look again.
        private var spaceEnd = 0

        init(text: [UInt8]) { self.text = text }

        mutating func cut(_ token: AddedToken, _ match: Range<Int>) {
            var (start, end) = (match.lowerBound, match.upperBound)
            if token.isSingleWord {
                let joinsLeft = start > 0 && UTF8Scan.scalar(text, before: start).value.isWord
                let joinsRight = end < text.count && UTF8Scan.scalar(text, end).value.isWord
                if joinsLeft || joinsRight { return }
            }
            if token.stripsLeft {
                while start > done {
                    let (scalar, scalarStart) = UTF8Scan.scalar(text, before: start)
                    guard scalar.isSpace else { break }
                    start = scalarStart
                }
                start = max(start, done)
            }
            if token.stripsRight {
                end = max(end, spaceEnd)
                while end < text.count {
                    let (scalar, next) = UTF8Scan.scalar(text, end)
                    guard scalar.isSpace else { break }
                    end = next
                }
                spaceEnd = end
            }
            // White space that the token before it took can hold the whole of a token that strips to
            // its left: nothing of it is left then (`tokenizers` panics where it ends before that).
            guard start <= end else { return }
            if done < start { parts.append((done..<start, nil)) }
            if start < end { parts.append((start..<end, token.id)) }
            done = end
        }

        func finish() -> [(range: Range<Int>, id: Int32?)] {
            done < text.count ? parts + [(done..<text.count, nil)] : parts
        }
    }
}

/// All added tokens of a tokenizer.
struct AddedVocabulary: Sendable {
    private struct Entry {
        let token: AddedToken
        /// The token's text after the normalizer, if that is what is looked for.
        let pattern: [UInt8]
    }

    private var byContent: Vocabulary
    private let byID: [Int32: Entry]
    /// The contents of special tokens. An id is special if the text that its decoder sees is.
    private var special = ByteTable()
    private let literal: AddedTokenMatcher
    private let normalized: AddedTokenMatcher

    init(_ tokens: [AddedToken], normalizer: Normalizer?) throws(TokenizerError) {
        byContent = Vocabulary(minimumCapacity: tokens.count)
        var byID: [Int32: Entry] = [:]
        for token in tokens {
            _ = byContent.insert(token.content, id: token.id)
            var pattern = token.content
            if token.isNormalized, let normalizer {
                var origin = 0
                pattern = try normalizer.apply(pattern, origin: &origin)
            }
            byID[token.id] = Entry(token: token, pattern: pattern)
            if token.isSpecial { special.insert(token.content) }
        }
        self.byID = byID
        let plain = tokens.filter { !$0.isNormalized }
        literal = AddedTokenMatcher(plain, patterns: plain.map(\.content))
        let rewritten = tokens.filter(\.isNormalized)
        normalized = AddedTokenMatcher(
            rewritten, patterns: rewritten.map { byID[$0.id]?.pattern ?? $0.content })
    }

    var highestID: Int32? { byID.keys.max() }

    func id(of token: some Collection<UInt8>) -> Int32? { byContent.id(of: token) }
    func token(_ id: Int32) -> [UInt8]? { byID[id]?.token.content }
    /// What a decoder sees of a token: its normalized text.
    func decoded(_ id: Int32) -> [UInt8]? { byID[id]?.pattern }
    func isSpecial(_ content: [UInt8]) -> Bool { special.find(content) != nil }

    enum Segment {
        case token(Int32)
        case text(Pieces)
    }

    /// Takes the added tokens out of `text` and normalizes the rest.
    func extract(
        from text: [UInt8], normalizer: Normalizer?
    ) throws(TokenizerError) -> [Segment] {
        var segments: [Segment] = []
        for (range, id) in literal.split(text) {
            if let id {
                segments.append(.token(id))
                continue
            }
            let whole = range.count == text.count ? text : Array(text[range])
            var origin = range.lowerBound == 0 ? UTF8Scan.length(of: whole[0]) : 0
            let rest = try normalizer?.apply(whole, origin: &origin) ?? whole
            for (range, id) in normalized.split(rest) {
                if let id {
                    segments.append(.token(id))
                } else {
                    let part = range.count == rest.count ? rest : Array(rest[range])
                    segments.append(
                        .text(Pieces(part, origin: max(0, origin - range.lowerBound))))
                }
            }
        }
        return segments
    }
}
