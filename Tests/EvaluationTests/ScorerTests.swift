// Scores against a log-softmax in f64 of the logits that transformers computes on the tiny checkpoints.

import Checkpoints
import Evaluation
import Files
import Foundation
import Models
import TestSupport
import Testing

/// log softmax of one row.
func logSoftmax(_ row: some Collection<Double>) -> [Double] {
    let highest = row.max() ?? 0
    let logSum = highest + log(row.reduce(0) { $0 + exp($1 - highest) })
    return row.map { $0 - logSum }
}

/// The scores that logits [T, V] give `request`.
struct NaiveScore {
    var logProbabilities: [Double] = []
    var isGreedy = true
    let lastLogits: [Double]

    init(_ request: ScoreRequest, logits: [Double], vocabulary: Int) {
        let tokens = request.tokens
        for position in request.firstScored - 1..<tokens.count - 1 {
            let row = logSoftmax(logits[position * vocabulary..<(position + 1) * vocabulary])
            let target = Int(tokens[position + 1])
            logProbabilities.append(row[target])
            if row.firstIndex(of: row.max()!) != target { isGreedy = false }
        }
        lastLogits = Array(logits.suffix(vocabulary))
    }
}

func largestDifference(_ a: [Double], _ b: [Double]) -> Double {
    guard a.count == b.count else { return .infinity }
    return zip(a, b).reduce(0) { max($0, ($1.0 - $1.1).magnitude) }
}

/// A tiny checkpoint of Tests/Goldens/models with what transformers computes on it.
struct ScoredModel: Sendable, CustomTestStringConvertible {
    let name: String
    var testDescription: String { name }
    var folder: URL { Locations.golden("models/\(name)") }

    static let some = ["gemma3", "llama-bias", "llama-gqa", "llama-sharded", "olmo2-mha"]
        .map(ScoredModel.init)

    func load() throws -> Transformer { try Transformer.load(Checkpoint.open(folder.path)) }

    func tokens(_ sequence: Int) throws -> [Int32] {
        let facts = try JSON.read(path: folder.appending(path: "expected.json").path)
        return (facts["tokens"]?.arrayValue?[sequence].arrayValue ?? []).compactMap {
            $0.intValue.map(Int32.init)
        }
    }

    func looped() throws -> LayerPlan {
        let facts = try JSON.read(path: folder.appending(path: "expected.json").path)
        let layers = facts["looped"]?["plan"]?.arrayValue ?? []
        return LayerPlan(steps: layers.compactMap(\.intValue).map { .init(layer: $0) })
    }

    func logits(_ key: String) throws -> [Double] {
        try TensorFixture(folder.appending(path: "expected.safetensors")).floats(key).values
            .map(Double.init)
    }
}

