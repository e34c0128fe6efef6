// Loss and parameter gradients of looped plans against PyTorch's autograd on the tiny checkpoint of each family
// (Tests/Goldens/training). bf16, speed and windows longer than 20 tokens are not covered here.

import Checkpoints
import Files
import Foundation
import Models
import Plans
import Tensors
import TestSupport
import Testing
import Training

struct TrainingGolden: CustomTestStringConvertible, Sendable {
    let name: String
    var testDescription: String { name }

    static let all = [
        "llama-gqa", "llama-bias", "mistral", "olmo", "olmo2-gqa", "olmo3", "qwen2", "qwen3",
        "phi3", "gemma3-layer-types", "pythia", "neox-sequential", "gpt2",
    ].map(TrainingGolden.init(name:))

    var folder: URL { Locations.golden("models/\(name)") }
    /// The checkpoint's own, which the goldens ran.
    var split: Split {
        get throws {
            let facts = try JSON.read(path: folder.appending(path: "expected.json").path)
            let notation = try #require(facts["looped"]?["notation"]?.stringValue)
            return try SplitNotation(notation).split
        }
    }

    func tensors() throws -> TensorFixture {
        try TensorFixture(Locations.golden("training/\(name).safetensors"))
    }

    func checkpoint() throws -> Checkpoint { try Checkpoint.open(folder.path) }

    /// The model in f32 with everything trained.
    func model() throws -> TrainableModel {
        let model = TrainableModel(try Transformer.load(checkpoint()))
        model.train { _ in true }
        return model
    }

    func batch() throws -> TrainingBatch {
        let tensors = try tensors()
        return TrainingBatch(
            tokens: try tensors.integers("tokens").map(Int32.init), length: 20,
            learned: try tensors.integers("learned").map { $0 != 0 })
    }
}

@Suite struct GradientTests {
    /// 1e-4 of the largest value of each tensor's gradient, and both ways of keeping give the same bytes.
    @Test(arguments: TrainingGolden.all, [1, 3])
    func gradientsAreThoseOfAutograd(_ golden: TrainingGolden, _ k: Int) throws {
        let tensors = try golden.tensors()
        let checkpoint = try golden.checkpoint()
        let model = try golden.model()
        let batch = try golden.batch()
        let plan = try golden.split.plan(iterations: k)
        let gradients = LoopGradients(model, sequences: 2, length: 20, zLoss: 1e-2)
        let sums = try gradients.run(batch, plan, weight: 1 / Float(batch.targetCount))
        let loss = try tensors.floats("loss.\(k)").values
        #expect(abs(sums.crossEntropy / Double(sums.count) - Double(loss[0])) < 1e-5)
        #expect(abs(sums.squares / Double(sums.count) - Double(loss[1])) < 1e-4)

        let stored = try StoredParameters(model, in: checkpoint)
        #expect(!stored.names.isEmpty)
        for name in stored.names {
            let expected = try tensors.floats("gradient.\(k).\(name)").values
            let actual = try #require(
                stored.values(of: name, count: expected.count) { $0.gradient })
            let difference = relativeDifference(Array(actual.values), expected.map(Double.init))
            #expect(difference < 1e-4, "\(name): \(difference)")
        }

        let other = try golden.model()
        let again = LoopGradients(
            other, sequences: 2, length: 20, zLoss: 1e-2, kept: .inputs)
        let repeated = try again.run(batch, plan, weight: 1 / Float(batch.targetCount))
        #expect(repeated == sums)
        for (a, b) in zip(model.parameters, other.parameters) {
            #expect(bits(Array(a.gradient!.values)) == bits(Array(b.gradient!.values)), "\(a.name)")
        }
    }

    /// The engine's own forward pass and the trainer's agree.
    @Test(arguments: TrainingGolden.all)
    func lossIsTheEngines(_ golden: TrainingGolden) throws {
        let loaded = try Transformer.load(golden.checkpoint())
        let model = TrainableModel(loaded)
        let batch = try golden.batch()
        let plan = try golden.split.plan(iterations: 2)
        let ours = try LoopGradients(model, sequences: 2, length: 20).loss(batch, plan)
        var expected = 0.0
        for sequence in 0..<2 {
            let tokens = Array(batch.tokens[sequence * 20..<(sequence + 1) * 20])
            let session = try Session(model: loaded, plan: plan, capacity: 20)
            let vocabulary = loaded.configuration.vocabularySize
            try session.run(tokens) { positions, states throws(ModelError) in
                var block = [Float](repeating: 0, count: positions.count * vocabulary)
                try loaded.logits(of: states, rows: positions.count, into: &block)
                for position in positions where position < 19 {
                    guard batch.learned?[sequence * 20 + position + 1] != false else { continue }
                    let line = block[position * vocabulary..<(position + 1) * vocabulary]
                    let sum = log(line.reduce(0) { $0 + exp(Double($1)) })
                    expected += sum - Double(line[line.startIndex + Int(tokens[position + 1])])
                }
            }
        }
        #expect(abs(ours.crossEntropy - expected) < 1e-4 * expected)
    }

    /// Gradients of the last pass alone: those of a plan whose earlier passes are a fixed input.
    @Test func earlierPassesGetNoGradient() throws {
        let golden = TrainingGolden(name: "olmo2-gqa")
        let model = try golden.model()
        let batch = try golden.batch()
        let plan = try golden.split.plan(iterations: 3)
        let gradients = LoopGradients(model, sequences: 2, length: 20)
        let sums = try gradients.run(
            batch, plan, weight: 1 / Float(batch.targetCount), backpropagated: 1)
        #expect(sums.passSquares.count == 3)
        #expect(sums.passSquares[0] == 0 && sums.passSquares[1] == 0 && sums.passSquares[2] > 0)
        for parameter in model.parameters where parameter.layer.map({ $0 < 1 }) == true {
            #expect(parameter.gradient!.values.allSatisfy { $0 == 0 }, "\(parameter.name)")
        }
    }
}
