// A whole training on tiny models: what it reaches on text it has not seen, and that neither a kill nor
// the number of threads changes a byte. How good a lens of a real model becomes is not covered here, but
// in RealModelTests.

import Analysis
import Checkpoints
import Corpus
import Files
import Foundation
import LensTraining
import Models
import Tensors
import TestSupport
import Testing

@Suite(.serialized) struct TrainingTests {
    /// Texts of the words of a small language, so that there is something to learn.
    static func documents(_ count: Int, length: Int, vocabulary: Int, added: Int = 0) -> [Document]
    {
        var random = SeededRandom(11)
        let words = (0..<12).map { _ in
            (0..<4).map { _ in Int32.random(in: 0..<Int32(vocabulary), using: &random) }
        }
        return (0..<count).map { _ in
            var tokens: [Int32] = []
            while tokens.count < length {
                tokens += words[Int.random(in: 0..<words.count, using: &random)]
            }
            return Document(tokens: Array(tokens.prefix(length)), addedTokens: added)
        }
    }

    private func trainer(
        _ name: String = "llama-gqa", tokens: Int, batch: Int = 64, every: Int = 1, added: Int = 0
    ) throws -> LensTrainer {
        let model = try Golden(name).model
        let documents = Self.documents(
            9, length: 100, vocabulary: model.configuration.vocabularySize, added: added)
        return LensTrainer(
            model: model,
            settings: LensTrainingSettings(tokens: tokens, batch: batch, rate: 1e-2, every: every),
            documents: documents)
    }

    private func weights(_ lens: TunedLens) -> [UInt32] {
        (lens.weights + lens.biases).flatMap { bits(Array($0.values)) }
    }

    @Test(arguments: ["llama-gqa", "olmo2-mha", "pythia", "gemma3-layer-types"])
    func divergenceFallsOnTextItHasNotSeen(_ name: String) throws {
        let model = try Golden(name).model
        let all = Self.documents(24, length: 100, vocabulary: model.configuration.vocabularySize)
        let text = try LensText(all, tokens: 6000)
        #expect(text.heldOut == Array(all.suffix(text.heldOut.count)))
        #expect(text.training.count + text.heldOut.count == 24)
        let trainer = LensTrainer(
            model: model, settings: LensTrainingSettings(tokens: 6000, batch: 100, rate: 3e-2),
            documents: text.training)
        try trainer.run()
        #expect(trainer.tokens == 6000)
        let comparison = try LensComparison(
            model: model, lens: trainer.lens, documents: text.heldOut)
        let layers = model.configuration.layerCount
        for boundary in 0..<layers {
            #expect(comparison.tuned[boundary] < 0.95 * comparison.plain[boundary], "\(boundary)")
        }
        // The last boundary is the output itself under both.
        #expect(comparison.plain[layers] == 0 && comparison.tuned[layers] == 0)
    }

