import Foundation

/// Text as Python sees it: code points, its white space, its `float` and `str(float)`. The rules of the
/// benchmarks are written in Python, and some of its corners decide scores.
enum PythonText {
    /// Whether two strings have the same code points; Swift's own equality is canonical equivalence.
    static func same(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }

    /// What `str.isspace` takes for white space: Unicode's property and the four separators.
    static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
    }

    /// `str.strip()`.
    static func strip(_ text: String) -> String {
        let scalars = text.unicodeScalars
        guard let first = scalars.firstIndex(where: { !isSpace($0) }),
            let last = scalars.lastIndex(where: { !isSpace($0) })
        else { return "" }
        return String(scalars[first...last])
    }

    /// `str.split()`.
    static func words(_ text: String) -> [String] {
        text.unicodeScalars.split(whereSeparator: isSpace).map { String($0) }
    }

    /// `str.split(separator)` for one separator of any length.
    static func split(_ text: String, _ separator: String) -> [String] {
        let (bytes, wanted) = (Array(text.utf8), Array(separator.utf8))
        var parts: [String] = []
        var start = 0
        while let found = find(wanted, in: bytes, from: start) {
            parts.append(String(decoding: bytes[start..<found], as: UTF8.self))
            start = found + wanted.count
        }
        parts.append(String(decoding: bytes[start...], as: UTF8.self))
        return parts
    }

    /// `str.replace(old, new)`.
    static func replace(_ text: String, _ old: String, _ new: String) -> String {
        split(text, old).joined(separator: new)
    }

    static func contains(_ text: String, _ part: String) -> Bool {
        find(Array(part.utf8), in: Array(text.utf8), from: 0) != nil
    }

    /// Where `part` first stands in `bytes` at or after `start`. In UTF-8 no character is part of another.
    static func find(_ part: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        guard !part.isEmpty, bytes.count - start >= part.count else { return nil }
        return (start...bytes.count - part.count).first { place in
            bytes[place..<place + part.count].elementsEqual(part)
        }
    }

    /// The 32 signs of `string.punctuation`.
    static let punctuation = Set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".unicodeScalars)

    static func withoutPunctuation(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.filter { !punctuation.contains($0) }))
    }

    /// `str.isdigit()`: not empty, and each code point a digit of any script, superscripts too.
    static func isDigits(_ text: String) -> Bool {
        !text.isEmpty
            && text.unicodeScalars.allSatisfy {
                $0.properties.numericType == .decimal || $0.properties.numericType == .digit
            }
    }

    /// `float(text)`; nil where Python raises ValueError.
    static func float(_ text: String) -> Double? {
        var digits: [UInt8] = []
        for scalar in strip(text).unicodeScalars {
            if scalar.isASCII {
                digits.append(UInt8(scalar.value))
            } else if scalar.properties.numericType == .decimal,
                let value = scalar.properties.numericValue
            {
                digits.append(UInt8(ascii: "0") + UInt8(value))
            } else {
                return nil
            }
        }
        let plain = String(decoding: digits, as: UTF8.self).lowercased()
        let unsigned =
            plain.hasPrefix("+") || plain.hasPrefix("-") ? String(plain.dropFirst()) : plain
        let sign: Double = plain.hasPrefix("-") ? -1 : 1
        if unsigned == "inf" || unsigned == "infinity" { return sign * .infinity }
        if unsigned == "nan" { return .nan }
        guard let number = withoutUnderscores(unsigned), isDecimal(number) else { return nil }
        return strtod(number, nil) * sign
    }

    /// Underscores may stand between two digits and nowhere else.
    private static func withoutUnderscores(_ text: String) -> String? {
        let bytes = Array(text.utf8)
        func isDigit(_ index: Int) -> Bool {
            bytes.indices.contains(index) && (0x30...0x39).contains(bytes[index])
        }
        for index in bytes.indices where bytes[index] == UInt8(ascii: "_") {
            guard isDigit(index - 1), isDigit(index + 1) else { return nil }
        }
        return String(decoding: bytes.filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
    }

    /// Digits with at most one point among or beside them, and an exponent if there is one.
    private static func isDecimal(_ text: String) -> Bool {
        let parts = text.split(separator: "e", maxSplits: 1, omittingEmptySubsequences: false)
        func digits(_ text: Substring) -> Bool {
            text.utf8.allSatisfy { (0x30...0x39).contains($0) }
        }
        let halves = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        guard halves.count <= 2, halves.allSatisfy(digits), halves.contains(where: { !$0.isEmpty })
        else { return false }
        guard parts.count == 2 else { return true }
        let exponent =
            parts[1].first == "+" || parts[1].first == "-" ? parts[1].dropFirst() : parts[1]
        return !exponent.isEmpty && digits(exponent)
    }

    /// `str(value)`: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
    static func string(_ value: Double) -> String {
        guard value.isFinite else {
            return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf"
        }
        let sign = value.sign == .minus ? "-" : ""
        let plain = "\(value.magnitude)"
        let parts = plain.split(separator: "e")
        let halves = parts[0].split(separator: ".")
        var digits = Array((String(halves[0]) + (halves.count > 1 ? halves[1] : "")).utf8)
        // The value is 0.digits · 10^point.
        var point = halves[0].count + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
        while digits.count > 1, digits.first == 0x30 {
            digits.removeFirst()
            point -= 1
        }
        while digits.count > 1, digits.last == 0x30 { digits.removeLast() }
        if digits == [0x30] { return sign + "0.0" }
        func text(_ bytes: some Sequence<UInt8>) -> String {
            String(decoding: Array(bytes), as: UTF8.self)
        }
        let exponent = point - 1
        if exponent < -4 || exponent >= 16 {
            let rest = digits.count > 1 ? "." + text(digits.dropFirst()) : ""
            let size = String(abs(exponent))
            return sign + text(digits.prefix(1)) + rest + (exponent < 0 ? "e-" : "e+")
                + (size.count < 2 ? "0" : "") + size
        }
        if point <= 0 {
            return sign + "0." + String(repeating: "0", count: -point) + text(digits)
        }
        if digits.count <= point {
            return sign + text(digits) + String(repeating: "0", count: point - digits.count) + ".0"
        }
        return sign + text(digits.prefix(point)) + "." + text(digits.dropFirst(point))
    }
}

