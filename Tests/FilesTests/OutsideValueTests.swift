// Numbers and texts from outside: conversions that cannot trap, and text that cannot move a cursor.

import Files
import Testing

@Suite struct OutsideValueTests {
    @Test(arguments: [
        (0.0, 0), (-0.0, 0), (1.9, 1), (-1.9, -1), (9_007_199_254_740_993.0, 9_007_199_254_740_992),
        (0x1p62, 1 << 62), (-0x1p63, Int.min), (0x1.fffffffffffffp62, 9_223_372_036_854_774_784),
    ])
    func wholeParts(value: Double, expected: Int) {
        #expect(Int(whole: value) == expected)
        #expect(Int(nearest: value) == expected)
    }

    @Test(arguments: [
        (0x1p63, Int.max), (1e19, .max), (1e308, .max), (.infinity, .max), (-1e19, .min),
        (-.infinity, .min), (.nan, 0), (-.nan, 0),
    ])
    func beyondTheRange(value: Double, nearest: Int) {
        #expect(Int(whole: value) == nil)
        #expect(Int(nearest: value) == nearest)
    }

    @Test func smallerTypes() {
        #expect(Int32(whole: 2_147_483_647.9) == .max && Int32(whole: 2_147_483_648) == nil)
        #expect(UInt8(nearest: -1) == 0 && UInt8(nearest: 256) == 255 && UInt8(whole: -0.5) == 0)
    }

    @Test func products() {
        #expect([].checkedProduct == 1 && [3, 4, 5].checkedProduct == 60)
        #expect([1 << 40, 1 << 40].checkedProduct == nil)
        #expect([1 << 62, 2].checkedProduct == nil && [1 << 62, -2].checkedProduct == .min)
    }

    /// Sequences that retitle a window, move the cursor or colour; C1 controls; marks of direction.
    static let hostile = [
        "\u{1B}]0;owned\u{7}", "\u{1B}[2J\u{1B}[H", "\u{9B}31m", "\u{9D}0;x\u{9C}", "a\rb",
        "a\u{8}b",
        "\u{202E}gpj.exe", "\u{2066}a\u{2069}", "\u{200F}", "\u{200E}", "\u{61C}", "\u{2028}",
        "\u{7F}", "\u{0}", "\u{85}",
    ]

    /// Whether a terminal would show the scalar, and nothing else would happen.
    static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
        let harmful: [ClosedRange<UInt32>] = [
            0...0x1F, 0x7F...0x9F, 0x61C...0x61C, 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069,
        ]
        return !harmful.contains { $0.contains(scalar.value) }
    }

    @Test(arguments: hostile)
    func everyFormIsHarmless(text: String) throws {
        for form in [text.visible, text.quotedForMessage, text.onOneLine, text.onItsLines] {
            #expect(form.unicodeScalars.allSatisfy(Self.isHarmless), "\(form.debugDescription)")
            #expect(!form.isEmpty)
        }
        let json: JSON = [text: .array([.string(text), "plain"])]
        let written = json.text().visibleJSON
        #expect(written.unicodeScalars.allSatisfy { Self.isHarmless($0) || $0 == "\n" })
        #expect(try JSON.parse(Array(written.utf8)) == json)
    }

    @Test func plainTextStaysAsItIs() {
        let text = "Ġthe 世界 é e\u{301} 🙂👩‍🔬 ␛ ←→"
        #expect(text.visible == text && text.visibleJSON == text)
        #expect("a\n\u{1B}[1mb\n".onItsLines == "a\n\\u{1b}[1mb\n")
    }
}
