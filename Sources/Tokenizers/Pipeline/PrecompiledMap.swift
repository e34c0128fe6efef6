import Foundation

/// SentencePiece's compiled table of rewritings, the `Precompiled` normalizer of T5's and XLM-R's
/// files.
///
/// Its bytes are the size of a trie (u32), the trie, and the rewritings one after another, each with
/// a NUL behind it. All numbers are little-endian. The trie is a double array of u32 units, as the
/// library Darts-clone writes it: bits 0-7 of a unit are the byte that leads to it, with bit 31 clear;
/// bit 8 says that a key ends here; bits 10-30 (shifted left by 8 if bit 9 is set) are XORed to the
/// unit's place for the place of its children, of which that of byte b is found by XOR with b. The
/// child of byte 0 holds the value of the key that ends: the place of its rewriting.
struct PrecompiledMap: Sendable {
    private let units: [UInt32]
    private let rewritings: [UInt8]
    /// For short ASCII texts: whether any key begins with this byte.
    private let isFirst: [Bool]

    /// - Returns: nil if `base64` is not such a table.
    init?(base64: String) {
        guard let data = Data(base64Encoded: base64), data.count >= 4 else { return nil }
        let bytes = [UInt8](data)
        func word(_ index: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(bytes[index + $1]) << UInt32(8 * $1) }
        }
        let size = Int(word(0))
        guard size % 4 == 0, size > 0, size <= bytes.count - 4 else { return nil }
        units = stride(from: 4, to: 4 + size, by: 4).map(word)
        rewritings = Array(bytes[(4 + size)...])
        guard String(validating: rewritings, as: UTF8.self) != nil else { return nil }
        var isFirst = [Bool](repeating: false, count: 256)
        let root = Self.offset(units[0])
        for byte in 1..<256 where root ^ byte < units.count {
            isFirst[byte] = units[root ^ byte] & 0x8000_00FF == UInt32(byte)
        }
        self.isFirst = isFirst
    }

    private static func offset(_ unit: UInt32) -> Int {
        Int(unit >> 10) << (unit & 0x200 == 0 ? 0 : 8)
    }

    /// The rewriting of the shortest key that `text` begins with, as Hugging Face's reader takes it;
    /// a table that points outside itself rewrites nothing.
    private func rewriting(of text: some Sequence<UInt8>) -> ArraySlice<UInt8>? {
        var place = Self.offset(units[0])
        for byte in text {
            if byte == 0 { return nil }
            place ^= Int(byte)
            guard place < units.count, units[place] & 0x8000_00FF == UInt32(byte) else {
                return nil
            }
            let endsKey = units[place] & 0x100 != 0
            place ^= Self.offset(units[place])
            if endsKey {
                guard place < units.count else { return nil }
                let start = Int(units[place] & 0x7FFF_FFFF)
                guard start <= rewritings.count,
                    // Not within a character.
                    start == rewritings.count || rewritings[start] & 0xC0 != 0x80
                else { return nil }
                return rewritings[start...].prefix { $0 != 0 }
            }
        }
        return nil
    }

    /// Rewrites grapheme clusters of fewer than 6 bytes as a whole where a key fits their beginning,
    /// and characters of the others one by one.
    /// - Parameter origin: How many bytes at the start come from the first character of the whole input,
    ///   before and after. Characters of a rewriting stand for those it replaces one by one; what it
    ///   has more stands for the last, and what it has fewer is taken away from behind the last.
    func apply(_ text: [UInt8], origin: inout Int) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var alignment = Alignment(text: text, origin: origin)
        for cluster in String(decoding: text, as: UTF8.self) {
            let bytes = cluster.utf8
            if bytes.count < 6, let whole = rewriting(of: bytes) {
                alignment.add(whole, for: cluster.unicodeScalars.count)
                result += whole
                continue
            }
            for scalar in cluster.unicodeScalars {
                let bytes = UTF8.encode(scalar)!
                if let first = bytes.first, isFirst[Int(first)], let part = rewriting(of: bytes) {
                    alignment.add(part, for: 1)
                    result += part
                } else {
                    alignment.add(ArraySlice(bytes), for: 1)
                    result += bytes
                }
            }
        }
        origin = alignment.found
        return result
    }

    /// Follows which characters of the old text those of the new one stand for, until one comes that
    /// does not stand for the first.
    private struct Alignment {
        let text: [UInt8]
        let origin: Int
        /// Bytes of the new text that come from the origin.
        private(set) var found = 0
        /// Bytes of the old text that have been stood for.
        private var used = 0
        private var isDone: Bool
        /// Whether any character of the new text has come.
        private var hasBegun = false

        init(text: [UInt8], origin: Int) {
            self.text = text
            self.origin = origin
            isDone = origin == 0
        }

        /// - Parameter old: How many characters `new` replaces.
        mutating func add(_ new: ArraySlice<UInt8>, for old: Int) {
            if isDone { return }
            var count = 0
            var place = new.startIndex
            while place < new.endIndex, !isDone {
                let next = place + UTF8Scan.length(of: new[place])
                count += 1
                let isMore = count > old
                if isMore ? used <= origin : used < origin {
                    found += next - place
                } else {
                    isDone = true
                }
                if !isMore { skip() }
                place = next
                hasBegun = true
            }
            // Taken away with the last character; before the first there is none to take it with, and
            // `tokenizers` lets those that follow stand for it.
            if hasBegun, count < old { for _ in count..<old { skip() } }
        }

        private mutating func skip() {
            if used < text.count { used += UTF8Scan.length(of: text[used]) }
        }
    }
}
