// Documents longer than a session's block of 256 positions, and windows that begin and end on either
// side of a block of keys, against a forward pass in f64 that knows no blocks.

import Checkpoints
import Evaluation
import Files
import Foundation
import Models
import TestSupport
import Testing

@Suite struct LongDocumentTests {
    /// The golden `name` with a context of 1,024 positions and another window.
    private func checkpoint(_ name: String, window: Int? = nil) throws -> ScratchDirectory {
        var checkpoint = try EditableCheckpoint(Locations.golden("models/\(name)"))
        checkpoint.config["max_position_embeddings"] = 1024
        if let window { checkpoint.config["sliding_window"] = .int(Int64(window)) }
        return try checkpoint.write()
    }

    private func tokens(_ count: Int) -> [Int32] {
        var random = SeededRandom(UInt64(count))
        return (0..<count).map { _ in Int32.random(in: 0..<131, using: &random) }
    }

    /// The reference itself is checked: transformers' logits on the checkpoints it is used for.
    @Test(arguments: ["gemma3", "llama-gqa"])
    func theReferenceIsTransformers(_ name: String) throws {
        let golden = ScoredModel(name: name)
        let reference = try NaiveForward(golden.folder)
        for sequence in 0..<2 {
            let ours = try reference.logits(try golden.tokens(sequence))
            #expect(largestDifference(ours, try golden.logits("logits.\(sequence)")) < 1e-4)
        }
    }

    struct Document: Sendable, CustomTestStringConvertible {
        let model: String
        let window: Int?
        let length: Int
        var testDescription: String {
            "\(model), \(length) tokens, window \(window.map(String.init) ?? "none")"
        }
    }

    @Test(arguments: [
        Document(model: "llama-gqa", window: nil, length: 520),
        Document(model: "llama-gqa", window: nil, length: 256),
        Document(model: "llama-gqa", window: nil, length: 257),
        Document(model: "gemma3", window: 8, length: 300),
        Document(model: "gemma3", window: 1, length: 258),
        Document(model: "gemma3", window: 64, length: 330),
        Document(model: "gemma3", window: 255, length: 530),
        Document(model: "gemma3", window: 256, length: 514),
        Document(model: "gemma3", window: 257, length: 514),
    ])
    func blocksAddUpToTheWholeDocument(_ document: Document) throws {
        let folder = try checkpoint(document.model, window: document.window)
        let model = try Transformer.load(Checkpoint.open(folder.path))
        let tokens = tokens(document.length)
        let logits = try NaiveForward(URL(filePath: folder.path)).logits(tokens)
        let scorer = Scorer(
            model: model, plan: .identity(layers: model.configuration.layerCount))
        for first in [1, 250, document.length - 1] {
            let request = ScoreRequest(tokens: tokens, firstScored: first)
            let naive = NaiveScore(request, logits: logits, vocabulary: 131)
            let score = try scorer.score(request, lastLogits: true)
            #expect(largestDifference(score.logProbabilities, naive.logProbabilities) < 2e-4)
            #expect(score.isGreedy == naive.isGreedy)
            #expect(largestDifference(try #require(score.lastLogits), naive.lastLogits) < 1e-4)
        }
    }

    @Test func aDocumentInPartsIsTheDocument() throws {
        let folder = try checkpoint("gemma3", window: 40)
        let model = try Transformer.load(Checkpoint.open(folder.path))
        let tokens = tokens(300)
        let logits = try NaiveForward(URL(filePath: folder.path)).logits(tokens)
        let session = try Session(model: model, capacity: 300)
        for part in [0..<1, 1..<100, 100..<290, 290..<300] {
            var last = [Float](repeating: .nan, count: 131)
            try session.run(Array(tokens[part])) { positions, states throws(ModelError) in
                try model.logits(
                    of: states + (positions.count - 1) * 24, rows: 1, into: &last)
            }
            let row = logits[(part.upperBound - 1) * 131..<part.upperBound * 131]
            #expect(largestDifference(last, Array(row)) < 1e-4)
        }
    }
}
