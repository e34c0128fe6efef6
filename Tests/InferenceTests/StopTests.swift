// What ends a text, and how it is handed out. A greedy text of a tiny model is taken as it comes, and read
// as bytes or characters by made-up tokenizers.

import Foundation
import Inference
import Models
import Plans
import TestSupport
import Testing

@Suite struct StopTests {
    private let model: Transformer
    private let plan: LayerPlan
    /// What the model goes on with when nothing stops it.
    private let tokens: [Int32]
    private let prompt = randomTokens(5, 11)

    init() throws {
        model = try TinyCheckpoint(name: "llama-gqa").load()
        plan = try looped(model, 2)
        tokens = try Scheduler(model: model).generate([
            .init(tokens: prompt, plan: plan, stop: .init(maximumTokens: 24))
        ])[0].tokens
    }

    /// The result, and the text as it was handed out.
    private func run(
        _ spelling: Detokenizer, stops: [String] = [], ends: Set<Int32> = []
    ) throws -> (result: Generation, parts: [String]) {
        var parts: [String] = []
        let result = try Scheduler(model: model, detokenizer: spelling).generate(
            [
                .init(
                    tokens: prompt, plan: plan,
                    stop: .init(maximumTokens: 24, tokens: ends, strings: stops), streams: true)
            ]) { parts.append($1) }
        return (result[0], parts)
    }

    /// Spells the n-th token of the text as the n-th of `words`, by place and not by id.
    private func spelled(_ words: [[UInt8]], pieces: Set<Int32> = []) -> Detokenizer {
        Detokenizer(
            text: { ids in String(decoding: words.prefix(ids.count).joined(), as: UTF8.self) },
            isPiece: pieces.contains)
    }

    private func words(_ text: String...) -> [[UInt8]] {
        text.map { Array($0.utf8) } + Array(repeating: [], count: 24)
    }

    @Test func aStopTokenIsTheLast() throws {
        let end = tokens[6]
        let first = try #require(tokens.firstIndex(of: end))
        let (result, _) = try run(bytewise, ends: [end])
        #expect(result.tokens == Array(tokens[...first]))
        #expect(result.finishReason == .stop)
    }

    @Test func aStopStringAcrossTokens() throws {
        let (result, parts) = try run(
            spelled(words("one ", "two E", "N", "D three")), stops: ["never", "END"])
        #expect(result.text == "one two ")
        #expect(result.finishReason == .stop)
        #expect(result.tokens == Array(tokens[..<4]))
        #expect(parts.joined() == "one two ")
        // What may begin a stop string waits.
        #expect(parts == ["one ", "two "])
    }

    @Test func theFirstStopStringCounts() throws {
        let (result, _) = try run(spelled(words("a", "bcde")), stops: ["de", "cd", "bx"])
        #expect(result.text == "ab")
    }

    @Test func whatOnlyBeginsLikeAStopStringIsHandedOut() throws {
        let (result, parts) = try run(spelled(words("aE", "N", "x", "E")), stops: ["END"])
        #expect(result.finishReason == .length && result.text == "aENxE")
        #expect(parts == ["a", "ENx", "E"])
    }

    @Test func charactersAreNeverCut() throws {
        let text = Array("é🙂!".utf8)
        // é in two tokens, the emoji in four.
        let (result, parts) = try run(spelled(text.map { [$0] } + Array(repeating: [], count: 24)))
        #expect(parts == ["é", "🙂", "!"])
        #expect(result.text == "é🙂!")
        // What is no UTF-8 comes out at the end, or when what follows shows that it is none.
        let (_, broken) = try run(spelled([[0x41, 0xE2], [0x82], [0x42], [0xE2]]))
        #expect(broken == ["A", "\u{FFFD}B", "\u{FFFD}"])
    }

    @Test func piecesOfCharactersWait() throws {
        let letters = (0..<24).map { [UInt8(ascii: "a") + UInt8($0)] }
        let piece = tokens[1]
        #expect(Set(tokens).count > 1)
        // A letter whose token may be a piece comes out with the next one whose token is none.
        var expected: [String] = []
        var waiting = ""
        for (letter, token) in zip(letters, tokens) {
            waiting += String(decoding: letter, as: UTF8.self)
            if token == piece { continue }
            expected.append(waiting)
            waiting = ""
        }
        if !waiting.isEmpty { expected.append(waiting) }
        let (_, parts) = try run(spelled(letters, pieces: [piece]))
        #expect(parts == expected && parts.count < 24)
    }

    @Test func aStopStringIsComparedByBytes() throws {
        // e with a combining accent is canonically equal to é, and is another string.
        let (result, _) = try run(spelled(words("e\u{301}", "é")), stops: ["é"])
        #expect(result.text == "e\u{301}")
        #expect(result.tokens.count == 2)
    }
}
