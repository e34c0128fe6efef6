import Files
import Foundation
import TestSupport
import Testing
import Tokenizers

/// xorshift64*: the same numbers on every machine.
private struct Random: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }
}

@Suite("Properties")
struct PropertyTests {
    private static let fixtures = [
        "byte-level-digits", "split-template", "prepend-replace", "replace-byte-fallback",
        "metaspace-first", "composed-added",
    ]

    private func text(_ random: inout Random) -> String {
        var scalars = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0..<80, using: &random) {
            let high: UInt32 = [0x80, 0x250, 0x3000, 0x11_0000].randomElement(using: &random) ?? 0
            if let scalar = Unicode.Scalar(UInt32.random(in: 0..<high, using: &random)) {
                scalars.append(scalar)
            }
        }
        return String(scalars)
    }

    @Test(
        "Byte-level and byte-fallback vocabularies give back every text",
        arguments: [
            "byte-level-digits", "split-template", "replace-byte-fallback",
        ])
    func roundTrip(_ name: String) throws {
        let tokenizer = try Tokenizer(
            huggingFace: Locations.golden("tokenizers/\(name).tokenizer.json").path)
        var random = Random(state: 42)
        for _ in 0..<500 {
            let text = text(&random)
            // U+2581 is a space's spelling in this vocabulary.
            if name == "replace-byte-fallback", text.unicodeScalars.contains("\u{2581}") {
                continue
            }
            let ids = try tokenizer.encode(text, addSpecialTokens: false)
            expectSame(tokenizer.decode(ids, skipSpecialTokens: false), text)
            #expect(ids.allSatisfy { $0 >= 0 && Int($0) < tokenizer.vocabularySize })
        }
    }

    @Test("A long word goes through the heap and a short one through the scan, to the same ids")
    func heapAndScan() throws {
        // Each sentence is one word of this vocabulary: it splits nothing. Behind a control token a
        // sentence merges by itself, so that a long text is the sum of its short ones.
        var vocabulary = try GGUFVocabulary.small("gguf-gemma")
        vocabulary.addBOS = false
        let tokenizer = try Tokenizer(vocabulary: vocabulary, path: "x")
        var random = Random(state: 7)
        let words = ["the", "then", "there", "other", "and", "answer", "a", "an", "to", "two"]
        for _ in 0..<200 {
            let short = (0..<4).map { _ in words.randomElement(using: &random) ?? "" }
                .joined(separator: " ")
            // A character without merges on either side keeps the copies apart.
            let parts = Array(repeating: short, count: 12)
            let apart = try parts.map { try tokenizer.encode($0, addSpecialTokens: false) }
            let bar = try tokenizer.encode("\u{1}", addSpecialTokens: false)
            let whole = try tokenizer.encode(
                parts.joined(separator: "\u{1}"), addSpecialTokens: false)
            #expect(whole == Array(apart.joined(separator: bar)))
            #expect(short.utf8.count <= 32)
        }
    }

    @Test("A document that is one word takes near-linear time", .timeLimit(.minutes(20)))
    func longWord() throws {
        let tokenizer = try Tokenizer(vocabulary: .small("gguf-gemma"), path: "x")
        let sentence = "the answer to the other question is that there were two of them\n"
        let text = String(repeating: sentence, count: 1_000_000 / sentence.utf8.count)
        let ids = try tokenizer.encode(text, addSpecialTokens: false)
        expectSame(tokenizer.decode(ids, skipSpecialTokens: false), text)
        let letters = try tokenizer.encode(
            String(repeating: "t", count: 300_000), addSpecialTokens: false)
        #expect(tokenizer.decode(letters, skipSpecialTokens: false).utf8.count == 300_000)
    }

    @Test(
        "Long runs do not upset the patterns", arguments: ["byte-level-digits", "split-template"])
    func longRuns(_ name: String) throws {
        let tokenizer = try Tokenizer(
            huggingFace: Locations.golden("tokenizers/\(name).tokenizer.json").path)
        for run in ["a", "é", " ", "\n", "!", "1", "\u{1F600}"] {
            let text = String(repeating: run, count: 200_000)
            let ids = try tokenizer.encode(text, addSpecialTokens: false)
            expectSame(tokenizer.decode(ids, skipSpecialTokens: false), text)
        }
    }

    @Test("Damaged files give an error or a tokenizer that works", arguments: fixtures)
    func mutations(_ name: String) throws {
        let original = try [UInt8](
            Data(contentsOf: Locations.golden("tokenizers/\(name).tokenizer.json")))
        var random = Random(state: UInt64(digest(name.utf8.map(Int32.init))) + 1)
        var refused = 0
        for round in 0..<150 {
            var bytes = original
            // Damage to the components, which come before the vocabulary, says more than damage to it.
            let header = min(bytes.count, 2_500)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let range = round % 3 == 0 ? 0..<bytes.count : 0..<min(header, bytes.count)
                let position = Int.random(in: range, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[position] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: position)
                case 2: bytes.insert(bytes[Int.random(in: range, using: &random)], at: position)
                default: bytes.removeSubrange(position..<min(position + 12, bytes.count))
                }
                if bytes.isEmpty { bytes = [0x20] }
            }
            do {
                let tokenizer = try withTemporaryFile(bytes) { try Tokenizer(huggingFace: $0) }
                let ids = try tokenizer.encode("Hello <s>world</s> é 12\n", addSpecialTokens: true)
                _ = tokenizer.decode(ids + [5, -1, .max], skipSpecialTokens: true)
            } catch let error as TokenizerError {
                refused += 1
                #expect(!error.description.isEmpty)
            }
        }
        #expect(refused > 20 && refused < 150)
    }
}
