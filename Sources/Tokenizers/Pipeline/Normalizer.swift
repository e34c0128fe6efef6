import Foundation

/// Rewrites text before it is split.
indirect enum Normalizer: Sendable {
    case sequence([Normalizer])
    case unicode(Form)
    case replace(TextPattern, with: [UInt8])
    case prepend([UInt8])
    case lowercase
    case strip(left: Bool, right: Bool)

    /// Unicode normalization forms. C is exact; D, KC and KD are Foundation's, whose tables lack 1
    /// (D) and 135 (KC, KD) characters of Unicode 12 and later.
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
        let string = String(decoding: text, as: UTF8.self)
        switch self {
        case .c: return Array(Self.composed(string).utf8)
        case .d: return Array(string.decomposedStringWithCanonicalMapping.utf8)
        case .kc: return Array(Self.composed(string.decomposedStringWithCompatibilityMapping).utf8)
        case .kd: return Array(string.decomposedStringWithCompatibilityMapping.utf8)
        }
    }

    /// The transform composes as Unicode says; `precomposedStringWithCanonicalMapping` misses Hangul
    /// syllables whose last jamo follows a composed pair.
    private static func composed(_ string: String) -> String {
        string.applyingTransform(StringTransform("Any-NFC"), reverse: false)
            ?? string.precomposedStringWithCanonicalMapping
    }
}