/// A regular expression of Python's `re` whose syntax means the same to ICU. `.` stops at line feeds only.
struct PythonPattern: @unchecked Sendable {
    // Immutable, and documented as safe to use from several threads.
    private let expression: NSRegularExpression

    /// - Precondition: `pattern` is a regular expression. Patterns are this project's own.
    init(_ pattern: String) {
        do {
            expression = try NSRegularExpression(
                pattern: pattern, options: [.useUnixLineSeparators])
        } catch {
            preconditionFailure("not a regular expression: \(pattern)")
        }
    }

    /// A user's pattern; nil where it is none.
    init?(checking pattern: String) {
        guard
            let made = try? NSRegularExpression(
                pattern: pattern, options: [.useUnixLineSeparators])
        else { return nil }
        expression = made
    }

    /// The groups of each match, from left to right, the whole match first.
    func matches(in text: String) -> [[String]] {
        let string = text as NSString
        return expression.matches(in: text, range: NSRange(location: 0, length: string.length)).map
        {
            match in
            (0..<match.numberOfRanges).map { group in
                let range = match.range(at: group)
                return range.location == NSNotFound ? "" : string.substring(with: range)
            }
        }
    }

    /// The first group of the last match, or the whole match of a pattern without groups: `findall`'s
    /// last element.
    func last(in text: String) -> String? {
        matches(in: text).last.map { $0.count > 1 ? $0[1] : $0[0] }
    }

    /// `re.sub`, with the text that takes the place of each match made from its groups.
    func replace(in text: String, with made: ([String]) -> String) -> String {
        let string = text as NSString
        var result = ""
        var end = 0
        let whole = NSRange(location: 0, length: string.length)
        for match in expression.matches(in: text, range: whole) {
            result += string.substring(
                with: NSRange(location: end, length: match.range.location - end))
            result += made(
                (0..<match.numberOfRanges).map { group in
                    let range = match.range(at: group)
                    return range.location == NSNotFound ? "" : string.substring(with: range)
                })
            end = match.range.location + match.range.length
        }
        return result + string.substring(from: end)
    }
}
