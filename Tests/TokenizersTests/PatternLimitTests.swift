import Files
import TestSupport
import Testing
import Tokenizers

/// Patterns of a `tokenizer.json` that go back without end: an error within bounds that grow with the
/// text. That no real tokenizer's pattern meets the bound is what every other test of encoding shows.
@Suite("Patterns that backtrack without end")
struct PatternLimitTests {
    private static func split(_ pattern: String) -> JSON.Object {
        [
            "pre_tokenizer": [
                "type": "Split", "pattern": ["Regex": .string(pattern)], "behavior": "Isolated",
            ], "model": ["type": "BPE", "vocab": ["a": 0, "b": 1], "merges": []],
        ]
    }

    /// The first two try every way to cut the text into parts, of which there are 2^40 and more than
    /// 10^15; the third looks at each position from every earlier one, four deep.
    @Test(
        .timeLimit(.minutes(10)),
        arguments: [
            ("(?:a|a){1,40}b", 40), ("(?:a?){60}(?:a?){60}c", 60), ("a*a*a*a*c", 3000),
            ("(?:a{1,2}){1,80}c", 2000),
        ])
    func costlyPatterns(pattern: String, length: Int) throws {
        let tokenizer = try FamilyTests.tokenizer(Self.split(pattern))
        let text = String(repeating: "a", count: length)
        let error = #expect(throws: TokenizerError.self) {
            try tokenizer.encode(text, addSpecialTokens: false)
        }
        guard case .patternTooCostly(_, let place, pattern, length, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(place == "pre_tokenizer.pattern", "\(place)")
        let message = error?.description ?? ""
        #expect(message.contains(pattern) && message.contains("\(length) characters"))
        #expect(!message.contains("\n"))
        // The tokenizer goes on working on texts that its pattern can bear.
        #expect(try tokenizer.encode("ab", addSpecialTokens: false) == [0, 1])
    }

    /// ICU goes through a whole run of spaces in one step, and does so again at each of them: 5·10^11
    /// characters in a million steps, half of what steps alone allow. The clock ends it; without it the
    /// time limit of this test would.
    @Test(
        .timeLimit(.minutes(10)),
        arguments: [
            #"\s++x"#, #"\s*+x"#, #"(?>\s+)x"#, #"(?<!x)\s++x"#, #"[^x]++x"#,
            #"\s+x"#,
        ])
    func runsScannedAgainAndAgain(pattern: String) throws {
        let tokenizer = try FamilyTests.tokenizer(Self.split(pattern))
        let text = String(repeating: " ", count: 1_000_000)
        let error = #expect(throws: TokenizerError.self) {
            try tokenizer.encode(text, addSpecialTokens: false)
        }
        guard case .patternTooCostly(_, _, pattern, 1_000_000, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(try tokenizer.encode("ab", addSpecialTokens: false) == [0, 1])
    }

    @Test(.timeLimit(.minutes(10))) func aNormalizersPattern() throws {
        var root = Self.split("b")
        root["normalizer"] = [
            "type": "Replace", "pattern": ["Regex": "(?:a|a){1,40}b"], "content": "c",
        ]
        let tokenizer = try FamilyTests.tokenizer(root)
        let error = #expect(throws: TokenizerError.self) {
            try tokenizer.encode(String(repeating: "a", count: 40), addSpecialTokens: false)
        }
        #expect(error?.description.contains("normalizer") == true)
    }

    /// Matches that end where they begin, and texts in which a pattern is nowhere, use up no more than
    /// they are allowed.
    @Test(arguments: ["b", "x?", "a??", "(?=a)", "\\b", "[^a]+", "a{1,3}", "\\s+(?!\\S)|\\s+"])
    func harmlessPatterns(pattern: String) throws {
        let tokenizer = try FamilyTests.tokenizer(Self.split(pattern))
        for text in ["a", "ab", " "].map({ String(repeating: $0, count: 50_000) }) {
            #expect(throws: Never.self, "\(pattern)") {
                try tokenizer.encode(text, addSpecialTokens: false)
            }
        }
    }
}
