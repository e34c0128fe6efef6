// Checkpoints of every family come back with the bytes that were trained, adapters are merged, and what is
// chosen to be trained is trained alone. Interrupted runs and bad input: CommandTests/TrainTests.

import Checkpoints
import Files
import Foundation
import Models
import Plans
import Tensors
import TestSupport
import Testing
import Training

@Suite struct CheckpointTests {
    private func trainer(_ model: TrainableModel, _ batch: TrainingBatch) -> Trainer {
        var settings = Trainer.Settings()
        settings.microBatch = batch.sequences
        settings.length = batch.length
        return Trainer(model, Optimizer(model, settings: OptimizerSettings()), settings)
    }

    private func state(_ trainer: Trainer) -> TrainingState {
        TrainingState(
            step: 1, optimizerSteps: trainer.optimizer.steps, drawn: [3],
            data: [["a.u16", "0"]], configuration: ["steps": 2])
    }

    /// Fused, turned and tied tensors come apart and together again.
    @Test(arguments: TrainingGolden.all)
    func checkpointsComeBack(_ golden: TrainingGolden) throws {
        let source = try golden.checkpoint()
        let model = try golden.model()
        let batch = try golden.batch()
        let trainer = trainer(model, batch)
        let plan = try golden.split.plan(iterations: 2)
        _ = try trainer.step([batch], plan, rate: 1e-2)
        let run = try ScratchDirectory()
        try TrainingCheckpoint(model, source: source, createdBy: "test").write(
            model, trainer.optimizer, state(trainer), split: (golden.split, 2), to: run.path)
        let path = try #require(TrainingCheckpoint.latest(in: run.path))
        let read = try Checkpoint.open(path)
        let again = TrainableModel(try Transformer.load(read))
        again.train { _ in true }
        let isExact = source.tensors.values.allSatisfy { $0.type == .f32 }
        if isExact {
            for (a, b) in zip(model.parameters, again.parameters) {
                #expect(bits(Array(a.values.values)) == bits(Array(b.values.values)), "\(a.name)")
            }
        }
        let optimizer = Optimizer(again, settings: OptimizerSettings())
        try optimizer.restore(from: path, steps: 1, values: true)
        for (a, b) in zip(model.parameters, again.parameters) {
            #expect(bits(Array(a.values.values)) == bits(Array(b.values.values)), "\(a.name)")
        }
        #expect(Set(read.tensors.keys) == Set(source.tensors.keys))
        #expect(read.config["etd"]?["iterations"]?.intValue == 2)
        #expect(try TrainingState(path: path + "/trainer.json") == state(trainer))
        // What goes on is what never stopped.
        let other = Trainer(again, optimizer, trainer.settings)
        let first = try trainer.step([batch], plan, rate: 1e-3)
        #expect(try other.step([batch], plan, rate: 1e-3) == first)
        for (a, b) in zip(model.parameters, again.parameters) {
            #expect(bits(Array(a.values.values)) == bits(Array(b.values.values)), "\(a.name)")
        }
    }

    @Test(arguments: ["olmo2-gqa", "gpt2", "llama-gqa"])
    func adaptersBeginAtTheBaseAndAreMerged(_ name: String) throws {
        let golden = TrainingGolden(name: name)
        let source = try golden.checkpoint()
        let batch = try golden.batch()
        let plan = try golden.split.plan(iterations: 2)
        let base = try Transformer.load(source)
        let plain = try LoopGradients(TrainableModel(base), sequences: 2, length: 20).loss(
            batch, plan)
        let model = TrainableModel(base)
        model.prepare(
            .lora, lora: .init(rank: 3, alpha: 6, targets: ["q", "v", "o", "up", "down"]),
            split: nil, seed: 4)
        #expect(
            try LoopGradients(model, sequences: 2, length: 20).loss(batch, plan) == plain)
        #expect(model.trained.count == 2 * 5 * model.configuration.layerCount)
        let trainer = trainer(model, batch)
        var last = StepMetrics()
        for _ in 0..<5 { last = try trainer.step([batch], plan, rate: 1e-2) }
        #expect(last.crossEntropy < plain.crossEntropy / Double(plain.count))

        let run = try ScratchDirectory()
        try TrainingCheckpoint(model, source: source, createdBy: "test").write(
            model, trainer.optimizer, state(trainer), split: nil, to: run.path)
        let path = try #require(TrainingCheckpoint.latest(in: run.path))
        let merged = TrainableModel(try Transformer.load(Checkpoint.open(path)))
        let a = try LoopGradients(merged, sequences: 2, length: 20).loss(batch, plan)
        let b = try LoopGradients(model, sequences: 2, length: 20).loss(batch, plan)
        // bf16 files round the merged weights.
        let isExact = source.tensors.values.allSatisfy { $0.type == .f32 }
        #expect(abs(a.crossEntropy - b.crossEntropy) < (isExact ? 1e-5 : 1e-2) * b.crossEntropy)
    }

    @Test func theThinkBlockAloneIsTrained() throws {
        let golden = TrainingGolden(name: "olmo2-gqa")
        let model = try golden.model()
        let before = try golden.model()
        model.prepare(.think, lora: nil, split: try golden.split, seed: 0)
        let batch = try golden.batch()
        let trainer = trainer(model, batch)
        _ = try trainer.step([batch], golden.split.plan(iterations: 2), rate: 1e-2)
        let range = try golden.split.thinkRange
        for (a, b) in zip(model.parameters, before.parameters) {
            let isSame = bits(Array(a.values.values)) == bits(Array(b.values.values))
            #expect(isSame != (a.layer.map(range.contains) ?? false), "\(a.name)")
        }
    }
}
