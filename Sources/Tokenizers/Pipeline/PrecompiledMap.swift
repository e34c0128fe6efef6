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
    func apply(_ text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        for cluster in String(decoding: text, as: UTF8.self) {
            let bytes = cluster.utf8
            if bytes.count < 6, let whole = rewriting(of: bytes) {
                result += whole
                continue
            }
            for scalar in cluster.unicodeScalars {
                let bytes = UTF8.encode(scalar)!
                if let first = bytes.first, isFirst[Int(first)], let part = rewriting(of: bytes) {
                    result += part
                } else {
                    result += bytes
                }
            }
        }
        return result
    }
}
