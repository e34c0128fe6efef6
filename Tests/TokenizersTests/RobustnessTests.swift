import Files
import Foundation
import TestSupport
import Testing
import Tokenizers

/// Hostile files and hostile texts: an error or a result, in time and memory linear in the text. The
/// limits are minutes where quadratic work would take hours.
@Suite("Robustness")
struct RobustnessTests {
    @Test("A long text of one thing", .timeLimit(.minutes(20)), arguments: FamilyTests.names())
    func longRuns(_ name: String) throws {
        let tokenizer = try FamilyTests.tokenizer(FamilyTests.file(name).root)
        // The last two are what canonical ordering and added tokens trip over.
        for run in ["a", " ", "\n", "\u{301}", "你", "<", "\u{301}\u{323}", "\u{F73}", "<mask> "] {
            let text = String(repeating: run, count: 200_000 / run.utf8.count)
            let ids = try tokenizer.encode(text, addSpecialTokens: false)
            #expect(ids.count <= 3 * text.utf8.count + 10)
            _ = tokenizer.decode(ids, skipSpecialTokens: true)
        }
    }

    @Test("Marks are sorted stably, however many follow one letter", .timeLimit(.minutes(20)))
    func canonicalOrder() throws {
        let tokenizer = try FamilyTests.tokenizer(FamilyTests.file("qwen2").root)
        let count = 200_000
        let text = "a" + String(repeating: "\u{301}\u{323}", count: count)
        let ids = try tokenizer.encode(text, addSpecialTokens: false)
        // U+0323 comes before U+0301, and the first of it joins the letter.
        expectSame(
            tokenizer.decode(ids, skipSpecialTokens: false),
            "\u{1EA1}" + String(repeating: "\u{323}", count: count - 1)
                + String(repeating: "\u{301}", count: count))
    }

    private func failure(_ root: JSON.Object) throws -> String {
        try withTemporaryFile(JSON.object(root).text(indent: 0).utf8) { path in
            do {
                _ = try Tokenizer(huggingFace: path)
                return "no error"
            } catch let error as TokenizerError {
                return error.description
            }
        }
    }

    private static func bytePair(_ members: JSON.Object) -> JSON.Object {
        var model: JSON.Object = ["type": "BPE", "vocab": ["a": 0, "b": 1], "merges": []]
        for (key, value) in members { model[key] = value }
        return ["model": .object(model)]
    }

    private static func unigram(_ members: JSON.Object) -> JSON.Object {
        var model: JSON.Object = ["type": "Unigram", "vocab": [["a", 0.5]], "unk_id": 0]
        for (key, value) in members { model[key] = value }
        return ["model": .object(model)]
    }

    private static let doubling: JSON = [
        "type": "Replace", "pattern": ["String": "a"], "content": "aa",
    ]
    private static let long = JSON.string(String(repeating: "x", count: 2000))

