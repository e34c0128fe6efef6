import Foundation

/// A regular expression that matches as Hugging Face's `tokenizers` matches it.
///
/// `tokenizers` uses Oniguruma with Ruby's syntax; this uses ICU, by Foundation, with the pattern
/// rewritten where the two differ (`OnigurumaTranslator`). Both know Unicode 16, so `\p{L}`, `\p{N}`
/// and `\s` are the same sets.
final class TextRegex: @unchecked Sendable {
    // Immutable, and documented as safe to use from several threads.
    private let expression: NSRegularExpression

    /// - Throws: `PatternError` for a pattern with constructs that this package does not know to mean
    ///   the same in both engines, and for one that is wrong.
    init(_ pattern: String) throws(PatternError) {
        var translator = OnigurumaTranslator(pattern)
        let translated = try translator.translate()
        do {
            expression = try NSRegularExpression(
                pattern: translated, options: [.anchorsMatchLines, .useUnixLineSeparators])
        } catch {
            throw PatternError(pattern: pattern, problem: "is not a regular expression")
        }
    }

    /// The matches within each of `ranges` of `text`, from left to right; a match sees nothing
    /// outside its range.
    /// - Parameter ranges: Ascending, disjoint ranges of whole scalars.
    func forEachMatch(
        in text: [UInt8], ranges: [Range<Int>], _ body: (_ index: Int, _ match: Range<Int>) -> Void
    ) {
        let string = String(decoding: text, as: UTF8.self)
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
                    in: string, range: NSRange(location: start, length: end - start)
                ) { result, _, _ in
                    guard let found = result?.range, found.location != NSNotFound else { return }
                    let matchEnd = found.location + found.length
                    if found.length == 0, previousEnd == found.location { return }
                    previousEnd = matchEnd
                    let lower = inner.advance(toUTF16: found.location)
                    let upper = inner.advance(toUTF16: matchEnd)
                    body(index, lower..<upper)
                }
            }
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
