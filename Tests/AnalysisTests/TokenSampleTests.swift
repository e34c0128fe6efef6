// Which tokens CKA looks at: no position of a window more often than another, whatever the window's length.

import Analysis
import Foundation
import Plans
import TestSupport
import Testing

@Suite struct TokenSampleTests {
    @Test(arguments: [64, 96, 128, 250, 256, 500, 512, 1000, 1024, 2048])
    func everyPositionOfAWindowHasTheSameShare(_ window: Int) {
        // About 4,096 tokens of each of eight samples: 16 to 512 at each position.
        let documents = 4096
        let seeds = 8
        let share = 1 / Double(window)
        var counts = [Int](repeating: 0, count: window)
        for seed in 0..<seeds {
            let sample = TokenSample(tokens: documents * window, seed: UInt64(seed))
            for document in 0..<documents {
                for position in 0..<window
                where sample.contains(document: document, position: position) {
                    counts[position] += 1
                }
            }
        }
        let draws = Double(seeds * documents)
        let total = counts.reduce(0, +)
        let deviation = (draws * (1 - share)).squareRoot()
        #expect(abs(Double(total) - draws) < 5 * deviation, "\(total) of about \(draws)")
        // Binomial: n draws of probability p at each position.
        let mean = draws * share
        let variance = draws * share * (1 - share)
        for (position, count) in counts.enumerated() {
            #expect(
                abs(Double(count) - mean) < 6 * variance.squareRoot(),
                "position \(position): \(count) of about \(mean)")
        }
        let square = counts.reduce(0) { $0 + pow(Double($1) - mean, 2) / variance }
        // Chi-squared with as many degrees as positions.
        let degrees = Double(window)
        #expect(
            abs(square - degrees) < 5 * (2 * degrees + degrees / variance).squareRoot(),
            "chi-squared \(square), positions \(window)")
    }

    @Test func aShortTextIsTakenWhole() {
        let sample = TokenSample(tokens: 4096)
        #expect((0..<4096).allSatisfy { sample.contains(document: $0 / 512, position: $0 % 512) })
    }

    /// Two boundaries that agree at every 64th position alone, in a text of 64 times the sample: a stride
    /// would see these and nothing else.
    @Test func aPatternOfPositionsDoesNotPassForTheText() throws {
        let (windows, length, width) = (2048, 128, 4)
        var random = SeededRandom(11)
        let documents = (0..<windows).map { _ -> FedDocument in
            let states = random.floats(length * width)
            var others = random.floats(length * width)
            for position in stride(from: 0, to: length, by: 64) {
                let place = position * width..<(position + 1) * width
                others.replaceSubrange(place, with: states[place])
            }
            return FedDocument(states: [states, others], length: length)
        }
        let found = geometry(documents, width: width)
        #expect(abs(found.alignedTokens - 4096) < 5 * 64)
        #expect(abs(try #require(found.alignments()[0][1])) < 0.08)
    }

    /// A shard that knows its first document and the whole text's length draws what the whole run draws,
    /// and leaves out the same positions.
    @Test func shardsAgreeWithTheWhole() throws {
        let width = 6
        var random = SeededRandom(12)
        let documents = (0..<40).map { number -> FedDocument in
            let length = 150 + number * 3
            var states = (0..<3).map { _ in random.floats(length * width) }
            let massive = [0, 30 + number, 90]
            for (position, boundary) in massive.flatMap({ [($0, 1), ($0, 2)] }) {
                for column in 0..<width {
                    states[boundary][position * width + column] *= Float(10 + 10 * (number % 5))
                }
            }
            return FedDocument(states: states, length: length)
        }
        let tokens = documents.reduce(0) { $0 + $1.length }
        #expect(tokens > 2 * TokenSample.expectedTokens - 500)
        func finder() -> SinkFinder { SinkFinder(boundaries: 3, longest: 300) }
        let all = finder()
        let whole = geometry(documents, width: width, sinks: all)
        let shards = [0..<13, 13..<40].map { range in
            let sinks = finder()
            let part = geometry(
                Array(documents[range]), width: width, sinks: sinks,
                firstDocument: range.lowerBound, textTokens: tokens)
            return (part, sinks.counts)
        }
        #expect(shards.reduce(0) { $0 + $1.0.alignedTokens } == whole.alignedTokens)
        #expect(whole.alignedTokens < tokens - 1000)
        #expect(all.counts.massive > 0)
        #expect(shards.reduce(0) { $0 + $1.1.massive } == all.counts.massive)
        for boundary in 0..<3 {
            let place = StatePlace(.resid, index: boundary)
            let merged = try #require(shards[0].0.moments.moments[place])
            #expect(merged.merge(try #require(shards[1].0.moments.moments[place])))
            #expect(merged.words == whole.moments.moments[place]?.words)
        }
    }
}
