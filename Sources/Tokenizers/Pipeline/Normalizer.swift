import Foundation

/// Rewrites text before it is split.
indirect enum Normalizer: Sendable {
    case sequence([Normalizer])
    case unicode(Form)
    case replace(TextPattern, with: [UInt8])
    case prepend([UInt8])
    case lowercase
    case strip(left: Bool, right: Bool)
    /// Marks go.
    case stripAccents
    /// SentencePiece's cleaning: control characters go, separators and format characters are spaces.
    case nmt
    case precompiled(PrecompiledMap)
    /// Every byte as the character that stands for it in byte-level vocabularies.
    case byteLevel

    /// Unicode normalization forms, of Unicode 9.
    enum Form: String, Sendable, CaseIterable {
        case c = "NFC"
        case d = "NFD"
        case kc = "NFKC"
        case kd = "NFKD"
    }

    /// - Parameter origin: How many bytes at the start of `text` come from the first character of the
    ///   whole input; 0 if `text` does not begin there. Becomes that of the result, by the alignment
    ///   that `tokenizers`' `NormalizedString` keeps.
    /// - Throws: `TokenizerError.patternTooCostly`.
    func apply(_ text: [UInt8], origin: inout Int) throws(TokenizerError) -> [UInt8] {
        switch self {
        case .sequence(let normalizers):
            var result = text
            for step in normalizers { result = try step.apply(result, origin: &origin) }
            return result
        case .unicode(let form):
            let result = form.apply(text)
            origin = form.origin(of: text, origin, in: result)
            return result
        case .replace(let pattern, let replacement):
            return try pattern.replacing(in: text, with: replacement, origin: &origin)
        case .prepend(let prefix):
            if text.isEmpty { return text }
            if origin > 0 { origin += prefix.count }
            return prefix + text
        case .lowercase:
            return Self.inParts(text, &origin) { part in
                var result: [UInt8] = []
                result.reserveCapacity(part.count)
                for scalar in String(decoding: part, as: UTF8.self).unicodeScalars {
                    result += scalar.properties.lowercaseMapping.utf8
                }
                return result
            }
        case .stripAccents:
            return Self.inParts(text, &origin) { Self.mapScalars($0) { $0.isOldMark ? nil : $0 } }
        case .nmt:
            return Self.inParts(text, &origin) { Self.mapScalars($0, Self.cleaned) }
        case .precompiled(let map):
            return map.apply(text, origin: &origin)
        case .byteLevel:
            return Self.inParts(text, &origin) { part in
                var result: [UInt8] = []
                result.reserveCapacity(part.count + part.count / 4)
                for byte in part { ByteLevel.append(byte, to: &result) }
                return result
            }
        case .strip(let left, let right):
            var range = 0..<text.count
            while left, !range.isEmpty {
                let (scalar, next) = UTF8Scan.scalar(text, range.lowerBound)
                guard scalar.isSpace else { break }
                range = next..<range.upperBound
            }
            while right, !range.isEmpty {
                let (scalar, start) = UTF8Scan.scalar(text, before: range.upperBound)
                guard scalar.isSpace else { break }
                range = range.lowerBound..<start
            }
            origin = range.clamped(to: 0..<origin).count
            return Array(text[range])
        }
    }

    /// A rewriting that sees one character at a time, so that what comes from the first ones is what
    /// it makes of these alone.
    private static func inParts(
        _ text: [UInt8], _ origin: inout Int, _ rewrite: ([UInt8]) -> [UInt8]
    ) -> [UInt8] {
        if origin == 0 { return rewrite(text) }
        let first = rewrite(Array(text[..<origin]))
        let rest = rewrite(Array(text[origin...]))
        origin = first.count
        return first + rest
    }

    private static func mapScalars(
        _ text: [UInt8], _ transform: (Unicode.Scalar) -> Unicode.Scalar?
    ) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var position = 0
        while position < text.count {
            let (scalar, next) = UTF8Scan.scalar(text, position)
            position = next
            if let scalar = transform(scalar), let bytes = UTF8.encode(scalar) { result += bytes }
        }
        return result
    }

    private static func cleaned(_ scalar: Unicode.Scalar) -> Unicode.Scalar? {
        switch scalar.value {
        case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: nil
        case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF,
            0xFFFD:
            " "
        default: scalar
        }
    }

    /// At most how many times longer a text gets, about: what bounds the memory of a hostile file.
    var growth: Double {
        switch self {
        case .sequence(let steps): steps.reduce(1) { $0 * $1.growth }
        case .replace(.literal(let literal), let content):
            max(1, Double(content.count) / Double(literal.count))
        case .replace(.regex, let content): Double(content.count + 1)
        case .prepend(let prefix): Double(prefix.count + 1)
        case .byteLevel: 2
        case .unicode, .lowercase, .strip, .stripAccents, .nmt, .precompiled: 1
        }
    }
}

