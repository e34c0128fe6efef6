/// A text cut into the words that the model sees one at a time.
struct Pieces {
    /// UTF-8, always valid.
    var text: [UInt8]
    /// Ascending, disjoint and not empty; what lies between them has been removed.
    var ranges: [Range<Int>]
    /// How many bytes at the start of `text` come from the first character of the whole input: a
    /// normalizer may have made several characters of it, and each is first for `Metaspace`.
    var origin: Int

    init(_ text: [UInt8], origin: Int) {
        self.text = text
        self.origin = origin
        ranges = text.isEmpty ? [] : [0..<text.count]
    }
}

/// What becomes of a piece that matches.
enum SplitBehavior: String, Sendable, CaseIterable {
    case removed = "Removed"
    case isolated = "Isolated"
    case mergedWithPrevious = "MergedWithPrevious"
    case mergedWithNext = "MergedWithNext"
    case contiguous = "Contiguous"
}

/// Cuts text into words; the last two kinds also rewrite it.
indirect enum PreTokenizer: Sendable {
    case sequence([PreTokenizer])
    case split(TextPattern, SplitBehavior, invert: Bool)
    case digits(individual: Bool)
    case punctuation(SplitBehavior)
    /// Words and runs of other characters; white space goes.
    case whitespace
    /// At white space, which goes.
    case whitespaceSplit
    case byteLevel(addPrefixSpace: Bool, split: TextPattern?)
    case metaspace(replacement: [UInt8], PrependScheme, split: Bool)

    enum PrependScheme: String, Sendable, CaseIterable {
        case always, first, never
    }

    /// - Throws: `TokenizerError.patternTooCostly`.
    func apply(_ pieces: inout Pieces) throws(TokenizerError) {
        switch self {
        case .sequence(let steps):
            for step in steps { try step.apply(&pieces) }
        case .split(let pattern, let behavior, let invert):
            try pieces.split(by: pattern, behavior, invert: invert)
        case .digits(let individual):
            pieces.split(individual ? .isolated : .contiguous) { $0.isNumeric }
        case .punctuation(let behavior):
            pieces.split(behavior) { $0.isPunctuation }
        case .whitespace:
            pieces.split(.removed) { $0.isSpace }
            pieces.splitRuns { $0.isWord }
        case .whitespaceSplit:
            pieces.split(.removed) { $0.isSpace }
        case .byteLevel(let addPrefixSpace, let pattern):
            if addPrefixSpace { pieces.prepend([0x20]) { _ in true } }
            if let pattern { try pieces.split(by: pattern, .isolated, invert: false) }
            pieces.mapBytes()
        case .metaspace(let replacement, let scheme, let split):
            pieces.replace(0x20, by: replacement)
            if scheme != .never {
                let end = scheme == .first ? pieces.origin : .max
                pieces.prepend(replacement) { start in start < end }
            }
            if split {
                try pieces.split(by: .literal(replacement), .mergedWithNext, invert: false)
            }
        }
    }
}

extension Pieces {
    /// Cuts every piece at the matches of `pattern`.
    mutating func split(
        by pattern: TextPattern, _ behavior: SplitBehavior, invert: Bool
    ) throws(TokenizerError) {
        var splitter = Splitter(behavior: behavior, invert: invert, capacity: ranges.count)
        var current = -1
        var end = 0
        let ranges = ranges
        func close() {
            if current >= 0 {
                splitter.add(end..<ranges[current].upperBound, isMatch: false)
                splitter.finishPiece()
            }
        }
        func advance(to index: Int) {
            while current < index {
                close()
                current += 1
                end = ranges[current].lowerBound
            }
        }
        // A piece of one character stays whole, match or not: isolated digits need no matching.
        let candidates =
            behavior == .isolated
            ? ranges.indices.filter {
                ranges[$0].count > UTF8Scan.length(of: text[ranges[$0].lowerBound])
            } : Array(ranges.indices)
        try pattern.forEachMatch(in: text, ranges: candidates.map { ranges[$0] }) { index, match in
            advance(to: candidates[index])
            splitter.add(end..<match.lowerBound, isMatch: false)
            splitter.add(match, isMatch: true, evenIfEmpty: true)
            end = match.upperBound
        }
        advance(to: ranges.count - 1)
        close()
        self.ranges = splitter.ranges
    }

    /// Cuts every piece at the characters of a kind, each of which is a match of its own.
    mutating func split(_ behavior: SplitBehavior, where isMatch: (Unicode.Scalar) -> Bool) {
        var splitter = Splitter(behavior: behavior, invert: false, capacity: ranges.count)
        for range in ranges {
            var start = range.lowerBound
            var position = start
            while position < range.upperBound {
                let (scalar, next) = UTF8Scan.scalar(text, position)
                if isMatch(scalar) {
                    splitter.add(start..<position, isMatch: false)
                    splitter.add(position..<next, isMatch: true)
                    start = next
                }
                position = next
            }
            splitter.add(start..<range.upperBound, isMatch: false)
            splitter.finishPiece()
        }
        ranges = splitter.ranges
    }

