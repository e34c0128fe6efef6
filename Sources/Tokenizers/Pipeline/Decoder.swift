/// Turns the texts of tokens back into text.
indirect enum Decoder: Sendable {
    case sequence([Decoder])
    case byteLevel
    case byteFallback
    case fuse
    case replace([UInt8], with: [UInt8])
    case strip(content: [UInt8], start: Int, stop: Int)
    case metaspace(replacement: [UInt8], dropsFirst: Bool)
    /// The suffix that ends a word becomes a space, and vanishes from the last token.
    case wordSuffix([UInt8])

    private static let replacementCharacter = Array("\u{FFFD}".utf8)

    func apply(_ tokens: [[UInt8]]) -> [[UInt8]] {
        switch self {
        case .sequence(let decoders):
            return decoders.reduce(tokens) { $1.apply($0) }
        case .byteLevel:
            let bytes = tokens.flatMap { ByteLevel.decode($0) ?? $0 }
            // Each maximal ill-formed part becomes one U+FFFD, here and in Rust's from_utf8_lossy.
            return [Array(String(decoding: bytes, as: UTF8.self).utf8)]
        case .byteFallback:
            return Self.joinBytes(tokens)
        case .fuse:
            return [Array(tokens.joined())]
        case .replace(let literal, let replacement):
            return tokens.map { TextPattern.replacing(literal, in: $0, with: replacement) }
        case .strip(let content, let start, let stop):
            return tokens.map { Self.strip($0, content, start: start, stop: stop) }
        case .wordSuffix(let suffix):
            return tokens.enumerated().map { index, token in
                TextPattern.replacing(
                    suffix, in: token, with: index + 1 == tokens.count ? [] : [0x20])
            }
        case .metaspace(let replacement, let dropsFirst):
            return tokens.enumerated().map { index, token in
                TextPattern.replacing(
                    replacement, in: token, with: index == 0 && dropsFirst ? [] : [0x20])
            }
        }
    }

    /// Runs of `<0xHH>` become their bytes' text, or a U+FFFD for each byte if they are not UTF-8.
    private static func joinBytes(_ tokens: [[UInt8]]) -> [[UInt8]] {
        var result: [[UInt8]] = []
        var bytes: [UInt8] = []
        func flush() {
            if bytes.isEmpty { return }
            if String(validating: bytes, as: UTF8.self) != nil {
                result.append(bytes)
            } else {
                result += Array(repeating: replacementCharacter, count: bytes.count)
            }
            bytes.removeAll()
        }
        for token in tokens {
            if let byte = byteValue(token) {
                bytes.append(byte)
            } else {
                flush()
                result.append(token)
            }
        }
        flush()
        return result
    }

    private static func byteValue(_ token: [UInt8]) -> UInt8? {
        guard token.count == 6, token.starts(with: "<0x".utf8), token[5] == UInt8(ascii: ">")
        else { return nil }
        return UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
    }

    private static func strip(
        _ token: [UInt8], _ content: [UInt8], start: Int, stop: Int
    ) -> [UInt8] {
        var rest = token[...]
        for _ in 0..<max(start, 0) {
            guard rest.starts(with: content) else { break }
            rest = rest.dropFirst(content.count)
        }
        for _ in 0..<max(stop, 0) {
            guard rest.count >= content.count, rest.suffix(content.count).elementsEqual(content)
            else { break }
            rest = rest.dropLast(content.count)
        }
        return Array(rest)
    }
}