extension Unicode.Scalar {
    /// General category M, in the Unicode 9 that `tokenizers` knows for this: two characters were
    /// marks then and one was not.
    fileprivate var isOldMark: Bool {
        if value < 0x300 || value == 0x111C9 { return false }
        if value == 0x1CF2 || value == 0x1CF3 { return true }
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark:
            return (properties.age?.major ?? 0) <= 9
        default: return false
        }
    }
}

extension Normalizer.Form {
    fileprivate func apply(_ text: [UInt8]) -> [UInt8] {
        if text.allSatisfy({ $0 < 0x80 }) { return text }
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var start = 0
        var position = 0
        while position < text.count {
            let (scalar, next) = UTF8Scan.scalar(text, position)
            if Self.isNew(scalar) {
                result += normalized(text[start..<position])
                result += text[position..<next]
                start = next
            }
            position = next
        }
        result += normalized(text[start...])
        return result
    }

    /// How many bytes at the start of `result`, which is `text` in this form, come from the first
    /// `origin` bytes of `text`, where a character stands for the first of those it is composed of.
    func origin(of text: [UInt8], _ origin: Int, in result: [UInt8]) -> Int {
        if origin == 0 || origin == text.count { return origin == 0 ? 0 : result.count }
        let alone = apply(Array(text[..<origin]))
        var end = 0
        while end < alone.count {
            let next = end + UTF8Scan.length(of: alone[end])
            guard result.count >= next, result[end..<next].elementsEqual(alone[end..<next]) else {
                break
            }
            end = next
        }
        guard end < alone.count, end < result.count else { return end }
        // The next character is composed with what follows, or moved before: it stands for the last one
        // of the origin, unless a character that was made of that one stands before it.
        let last = UTF8Scan.scalar(text, before: origin).start
        let isTaken = end > apply(Array(text[..<last])).count
        return isTaken ? end : end + UTF8Scan.length(of: result[end])
    }

    private func normalized(_ text: ArraySlice<UInt8>) -> some Sequence<UInt8> {
        // Below U+0300 form C changes nothing; 0xCC is the first byte of U+0300.
        let firstChanged: UInt8 = self == .c ? 0xCC : 0x80
        if text.allSatisfy({ $0 < firstChanged }) { return text }
        let string = Self.marksInOrder(String(decoding: text, as: UTF8.self).unicodeScalars)
        // ICU's transforms; Foundation's own mappings miss Hangul syllables whose last jamo follows a
        // composed pair and sort long runs of marks wrongly.
        let changed =
            string.applyingTransform(StringTransform("Any-\(rawValue)"), reverse: false) ?? string
        return ArraySlice(changed.utf8)
    }

    /// The text with long runs of marks in canonical order: ICU and Foundation insert one mark after
    /// another, which takes quadratic time. Only runs beyond what writing has are touched.
    private static func marksInOrder(_ scalars: String.UnicodeScalarView) -> String {
        var result = String.UnicodeScalarView()
        var run: [(scalar: Unicode.Scalar, order: UInt8)] = []
        func flush() {
            if run.count > longestUnsortedRun {
                // Stable: marks of one class keep their order. Buckets, since there are few classes.
                var buckets: [[Unicode.Scalar]] = Array(repeating: [], count: 256)
                for mark in run { buckets[Int(mark.order)].append(mark.scalar) }
                for bucket in buckets { result.append(contentsOf: bucket) }
            } else {
                for mark in run { result.append(mark.scalar) }
            }
            run.removeAll(keepingCapacity: true)
        }
        for scalar in scalars {
            if scalar.value < 0x300 {
                if !run.isEmpty { flush() }
                result.append(scalar)
                continue
            }
            // The three vowel signs whose class is 0 though they are two marks.
            let parts: [Unicode.Scalar] =
                switch scalar.value {
                case 0xF73: ["\u{F71}", "\u{F72}"]
                case 0xF75: ["\u{F71}", "\u{F74}"]
                case 0xF81: ["\u{F71}", "\u{F80}"]
                default: [scalar]
                }
            for part in parts {
                let order = part.properties.canonicalCombiningClass.rawValue
                if order == 0 {
                    if !run.isEmpty { flush() }
                    result.append(part)
                } else {
                    run.append((part, order))
                }
            }
        }
        flush()
        return String(result)
    }

    private static let longestUnsortedRun = 64

    /// `tokenizers` normalizes by Unicode 9: characters that are newer keep their place and their
    /// form, join nothing, and no mark moves past them.
    private static func isNew(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value >= 0x300 && (scalar.properties.age?.major ?? 0) > 9
    }
}
