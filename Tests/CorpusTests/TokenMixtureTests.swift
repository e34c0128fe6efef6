// The order in which windows are drawn, its state, and OLMo's repetition filter.

import Corpus
import Foundation
import TestSupport
import Testing

@Suite struct TokenMixtureTests {
    private func stream(_ count: Int, path: String = "a") -> TokenStream {
        TokenStream(
            documents: [Document(tokens: (0..<Int32(count)).map { $0 })], separator: nil,
            path: path, vocabularySize: 10_000)
    }

    @Test func windowsFollowOneAnotherAndBeginAnew() throws {
        var mixture = try TokenMixture(
            [.init(stream: stream(35))], length: 10, shuffles: false, seed: 1)
        #expect((0..<5).map { _ in mixture.next().start } == [0, 10, 20, 0, 10])
        #expect(try mixture.tokens(.init(source: 0, start: 20)) == Array(20..<30))
    }

    @Test func everyEpochHasEveryWindowInAnotherOrder() throws {
        var mixture = try TokenMixture(
            [.init(stream: stream(1000))], length: 10, shuffles: true, seed: 1)
        let first = (0..<100).map { _ in mixture.next().start }
        let second = (0..<100).map { _ in mixture.next().start }
        #expect(first.sorted() == Array(stride(from: 0, to: 1000, by: 10)))
        #expect(second.sorted() == first.sorted() && second != first)
        var other = try TokenMixture(
            [.init(stream: stream(1000))], length: 10, shuffles: true, seed: 2)
        #expect((0..<100).map { _ in other.next().start } != first)
    }

    /// From any place on, and by weight.
    @Test func whatIsDrawnFollowsFromWhatWasDrawn() throws {
        func make() throws -> TokenMixture {
            try TokenMixture(
                [.init(stream: stream(100)), .init(stream: stream(300), weight: 3)], length: 10,
                shuffles: true, seed: 5)
        }
        var whole = try make()
        let places = (0..<400).map { _ in whole.next() }
        let share = Double(places.count { $0.source == 1 }) / 400
        #expect(abs(share - 0.75) < 0.07)
        var again = try make()
        for _ in 0..<123 { _ = again.next() }
        var restored = try make()
        restored.restore(again.drawn)
        #expect((123..<400).map { _ in restored.next() } == Array(places[123...]))
    }

    @Test func whatCannotBeDrawnFromIsRefused() throws {
        #expect(throws: CorpusError.mixture(problem: "it names no file")) {
            try TokenMixture([], length: 10, shuffles: false, seed: 1)
        }
        #expect(throws: CorpusError.self) {
            try TokenMixture(
                [.init(stream: stream(100), weight: 0)], length: 10, shuffles: false, seed: 1)
        }
        #expect(throws: CorpusError.tooShort(path: "a", tokens: 9, window: 10)) {
            try TokenMixture([.init(stream: stream(9))], length: 10, shuffles: false, seed: 1)
        }
    }

    @Test func tokenFilesNameAnIdBeyondTheVocabulary() throws {
        let folder = try ScratchDirectory()
        let path = try folder.write([1, 0, 2, 0, 200, 1, 3, 0], to: "ids.u16")
        let stream = try TokenStream(tokenFile: path, vocabularySize: 456)
        #expect(stream.count == 4)
        #expect(
            throws: CorpusError.tokenOutOfRange(
                path: path, place: "token 2, byte 4 of the ids", id: 456, vocabularySize: 456)
        ) { try stream.check() }
        let wider = try TokenStream(tokenFile: path, vocabularySize: 457)
        #expect(try wider.ids(0..<4) == [1, 2, 456, 3])
    }

    @Test func repetitions() {
        let filter = RepetitionFilter(maximumPeriod: 3, minimumCount: 4)
        let text: [Int32] = [9, 8, 7, 6]
        #expect(filter.matches(text + [1, 1, 1, 1] + text))
        #expect(!filter.matches(text + [1, 1, 1] + text))
        #expect(filter.matches(text + [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]))
        #expect(!filter.matches(text + [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2]))
        let four: [Int32] = [1, 2, 3, 4]
        #expect(!filter.matches(four + four + four + four + four))
    }
}
