import Foundation

/// A regular expression that matches as Hugging Face's `tokenizers` matches it.
///
/// `tokenizers` uses Oniguruma with Ruby's syntax; this uses ICU, by Foundation, with the pattern
/// rewritten where the two differ (`OnigurumaTranslator`). Both know Unicode 16, so `\p{L}`, `\p{N}`
/// and `\s` are the same sets.
final class TextRegex: @unchecked Sendable {
    // Immutable, and documented as safe to use from several threads.
    private let expression: NSRegularExpression
    private let pattern: String
    private let path: String
    private let place: String

    /// - Parameter place: Where in the file at `path` the pattern stands, for errors.
    /// - Throws: `TokenizerError` for a pattern with constructs that this package does not know to
    ///   mean the same in both engines, and for one that is wrong.
    init(_ pattern: String, path: String, place: String) throws(TokenizerError) {
        var translator = OnigurumaTranslator(pattern)
        let translated: String
        do {
            translated = try translator.translate()
        } catch {
            throw .invalid(path: path, place: place, problem: error.description)
        }
        do {
            expression = try NSRegularExpression(
                pattern: translated, options: [.anchorsMatchLines, .useUnixLineSeparators])
        } catch {
            let error = PatternError(pattern: pattern, problem: "is not a regular expression")
            throw .invalid(path: path, place: place, problem: error.description)
        }
        self.pattern = pattern
        self.path = path
        self.place = place
    }

    /// The most progress reports in a whole text. ICU reports each position where no match begins, and
    /// every 10,000th state it saves. Patterns of real tokenizers save below 8 states per character, a
    /// catastrophic one exponentially many; this allows 1.5 million and 150 per character.
    static func mostSteps(characters: Int, ranges: Int) -> Int {
        150 + characters + characters / 64 + ranges
    }

    /// The most time of this thread's on a processor that a whole text may take. Steps alone do not bound
    /// it: ICU scans a run of characters for a possessive loop, a lookahead or an atomic group in one
    /// step, and at each position of the run anew. Patterns of real tokenizers take 0.1 to 0.2 µs per
    /// character; this allows half a second and 3 µs per character.
    static func mostNanoseconds(characters: Int) -> UInt64 {
        500_000_000 + 3000 * UInt64(characters)
    }

    /// Asked for at every so many steps: with steps that are quick, the clock would cost more than they.
    private static let stepsBetweenClocks = 64

    /// Nanoseconds that the calling thread has spent on a processor.
    private static var processorTime: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// The matches within each of `ranges` of `text`, from left to right; a match sees nothing
    /// outside its range.
    /// - Parameter ranges: Ascending, disjoint ranges of whole scalars.
    /// - Throws: `TokenizerError.patternTooCostly`, behind any number of matches.
    func forEachMatch(
        in text: [UInt8], ranges: [Range<Int>], _ body: (_ index: Int, _ match: Range<Int>) -> Void
    ) throws(TokenizerError) {
        let string = String(decoding: text, as: UTF8.self)
        let characters = string.utf16.count
        let limit = Self.mostSteps(characters: characters, ranges: ranges.count)
        let deadline = Self.processorTime + Self.mostNanoseconds(characters: characters)
        var steps = 0
        var exceeded: PatternLimit?
        var bounds = OffsetCursor(text)
        var inner = OffsetCursor(text)
        // Foundation declares the block as escaping; it does not outlive the call.
        withoutActuallyEscaping(body) { body in
            for (index, range) in ranges.enumerated() {
                let start = bounds.advance(toUTF8: range.lowerBound)
                let end = bounds.advance(toUTF8: range.upperBound)
                // An empty match right behind another match does not count.
                var previousEnd: Int?
                expression.enumerateMatches(
                    in: string, options: [.reportProgress, .reportCompletion],
                    range: NSRange(location: start, length: end - start)
                ) { result, flags, stop in
                    guard let found = result?.range, found.location != NSNotFound else {
                        if flags.contains(.progress) {
                            steps += 1
                            if steps > limit {
                                exceeded = .steps(limit)
                                stop.pointee = true
                            } else if steps % Self.stepsBetweenClocks == 0,
                                Self.processorTime > deadline
                            {
                                exceeded = .time
                                stop.pointee = true
                            }
                        } else if flags.contains(.internalError), exceeded == nil {
                            exceeded = .memory
                        }
                        return
                    }
                    let matchEnd = found.location + found.length
                    if found.length == 0, previousEnd == found.location { return }
                    previousEnd = matchEnd
                    let lower = inner.advance(toUTF16: found.location)
                    let upper = inner.advance(toUTF16: matchEnd)
                    body(index, lower..<upper)
                }
                if exceeded != nil { break }
            }
        }
        if let exceeded {
            throw .patternTooCostly(
                path: path, place: place, pattern: pattern, characters: characters,
                limit: exceeded)
        }
    }
}

/// Walks forward over a text and knows its place in UTF-8 and in UTF-16 units.
private struct OffsetCursor {
    private let text: [UInt8]
    private var utf8 = 0
    private var utf16 = 0

    init(_ text: [UInt8]) { self.text = text }

    private mutating func step() {
        let length = UTF8Scan.length(of: text[utf8])
        utf8 += length
        utf16 += length == 4 ? 2 : 1
    }

    mutating func advance(toUTF8 target: Int) -> Int {
        while utf8 < target { step() }
        return utf16
    }

    mutating func advance(toUTF16 target: Int) -> Int {
        while utf16 < target { step() }
        return utf8
    }
}

/// Why a pattern is refused.
struct PatternError: Error, Equatable {
    let pattern: String
    let problem: String

    var description: String { "the pattern \"\(pattern.prefix(120))\" \(problem)" }
}
