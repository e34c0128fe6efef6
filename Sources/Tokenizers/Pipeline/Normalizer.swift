import Foundation

/// Rewrites text before it is split.
indirect enum Normalizer: Sendable {
    case sequence([Normalizer])
    case unicode(Form)
    case replace(TextPattern, with: [UInt8])
    case prepend([UInt8])
    case lowercase
    case strip(left: Bool, right: Bool)

    /// Unicode normalization forms, by Foundation. Its tables lack the decompositions of a few
    /// characters of Unicode 12 and later: 1 in form D, 135 in the forms KC and KD.
    enum Form: String, Sendable, CaseIterable {
        case c = "NFC"
        case d = "NFD"
        case kc = "NFKC"
        case kd = "NFKD"
    }

    /// - Parameter startsAtOrigin: Whether the first character of `text` is the first of the whole
    ///   input; cleared when that character goes.
    func apply(_ text: [UInt8], startsAtOrigin: inout Bool) -> [UInt8] {
        switch self {
        case .sequence(let normalizers):
            return normalizers.reduce(text) { $1.apply($0, startsAtOrigin: &startsAtOrigin) }
        case .unicode(let form):
            return form.apply(text)
        case .replace(let pattern, let replacement):
            var removedPrefix = false
            let result = pattern.replacing(
                in: text, with: replacement, removedPrefix: &removedPrefix)
            if removedPrefix { startsAtOrigin = false }
            return result
        case .prepend(let prefix):
            return text.isEmpty ? text : prefix + text
        case .lowercase:
            var result: [UInt8] = []
            result.reserveCapacity(text.count)
            for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
                result += scalar.properties.lowercaseMapping.utf8
            }
            return result
        case .strip(let left, let right):
            var range = 0..<text.count
            while left, !range.isEmpty {
                let (scalar, next) = UTF8Scan.scalar(text, range.lowerBound)
                guard scalar.isSpace else { break }
                range = next..<range.upperBound
                startsAtOrigin = false
            }
            while right, !range.isEmpty {
                let (scalar, start) = UTF8Scan.scalar(text, before: range.upperBound)
                guard scalar.isSpace else { break }
                range = range.lowerBound..<start
            }
            return Array(text[range])
        }
    }
}

extension Normalizer.Form {
    fileprivate func apply(_ text: [UInt8]) -> [UInt8] {
        if text.allSatisfy({ $0 < 0x80 }) { return text }
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        let scalars = String(decoding: text, as: UTF8.self).unicodeScalars
        var rest = scalars[...]
        while let cut = rest.firstIndex(where: Self.isNewMark) {
            result += normalized(rest[..<cut]).utf8
            result += rest[cut].utf8
            rest = rest[scalars.index(after: cut)...]
        }
        result += normalized(rest).utf8
        return result
    }

    private func normalized(_ scalars: Substring.UnicodeScalarView) -> String {
        let string = String(scalars)
        return switch self {
        case .c: Self.composed(string)
        case .d: string.decomposedStringWithCanonicalMapping
        case .kc: Self.composed(string.decomposedStringWithCompatibilityMapping)
        case .kd: string.decomposedStringWithCompatibilityMapping
        }
    }

    /// The transform composes as Unicode says; `precomposedStringWithCanonicalMapping` misses Hangul
    /// syllables whose last jamo follows a composed pair.
    private static func composed(_ string: String) -> String {
        string.applyingTransform(StringTransform("Any-NFC"), reverse: false)
            ?? string.precomposedStringWithCanonicalMapping
    }

    /// Marks that are newer than Unicode 9 are letters to `tokenizers`: they keep their place, and no
    /// other mark moves past them.
    private static func isNewMark(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value >= 0x300 && scalar.properties.canonicalCombiningClass != .notReordered
            && (scalar.properties.age?.major ?? 0) > 9
    }
}
