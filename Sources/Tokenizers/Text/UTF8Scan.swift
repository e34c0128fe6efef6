/// Walking over UTF-8 that is known to be valid, scalar by scalar. Grapheme clusters play no part in
/// tokenization.
enum UTF8Scan {
    /// The length in bytes of a scalar whose first byte is `lead`.
    @inline(__always)
    static func length(of lead: UInt8) -> Int {
        lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
    }

    /// The scalar at `position`, and where the next one begins.
    @inline(__always)
    static func scalar(
        _ bytes: [UInt8], _ position: Int
    ) -> (value: Unicode.Scalar, next: Int) {
        let lead = bytes[position]
        if lead < 0x80 { return (Unicode.Scalar(lead), position + 1) }
        let length = length(of: lead)
        var value = UInt32(lead & (0x7F >> UInt8(length)))
        for offset in 1..<length {
            value = value << 6 | UInt32(bytes[position + offset] & 0x3F)
        }
        return (Unicode.Scalar(value) ?? "\u{FFFD}", position + length)
    }

    /// The scalar that ends before `position`, and where it begins.
    static func scalar(
        _ bytes: [UInt8], before position: Int
    ) -> (value: Unicode.Scalar, start: Int) {
        var start = position - 1
        while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
        return (scalar(bytes, start).value, start)
    }
}

extension Unicode.Scalar {
    /// General category N, as Rust's `char::is_numeric`.
    var isNumeric: Bool {
        if value < 0x80 { return value >= 0x30 && value <= 0x39 }
        switch properties.generalCategory {
        case .decimalNumber, .letterNumber, .otherNumber: return true
        default: return false
        }
    }

    /// White_Space, as Rust's `char::is_whitespace` and `\s`.
    var isSpace: Bool {
        if value < 0x80 { return value == 0x20 || (value >= 0x09 && value <= 0x0D) }
        return properties.isWhitespace
    }

    /// `\w` of Rust's regex crate: UTS #18's word character.
    var isWord: Bool {
        if properties.isAlphabetic || properties.isJoinControl { return true }
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation:
            return true
        default: return false
        }
    }

    /// ASCII punctuation and symbols, and general category P.
    var isPunctuation: Bool {
        if value < 0x80 {
            return value > 0x20 && value < 0x7F && !isWord || value == 0x5F
        }
        switch properties.generalCategory {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
            .initialPunctuation, .finalPunctuation, .otherPunctuation:
            return true
        default: return false
        }
    }
}