    @Test(arguments: [1, 2])
    func aKilledTrainingGoesOnToTheSameBytes(_ every: Int) throws {
        let scratch = try ScratchDirectory()
        let path = scratch.file("half")
        let whole = try trainer(tokens: 1000, every: every, added: 1)
        try whole.run()

        for stop in [1, 4, 9] {
            let first = try trainer(tokens: 1000, every: every, added: 1)
            var steps = 0
            #expect(throws: LensTrainingError.self) {
                try first.run(afterStep: { () throws(LensTrainingError) in
                    steps += 1
                    guard steps == stop else { return }
                    try first.save(to: path, identity: ["data": "a"])
                    throw .tooFewDocuments(found: 0)
                })
            }
            let second = try trainer(tokens: 1000, every: every, added: 1)
            try second.restore(from: path, identity: ["data": "a"])
            #expect(second.tokens == first.tokens && second.tokens < 1000)
            try second.run()
            #expect(weights(second.lens) == weights(whole.lens), "stopped at step \(stop)")
        }
        let other = try trainer(tokens: 1000)
        #expect(
            throws: LensTrainingError.otherTraining(path: path, difference: "data a, not b")
        ) { try other.restore(from: path, identity: ["data": "b"]) }
    }

    @Test func threadsChangeNoByte() throws {
        let before = Parallel.threads
        defer { Parallel.threads = before }
        var found: [[UInt32]] = []
        for threads in [1, 2, 5] {
            Parallel.threads = threads
            let trainer = try trainer(tokens: 400)
            try trainer.run()
            found.append(weights(trainer.lens))
        }
        #expect(found[0] == found[1] && found[0] == found[2])
        #expect(found[0].contains { $0 != 0 })
    }

    @Test func textThatIsTooShortIsReadAgainInAnotherOrder() throws {
        // 9 documents of 100: the second pass begins within the training.
        let trainer = try trainer(tokens: 1500, batch: 100)
        var blocks = 0
        var counted = 0
        try trainer.run(progress: { count, _ in
            blocks += 1
            counted += count
        })
        #expect(trainer.tokens == 1500 && counted == 1500 && blocks == 15)
    }

    @Test func oneDocumentIsTooFew() throws {
        #expect(throws: LensTrainingError.tooFewDocuments(found: 1)) {
            try LensText([Document(tokens: [1, 2, 3])], tokens: 10)
        }
    }

    @Test func aLensSurvivesItsFile() throws {
        let scratch = try ScratchDirectory()
        let path = scratch.file("lens.safetensors")
        let trainer = try trainer(tokens: 300)
        try trainer.run()
        let configuration = trainer.model.configuration
        let header = TunedLens.Header(
            architecture: configuration.architecture, layers: configuration.layerCount,
            hiddenSize: configuration.hiddenSize, fingerprint: "f", tokens: 300, precision: "f32",
            data: "a \"text\"", createdBy: "test", heldOutTokens: 7, plainKL: [1.5, 2, 3, 0.1],
            tunedKL: [0.5, 2, 3.5, 0.05])
        #expect(header.failures == [1, 2])
        let lens = trainer.lens
        try lens.write(header, to: Output(path))
        let read = try TunedLens.read(path, model: configuration, fingerprint: "f")
        #expect(read.header == header)
        #expect(weights(read.lens) == weights(lens))
        #expect(throws: AnalysisError.self) {
            try TunedLens.read(path, model: configuration, fingerprint: "g")
        }
        // The format is the one that others read.
        let fixture = try TensorFixture(URL(filePath: path))
        let stored = try fixture.floats("translators.1.weight")
        #expect(stored.shape == [configuration.hiddenSize, configuration.hiddenSize])
        withExtendedLifetime(lens) {
            #expect(bits(stored.values) == bits(Array(lens.weights[1].values)))
        }
    }

    /// h + A·h + b by hand.
    @Test func aTranslatorIsAffine() throws {
        var random = SeededRandom(2)
        let (width, rows) = (5, 3)
        let weight = FloatBuffer(count: width * width)
        let bias = FloatBuffer(count: width)
        _ = weight.values.update(fromContentsOf: random.floats(width * width))
        _ = bias.values.update(fromContentsOf: random.floats(width))
        let states = random.floats(rows * width)
        let lens = TunedLens(width: width, weights: [weight], biases: [bias])
        var out = [Float](repeating: 0, count: rows * width)
        lens.apply(boundary: 0, states, rows: rows, into: &out)
        let expected = (0..<rows * width).map { index -> Double in
            let (row, place) = (index / width, index % width)
            let product = (0..<width).reduce(0.0) {
                $0 + Double(weight[place * width + $1]) * Double(states[row * width + $1])
            }
            return Double(states[index]) + product + Double(bias[place])
        }
        #expect(largestDifference(out, expected) < 1e-6)
    }

    /// Orders of the passes over the data have nothing to do with one another: Spearman's correlation of two
    /// of them deviates by 1/√(n - 1) = 0.05 from 0.
    @Test func everyPassHasAnOrderOfItsOwn() throws {
        let documents = (0..<400).map { Document(tokens: [Int32($0 % 100), 1]) }
        let trainer = LensTrainer(
            model: try Golden("llama-gqa").model, settings: LensTrainingSettings(seed: 3),
            documents: documents)
        // The place of each document in each pass.
        let orders = (0..<8).map { epoch -> [Int] in
            var places = [Int](repeating: -1, count: 400)
            for (place, document) in trainer.order(epoch: epoch).enumerated() {
                places[document] = place
            }
            return places
        }
        for (place, a) in orders.enumerated() {
            #expect(a.sorted() == Array(0..<400))
            for b in orders[(place + 1)...] {
                let squares = zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
                let correlation = 1 - 6 * Double(squares) / (400 * (400.0 * 400 - 1))
                #expect(abs(correlation) < 0.2, "\(correlation)")
            }
        }
    }

    /// A weight of the model that is not finite is named; translators that leave f32 are a divergence.
    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func whatIsNotFiniteIsNamed(_ value: Float) throws {
        var checkpoint = try EditableCheckpoint(Locations.golden("models/llama-gqa"))
        var head = try TensorFixture(Locations.golden("models/llama-gqa/model.safetensors"))
            .floats("model.embed_tokens.weight").values
        head[111 * 32 + 2] = value
        checkpoint.tensors["lm_head.weight"] = .init(shape: [131, 32], values: head)
        checkpoint.config["tie_word_embeddings"] = false
        let directory = try checkpoint.write()
        let model = try Transformer.load(Checkpoint.open(directory.path))
        let documents = [Document(tokens: (0..<60).map { Int32($0) })]
        let trainer = LensTrainer(
            model: model, settings: LensTrainingSettings(tokens: 50, batch: 10, every: 1),
            documents: documents)
        #expect(
            throws: LensTrainingError.model(
                .nonFiniteLogit(id: 111, place: "boundary 0", position: 0))
        ) { try trainer.run() }
        #expect(trainer.tokens == 0)

        let diverging = LensTrainer(
            model: try Golden("llama-gqa").model,
            settings: LensTrainingSettings(tokens: 50, batch: 10, rate: .infinity, every: 1),
            documents: [Document(tokens: (0..<20).map { Int32($0) })])
        let error = #expect(throws: LensTrainingError.self) { try diverging.run() }
        guard case .diverged(let step, _, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(step == 2)
    }
}