@Suite struct ScorerTests {
    @Test(arguments: ScoredModel.some)
    func scoresAreTheLogSoftmaxOfTransformersLogits(_ golden: ScoredModel) throws {
        let model = try golden.load()
        for (plan, prefix) in [
            (LayerPlan.identity(layers: model.configuration.layerCount), ""),
            (try golden.looped(), "looped."),
        ] {
            let scorer = Scorer(model: model, plan: plan)
            for sequence in 0..<2 {
                let tokens = try golden.tokens(sequence)
                let logits = try golden.logits("\(prefix)logits.\(sequence)")
                for first in [1, 2, tokens.count - 1] {
                    let request = ScoreRequest(tokens: tokens, firstScored: first)
                    let naive = NaiveScore(request, logits: logits, vocabulary: 131)
                    let score = try scorer.score(request, lastLogits: true)
                    #expect(score.logProbabilities.count == tokens.count - first)
                    #expect(
                        largestDifference(score.logProbabilities, naive.logProbabilities) < 2e-4)
                    #expect(score.isGreedy == naive.isGreedy)
                    let sum = naive.logProbabilities.reduce(0, +)
                    #expect((score.sum - sum).magnitude < 2e-4 * Double(tokens.count))
                    let last = try #require(score.lastLogits)
                    #expect(largestDifference(last, naive.lastLogits) < 1e-4)
                    let without = try scorer.score(request)
                    #expect(without.lastLogits == nil)
                    #expect(without.isGreedy == score.isGreedy)
                    #expect(without.logProbabilities == score.logProbabilities)
                }
            }
        }
    }

    @Test(arguments: ScoredModel.some)
    func theMostLikelyContinuationIsGreedyAndNoOther(_ golden: ScoredModel) throws {
        let model = try golden.load()
        let scorer = Scorer(
            model: model, plan: .identity(layers: model.configuration.layerCount))
        // The best token by transformers' own logits behind the whole sequence, and the next best.
        let tokens = try golden.tokens(1)
        let row = try golden.logits("logits.1").suffix(131)
        let ranks = row.indices.sorted { row[$0] > row[$1] }.map { Int32($0 - row.startIndex) }
        for (rank, expected) in [(0, true), (1, false), (130, false)] {
            let request = ScoreRequest(
                tokens: tokens + [ranks[rank]], firstScored: tokens.count)
            let score = try scorer.score(request)
            #expect(score.isGreedy == expected)
            #expect(score.logProbabilities.count == 1)
        }
    }

    @Test func requestsLeaveNothingBehind() throws {
        let golden = ScoredModel(name: "gemma3")
        let model = try golden.load()
        let plan = LayerPlan.identity(layers: 8)
        let scorer = Scorer(model: model, plan: plan)
        let requests = try [0, 1, 0].map {
            ScoreRequest(tokens: try golden.tokens($0), firstScored: 1)
        }
        for request in requests + requests.reversed() {
            let fresh = try Scorer(model: model, plan: plan).score(request)
            #expect(try scorer.score(request) == fresh)
        }
    }

    @Test func aLineOfOutputHoldsWhatTheContractNames() throws {
        let golden = ScoredModel(name: "llama-gqa")
        let scorer = Scorer(model: try golden.load(), plan: .identity(layers: 4))
        let request = ScoreRequest(tokens: try golden.tokens(0), firstScored: 3)
        let score = try scorer.score(request, lastLogits: true)
        let line = try JSON.parse(Array(score.json(index: 3).text(indent: 0).utf8))
        let keys = ["index", "n_tokens", "logprobs", "sum_logprob", "is_greedy"]
        #expect(line.objectValue?.keys == keys + ["last_logits"])
        #expect(line["index"] == 3)
        #expect(line["n_tokens"] == 2)
        // Numbers read back as the very ones that were written.
        let logProbabilities = line["logprobs"]?.arrayValue?.compactMap(\.doubleValue)
        #expect(logProbabilities == score.logProbabilities)
        #expect(line["sum_logprob"]?.doubleValue == logProbabilities?.reduce(0, +))
        #expect(line["is_greedy"] == .bool(score.isGreedy))
        let last = line["last_logits"]?.arrayValue?.compactMap(\.doubleValue).map(Float.init)
        #expect(last == score.lastLogits)
        let without = try scorer.score(request).json(index: 0)
        #expect(without.objectValue?.keys == keys)
    }

    @Test func whatDoesNotFitTheModelIsRefused() throws {
        let scorer = Scorer(
            model: try ScoredModel(name: "llama-gqa").load(), plan: .identity(layers: 4))
        let long = [Int32](repeating: 1, count: 129)
        #expect(throws: ModelError.tooLong(tokens: 129, context: 128)) {
            try scorer.score(ScoreRequest(tokens: long, firstScored: 1))
        }
        // The longest that fits.
        #expect(
            try scorer.score(ScoreRequest(tokens: long.dropLast(), firstScored: 1))
                .logProbabilities.count == 127)
        for id: Int32 in [131, -1] {
            #expect(
                throws: ModelError.tokenOutOfRange(id: id, position: 1, vocabularySize: 131)
            ) {
                try scorer.score(ScoreRequest(tokens: [1, id], firstScored: 1))
            }
        }
    }

    /// A row of the unembedding that is not finite, of an id that no request holds: as a row alone, among
    /// others, and behind a shared beginning.
    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func aLogitThatIsNotFiniteStopsTheScore(_ value: Float) throws {
        var checkpoint = try EditableCheckpoint(Locations.golden("models/llama-gqa"))
        var head = try TensorFixture(Locations.golden("models/llama-gqa/model.safetensors"))
            .floats("model.embed_tokens.weight").values
        head[90 * 32 + 31] = value
        checkpoint.tensors["lm_head.weight"] = .init(shape: [131, 32], values: head)
        checkpoint.config["tie_word_embeddings"] = false
        let directory = try checkpoint.write()
        let model = try Transformer.load(Checkpoint.open(directory.path))
        let scorer = Scorer(model: model, plan: .identity(layers: 4))
        let shared: [Int32] = [5, 6, 7, 8]
        for (requests, position) in [
            ([ScoreRequest(tokens: [4, 5], firstScored: 1)], 0),
            ([ScoreRequest(tokens: [4, 5, 6, 7], firstScored: 3)], 2),
            ([9, 10].map { ScoreRequest(tokens: shared + [$0, 11], firstScored: 4) }, 3),
        ] {
            #expect(
                throws: ModelError.nonFiniteLogit(id: 90, place: "the head", position: position)
            ) { try scorer.score(requests) { _, _ in } }
        }
    }
}
