/// GPT-2's spelling of bytes as visible characters: printable Latin-1 stands for itself, the other 68
/// bytes are U+0100 and up in their order.
enum ByteLevel {
    /// The UTF-8 of each byte's character: one or two bytes, the second 0 if there is none.
    private static let characters: [(UInt8, UInt8)] = {
        var next: UInt32 = 0x100
        return (0..<256).map { byte in
            let isVisible =
                (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte)
                || (0xAE...0xFF).contains(byte)
            var value = UInt32(byte)
            if !isVisible {
                value = next
                next += 1
            }
            if value < 0x80 { return (UInt8(value), 0) }
            return (UInt8(0xC0 | value >> 6), UInt8(0x80 | value & 0x3F))
        }
    }()

    /// The byte of each character below U+0180; nil where a character stands for none.
    private static let bytes: [UInt8?] = {
        var bytes: [UInt8?] = Array(repeating: nil, count: 0x180)
        for (byte, character) in characters.enumerated() {
            let value =
                character.1 == 0
                ? Int(character.0) : Int(character.0 & 0x1F) << 6 | Int(character.1 & 0x3F)
            bytes[value] = UInt8(byte)
        }
        return bytes
    }()

    @inline(__always)
    static func append(_ byte: UInt8, to output: inout [UInt8]) {
        let character = characters[Int(byte)]
        output.append(character.0)
        if character.1 != 0 { output.append(character.1) }
    }

    /// The bytes that `token` spells; nil if one of its characters stands for none.
    static func decode(_ token: [UInt8]) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(token.count)
        var position = 0
        while position < token.count {
            let (scalar, next) = UTF8Scan.scalar(token, position)
            guard scalar.value < 0x180, let byte = bytes[Int(scalar.value)] else { return nil }
            result.append(byte)
            position = next
        }
        return result
    }
}