    /// Cuts every piece between runs of characters of a kind and runs of others.
    mutating func splitRuns(of isMember: (Unicode.Scalar) -> Bool) {
        var result: [Range<Int>] = []
        for range in ranges {
            var start = range.lowerBound
            var position = start
            var last: Bool?
            while position < range.upperBound {
                let (scalar, next) = UTF8Scan.scalar(text, position)
                let member = isMember(scalar)
                if let last, last != member {
                    result.append(start..<position)
                    start = position
                }
                last = member
                position = next
            }
            result.append(start..<range.upperBound)
        }
        ranges = result
    }

    /// Puts `prefix` before the pieces that do not begin with it; `applies` sees where each begins.
    mutating func prepend(_ prefix: [UInt8], where applies: (Int) -> Bool) {
        rewrite(
            prefix: { text, range in
                applies(range.lowerBound) && !text[range].starts(with: prefix) ? prefix : []
            }, byte: { byte, output in output.append(byte) })
    }

    mutating func replace(_ byte: UInt8, by replacement: [UInt8]) {
        rewrite(byte: { found, output in
            if found == byte { output += replacement } else { output.append(found) }
        })
    }

    /// Writes every byte as the character that stands for it in byte-level vocabularies.
    mutating func mapBytes() {
        rewrite(byte: { byte, output in ByteLevel.append(byte, to: &output) })
    }

    /// Writes every byte of the pieces by `byte`, behind what `prefix` gives for the piece. What lies
    /// between the pieces goes.
    private mutating func rewrite(
        prefix: (_ text: [UInt8], _ range: Range<Int>) -> [UInt8] = { _, _ in [] },
        byte: (_ byte: UInt8, _ output: inout [UInt8]) -> Void
    ) {
        var output: [UInt8] = []
        output.reserveCapacity(text.count + text.count / 4)
        var newOrigin = 0
        for index in ranges.indices {
            let start = output.count
            let range = ranges[index]
            output += prefix(text, range)
            let border = min(max(origin, range.lowerBound), range.upperBound)
            for place in range.lowerBound..<border { byte(text[place], &output) }
            // What stands before a piece comes from where the piece begins.
            if range.lowerBound < origin { newOrigin = output.count }
            for place in border..<range.upperBound { byte(text[place], &output) }
            ranges[index] = start..<output.count
        }
        text = output
        origin = newOrigin
    }
}

/// Gathers the matches and gaps of one piece after another and applies a behavior to them, as
/// `NormalizedString::split` does.
private struct Splitter {
    let behavior: SplitBehavior
    let invert: Bool
    var ranges: [Range<Int>] = []
    private var spans: [(range: Range<Int>, isMatch: Bool)] = []

    init(behavior: SplitBehavior, invert: Bool, capacity: Int) {
        self.behavior = behavior
        self.invert = invert
        ranges.reserveCapacity(capacity)
    }

    mutating func add(_ range: Range<Int>, isMatch: Bool, evenIfEmpty: Bool = false) {
        if range.isEmpty && !evenIfEmpty { return }
        spans.append((range, isMatch != invert))
    }

    mutating func finishPiece() {
        defer { spans.removeAll(keepingCapacity: true) }
        let first = ranges.count
        switch behavior {
        case .isolated:
            for span in spans where !span.range.isEmpty { ranges.append(span.range) }
            return
        case .removed:
            for span in spans where !span.isMatch && !span.range.isEmpty {
                ranges.append(span.range)
            }
            return
        case .contiguous:
            var last = false
            for span in spans {
                extend(first, with: span.range, if: span.isMatch == last)
                last = span.isMatch
            }
        case .mergedWithPrevious:
            var last = false
            for span in spans {
                extend(first, with: span.range, if: span.isMatch && !last)
                last = span.isMatch
            }
        case .mergedWithNext:
            var last = false
            for span in spans.reversed() {
                if span.isMatch && !last, ranges.count > first {
                    let end = ranges[ranges.count - 1].upperBound
                    ranges[ranges.count - 1] = span.range.lowerBound..<end
                } else {
                    ranges.append(span.range)
                }
                last = span.isMatch
            }
            ranges[first...].reverse()
        }
        if ranges[first...].contains(where: \.isEmpty) {
            ranges.replaceSubrange(first..., with: ranges[first...].filter { !$0.isEmpty })
        }
    }

    private mutating func extend(_ first: Int, with range: Range<Int>, if joins: Bool) {
        if joins, ranges.count > first {
            ranges[ranges.count - 1] = ranges[ranges.count - 1].lowerBound..<range.upperBound
        } else {
            ranges.append(range)
        }
    }
}
