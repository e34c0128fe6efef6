/// The text of a growing list of tokens: where a stop string ends it, and what of it can be handed out.
///
/// All tokens are decoded anew for each: only so is the text the one that the whole list has, whatever
/// the tokenizer's decoder does at borders. That costs microseconds beside a pass.
struct TextStream {
    private let detokenizer: Detokenizer
    /// UTF-8: `String` would compare by canonical equivalence.
    private let stops: [[UInt8]]
    private var bytes: [UInt8] = []
    private var handedOut = 0
    /// Whether the last token may be a piece of a character.
    private var endsInPiece = false
    /// Where the text ends: before the first stop string.
    private(set) var end: Int?

    init(detokenizer: Detokenizer, stops: [String]) {
        self.detokenizer = detokenizer
        self.stops = stops.map { Array($0.utf8) }
    }

    /// - Parameter tokens: all new tokens, the last one among them.
    /// - Returns: whether a stop string is there.
    mutating func take(_ tokens: [Int32]) -> Bool {
        bytes = Array(detokenizer.text(tokens).utf8)
        endsInPiece = tokens.last.map(detokenizer.isPiece) ?? false
        end = stops.compactMap { Self.first($0, in: bytes) }.min()
        return end != nil
    }

    private static func first(_ word: [UInt8], in text: [UInt8]) -> Int? {
        guard word.count <= text.count else { return nil }
        return (0...text.count - word.count).first { start in
            text[start] == word[0] && text[start..<start + word.count].elementsEqual(word)
        }
    }

    /// The text up to a stop string.
    var text: String { String(decoding: bytes[..<(end ?? bytes.count)], as: UTF8.self) }

    /// What no later token can change and no stop string can begin in; each part is handed out once.
    mutating func settled() -> String {
        if end != nil { return rest() }
        guard !endsInPiece else { return "" }
        var limit = bytes.count
        // A character whose bytes are not all there yet.
        while limit >= 3, bytes[limit - 3..<limit].elementsEqual([0xEF, 0xBF, 0xBD]) { limit -= 3 }
        let begun = stops.map { stop in
            (1..<max(1, stop.count)).last { count in
                count <= limit && bytes[limit - count..<limit].elementsEqual(stop[..<count])
            } ?? 0
        }.max()
        limit -= begun ?? 0
        // The text ends within a character where a stop string begins with a part of one's bytes.
        while limit > 0, limit < bytes.count, bytes[limit] & 0xC0 == 0x80 { limit -= 1 }
        return handOut(to: limit)
    }

    /// What has not been handed out when the last token is there.
    mutating func rest() -> String { handOut(to: end ?? bytes.count) }

    private mutating func handOut(to limit: Int) -> String {
        guard limit > handedOut else { return "" }
        defer { handedOut = limit }
        return String(decoding: bytes[handedOut..<limit], as: UTF8.self)
    }
}
