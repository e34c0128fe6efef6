/// SentencePiece's Unigram model: of all ways to cut a word into pieces, the one with the highest sum
/// of scores, found by Viterbi's algorithm. As Hugging Face's `Unigram` does it: a character that no
/// piece covers costs 10 more than the worst piece, neighbouring unknown pieces are joined, and of
/// equal sums the one that ends in the longer last piece wins.
struct UnigramModel: Sendable {
    let vocabulary: Vocabulary
    private let trie: ByteTrie
    /// The logarithm of each piece's probability, by id.
    private let scores: [Double]
    private let unknown: Int32
    private let unknownScore: Double
    /// The tokens `<0x00>` … `<0xFF>`, if characters that no piece covers become their bytes.
    private let byteTokens: [Int32]?

    private static let unknownPenalty = 10.0

    /// - Parameters:
    ///   - scores: One for each id of `vocabulary`, whose ids are 0, 1, 2, …
    ///   - unknown: An id of `vocabulary`.
    init(vocabulary: Vocabulary, scores: [Double], unknown: Int32, hasByteFallback: Bool) {
        self.vocabulary = vocabulary
        self.scores = scores
        self.unknown = unknown
        unknownScore = (scores.min() ?? 0) - Self.unknownPenalty
        byteTokens = hasByteFallback ? vocabulary.byteTokens() : nil
        var trie = ByteTrie()
        for index in 0..<vocabulary.count {
            let (token, id) = vocabulary.entry(index)
            trie.insert(token, id)
        }
        self.trie = trie
    }

    /// The best way to a place in the word: its sum, and the last piece of it. `start` -1: none yet.
    struct Path: Sendable {
        var score = 0.0
        var start: Int32 = -1
        var id: Int32 = 0
    }

    /// Appends the ids of `word`, valid UTF-8, to `ids`.
    func encode(
        _ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32], scratch: inout ModelScratch
    ) {
        scratch.paths.removeAll(keepingCapacity: true)
        scratch.paths.append(contentsOf: repeatElement(Path(), count: word.count + 1))
        scratch.paths.withUnsafeMutableBufferPointer { best in
            var start = 0
            while start < word.count {
                let sum = best[start].score
                let next = min(start + UTF8Scan.length(of: word[start]), word.count)
                func offer(_ id: Int32, _ score: Double, _ end: Int) {
                    if best[end].start < 0 || sum + score > best[end].score {
                        best[end] = Path(score: sum + score, start: Int32(start), id: id)
                    }
                }
                var coversCharacter = false
                trie.forEachMatch(in: word, at: start) { id, end in
                    offer(id, scores[Int(id)], end)
                    if end == next { coversCharacter = true }
                }
                if !coversCharacter { offer(unknown, unknownScore, next) }
                start = next
            }
        }
        // Backwards along the best path; the pieces are appended in that order and turned round.
        let first = ids.count
        var end = word.count
        while end > 0 {
            var path = scratch.paths[end]
            var start = Int(path.start)
            if path.id != unknown {
                ids.append(path.id)
                end = start
                continue
            }
            while start > 0, scratch.paths[start].id == unknown {
                path = scratch.paths[start]
                start = Int(path.start)
            }
            appendUnknown(UnsafeBufferPointer(rebasing: word[start..<end]), into: &ids)
            end = start
        }
        ids[first...].reverse()
    }

    /// Appends what stands for a run of unknown pieces, backwards. The run may happen to be a token.
    private func appendUnknown(_ run: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
        if let id = vocabulary.id(of: run) {
            ids.append(id)
        } else if let byteTokens, run.allSatisfy({ byteTokens[Int($0)] >= 0 }) {
            for byte in run.reversed() { ids.append(byteTokens[Int(byte)]) }
        } else {
            ids.append(unknown)
        }
    }
}