    @Test(
        "A hostile file is an error that says where",
        arguments: [
            (bytePair(["vocab": ["a": 2_147_483_648]]), "model.vocab: \"a\" has an id that is not"),
            (bytePair(["vocab": ["a": -1]]), "model.vocab: \"a\" has an id that is not a number"),
            (bytePair(["vocab": ["a": 1.5]]), "model.vocab: \"a\" has an id that is not a number"),
            (bytePair(["merges": ["a b"]]), "model.merges[0]: \"ab\" is not in the vocabulary"),
            (bytePair(["merges": [["a", "b", "a"]]]), "model.merges[0]: is not a pair of tokens"),
            (bytePair(["merges": ["a b a"]]), "model.merges[0]: is not two tokens"),
            (
                ["added_tokens": [["content": long]], "model": bytePair([:])["model"]!],
                "2000 bytes"
            ),
            (
                [
                    "normalizer": [
                        "type": "Sequence",
                        "normalizers": .array(Array(repeating: doubling, count: 40)),
                    ], "model": bytePair([:])["model"]!,
                ], "normalizer: makes texts more than 1024 times longer"
            ),
            (unigram(["unk_id": nil]), "model: \"unk_id\" should be the id of the piece"),
            (unigram(["unk_id": 1]), "model: \"unk_id\" should be the id of the piece"),
            (unigram(["unk_id": -1]), "model: \"unk_id\" should be the id of the piece"),
            (unigram(["vocab": [["a"]]]), "model: \"vocab\"[0] is not a piece and its score"),
            (unigram(["vocab": [["a", 1], ["a", 2]]]), "model: \"vocab\" holds \"a\" twice"),
            (unigram(["vocab": ["a": 0]]), "model: \"vocab\" is missing or no array"),
            (unigram(["vocab": [[long, 0]]]), "2000 bytes, more than 1024"),
            (["model": ["type": "WordPiece", "vocab": [:]]], "unknown model \"WordPiece\"; this "),
            (["model": ["type": "WordLevel", "vocab": [:]]], "unknown model \"WordLevel\"; this "),
        ] as [(JSON.Object, String)])
    func hostileFile(root: JSON.Object, expected: String) throws {
        let message = try failure(root)
        #expect(message.contains(expected), "\(message)")
        #expect(!message.contains("\n"))
    }

    @Test(
        "A strange file works: two tokens with one id, ids far apart, a merge that is a part of itself"
    )
    func strangeFile() throws {
        let root = Self.bytePair([
            "vocab": ["a": 7, "b": 7, "c": 2_147_483_647, "": 3, "##": 4, "ab": 9],
            "merges": [["a", "##"], ["a", "b"]], "continuing_subword_prefix": "##",
        ])
        let tokenizer = try FamilyTests.tokenizer(root)
        #expect(try tokenizer.encode("ac", addSpecialTokens: false).count <= 2)
        #expect(tokenizer.vocabularySize == 1 << 31)
        #expect(tokenizer.decode([2_147_483_647], skipSpecialTokens: false) == "c")
        #expect(tokenizer.decode([.max - 1], skipSpecialTokens: false) == "")
    }

    @Test("Hundreds of thousands of added tokens", .timeLimit(.minutes(20)))
    func manyAddedTokens() throws {
        let count = 300_000
        var root = Self.bytePair([:])
        root["added_tokens"] = .array(
            (0..<count).map { ["content": .string("<\($0)>"), "id": .int(Int64($0) + 2)] })
        let tokenizer = try FamilyTests.tokenizer(root)
        #expect(tokenizer.vocabularySize == count + 2)
        let last = Int32(count + 1)
        #expect(
            try tokenizer.encode("a<0>b<299999><300000>", addSpecialTokens: false)
                == [0, 2, 1, last])
    }

    /// A table of SentencePiece's, damaged: what it says may be nonsense, but is no crash.
    @Test func damagedCharsmap() throws {
        var root = try FamilyTests.file("xlm-roberta").root
        let map = try #require(root["normalizer"]?["precompiled_charsmap"]?.stringValue)
        let original = try #require(Data(base64Encoded: map))
        var random = SeededRandom(3)
        var works = 0
        for round in 0..<60 {
            var bytes = [UInt8](original)
            for _ in 0..<(1 + round % 6) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] =
                    UInt8.random(in: 0...255, using: &random)
            }
            if round % 5 == 0 { bytes.removeLast(Int.random(in: 1..<bytes.count, using: &random)) }
            root["normalizer"] = [
                "type": "Precompiled",
                "precompiled_charsmap": .string(Data(bytes).base64EncodedString()),
            ]
            guard let tokenizer = try? FamilyTests.tokenizer(root) else { continue }
            works += 1
            for text in try Golden.corpus() {
                _ = try tokenizer.encode(text, addSpecialTokens: false)
            }
        }
        #expect(works > 20)
        for wrong in ["", "?", "AAAA", "AAAAAA==", "/////w=="] {
            root["normalizer"] = ["type": "Precompiled", "precompiled_charsmap": .string(wrong)]
            #expect(try failure(root).contains("is not a table of SentencePiece's"))
        }
    }
}
