/// What a `Split` or `Replace` looks for.
enum TextPattern: Sendable {
    /// Not empty.
    case literal([UInt8])
    case regex(TextRegex)

    /// The matches within each of `ranges` of `text`, from left to right, disjoint.
    /// - Throws: `TokenizerError.patternTooCostly`.
    func forEachMatch(
        in text: [UInt8], ranges: [Range<Int>], _ body: (_ index: Int, _ match: Range<Int>) -> Void
    ) throws(TokenizerError) {
        switch self {
        case .regex(let regex):
            try regex.forEachMatch(in: text, ranges: ranges, body)
        case .literal(let literal):
            for (index, range) in ranges.enumerated() {
                Self.forEachMatch(of: literal, in: text, range) { body(index, $0) }
            }
        }
    }

    private static func forEachMatch(
        of literal: [UInt8], in text: [UInt8], _ range: Range<Int>, _ body: (Range<Int>) -> Void
    ) {
        var position = range.lowerBound
        while position + literal.count <= range.upperBound {
            if text[position] == literal[0],
                text[position..<(position + literal.count)].elementsEqual(literal)
            {
                body(position..<(position + literal.count))
                position += literal.count
            } else {
                position += 1
            }
        }
    }

    /// `text` with every `literal`, which is not empty, replaced.
    static func replacing(
        _ literal: [UInt8], in text: [UInt8], with replacement: [UInt8]
    ) -> [UInt8] {
        var result: [UInt8] = []
        var end = 0
        forEachMatch(of: literal, in: text, 0..<text.count) { match in
            result += text[end..<match.lowerBound] + replacement
            end = match.upperBound
        }
        return result + text[end...]
    }

    /// `text` with every match replaced.
    /// - Parameter origin: How many bytes at the start come from the first character of the whole input,
    ///   before and after. `tokenizers` aligns a replacement with the last character it replaces, and
    ///   that of nothing at the start with the first.
    func replacing(
        in text: [UInt8], with replacement: [UInt8], origin: inout Int
    ) throws(TokenizerError) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var end = 0
        var newOrigin = 0
        let oldOrigin = origin
        func keep(_ range: Range<Int>) {
            if range.lowerBound < oldOrigin {
                newOrigin = result.count + min(range.upperBound, oldOrigin) - range.lowerBound
            }
            result += text[range]
        }
        try forEachMatch(in: text, ranges: [0..<text.count]) { _, match in
            keep(end..<match.lowerBound)
            result += replacement
            if oldOrigin > 0, match.upperBound <= oldOrigin { newOrigin = result.count }
            end = match.upperBound
        }
        keep(end..<text.count)
        origin = newOrigin
        return result
    }
}
