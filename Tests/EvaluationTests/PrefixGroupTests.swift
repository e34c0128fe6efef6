// How requests are grouped, and that neither groups nor what was run before change a byte of a score.
// That scores are right is ScorerTests.swift's.

import Checkpoints
import Evaluation
import Files
import Foundation
import Models
import Plans
import TestSupport
import Testing

@Suite struct PrefixGroupTests {
    private func groups(_ requests: [ScoreRequest], rows: Int = 256) -> [PrefixGroup] {
        PrefixGroup.groups(requests, rows: rows, runsLast: false)
    }

    @Test func optionsOfAQuestionRunItsContextOnce() {
        let context = Array(Int32(0)..<100)
        let requests = (0..<4).map {
            ScoreRequest(tokens: context + [Int32(200 + $0), 7, 8], firstScored: 100)
        }
        let found = groups(requests)
        #expect(found.count == 1)
        #expect(found[0].shared == Array(context.dropLast()))
        #expect(found[0].branches.map(\.tokens) == (0..<4).map { [99, Int32(200 + $0), 7] })
    }

    @Test func optionsOfOneTokenAreOneBranch() {
        let context = Array(Int32(0)..<10)
        let requests = (0..<4).map {
            ScoreRequest(tokens: context + [Int32(200 + $0)], firstScored: 10)
        }
        #expect(
            groups(requests) == [
                PrefixGroup(
                    shared: Array(context.dropLast()),
                    branches: [.init(tokens: [9], requests: [0, 1, 2, 3])], requests: 0..<4)
            ])
    }

    @Test func questionsBehindLongExamplesStayApart() {
        let examples = Array(Int32(0)..<1000)
        var requests: [ScoreRequest] = []
        for question in 0..<2 {
            let context = examples + [Int32](repeating: Int32(5000 + question), count: 100)
            for option in 0..<4 {
                requests.append(
                    ScoreRequest(tokens: context + [Int32(6000 + option), 1], firstScored: 1100))
            }
        }
        let found = groups(requests)
        #expect(found.map(\.requests) == [0..<4, 4..<8])
        #expect(found.map(\.shared.count) == [1099, 1099])
    }

    @Test func groupsCoverEveryRequestOnceWithinTheLimit() {
        var random = SeededRandom(11)
        for _ in 0..<50 {
            let requests = (0..<40).map { _ -> ScoreRequest in
                let count = Int.random(in: 2...60, using: &random)
                // Two ids only, so that requests often begin alike.
                let tokens = (0..<count).map { _ in Int32.random(in: 0...1, using: &random) }
                return ScoreRequest(
                    tokens: tokens, firstScored: Int.random(in: 1..<count, using: &random))
            }
            let found = groups(requests, rows: 64)
            #expect(found.flatMap { Array($0.requests) } == Array(requests.indices))
            for group in found {
                let rows = group.branches.reduce(0) { $0 + $1.tokens.count }
                #expect(rows <= 64 || group.requests.count == 1)
                #expect(group.branches.flatMap(\.requests).sorted() == Array(group.requests))
                for branch in group.branches {
                    for index in branch.requests {
                        #expect(group.shared + branch.tokens == requests[index].tokens.dropLast())
                        #expect(group.shared.count < requests[index].firstScored)
                        #expect(!branch.tokens.isEmpty)
                    }
                }
            }
        }
    }

    /// Every family: windows, learned positions, biases, and frequencies that depend on the length.
    static let models = try! FileManager.default.contentsOfDirectory(
        atPath: Locations.golden("models").path
    ).filter {
        FileManager.default.fileExists(
            atPath: Locations.golden("models/\($0)/expected.json").path)
    }.sorted().map(ScoredModel.init)

    @Test(arguments: models)
    func companyDoesNotChangeAByte(_ golden: ScoredModel) throws {
        let model = try golden.load()
        let plan = LayerPlan.identity(layers: model.configuration.layerCount)
        var random = SeededRandom(5)
        func ids(_ count: Int) -> [Int32] {
            (0..<count).map { _ in
                Int32.random(
                    in: 0..<Int32(model.configuration.vocabularySize), using: &random)
            }
        }
        let room = min(model.configuration.contextLength, 700)
        let examples = ids(room / 3)
        var requests: [ScoreRequest] = []
        for _ in 0..<3 {
            let context = examples + ids(room / 6)
            for _ in 0..<3 {
                let continuation = ids(Int.random(in: 1...max(1, room / 8), using: &random))
                requests.append(
                    ScoreRequest(tokens: context + continuation, firstScored: context.count))
            }
        }
        requests.append(ScoreRequest(tokens: ids(room), firstScored: 1))
        requests.append(ScoreRequest(tokens: requests[0].tokens, firstScored: 1))
        for lastLogits in [false, true] {
            let together = Scorer(model: model, plan: plan)
            var scores: [Scorer.Score] = []
            try together.score(requests, lastLogits: lastLogits) { index, score in
                #expect(index == scores.count)
                scores.append(score)
            }
            for (request, score) in zip(requests, scores) {
                let alone = try Scorer(model: model, plan: plan)
                    .score(request, lastLogits: lastLogits)
                #expect(alone == score)
            }
        }
    }

    @Test func aBranchBeyondTheContextIsTooLong() throws {
        let model = try ScoredModel(name: "llama-gqa").load()
        let session = try Session(model: model, capacity: 8)
        try session.run([1, 2, 3, 4, 5])
        #expect(throws: ModelError.tooLong(tokens: 9, context: 8)) {
            try session.runner.run([
                .init([], cache: session.cache), .branch([1]), .branch([1, 2, 3, 4]),
            ])
        }
        #expect(
            throws: ModelError.tokenOutOfRange(
                id: -1, position: 6, vocabularySize: model.configuration.vocabularySize)
        ) {
            try session.runner.run([.init([], cache: session.cache), .branch([1, -1])])
        }
    }
}
