// Ten steps of AdamW as the recipe has it against torch.optim.AdamW, schedules, clipping, and what must not
// change a training: threads, the split when k = 1, the size of micro-batches (up to rounding).

import Checkpoints
import Files
import Foundation
import Models
import Plans
import Tensors
import TestSupport
import Testing
import Training

@Suite struct StepTests {
    private struct Recipe {
        let batches: [TrainingBatch]
        let losses: [Float]
        let norms: [Float]
        let settings: JSON

        init(_ name: String) throws {
            let tensors = try TensorFixture(Locations.golden("training/steps-\(name).safetensors"))
            settings = try JSON.read(path: Locations.golden("training/steps.json").path)
            let tokens = try tensors.integers("tokens").map(Int32.init)
            batches = (0..<10).map {
                TrainingBatch(tokens: Array(tokens[$0 * 40..<($0 + 1) * 40]), length: 20)
            }
            losses = try tensors.floats("loss").values
            norms = try tensors.floats("grad_norm").values
        }

        func number(_ key: String) throws -> Double { try #require(settings[key]?.doubleValue) }

        func trainer(_ model: TrainableModel, microBatch: Int = 2) throws -> Trainer {
            var optimizer = OptimizerSettings()
            optimizer.rate = try number("lr")
            optimizer.epsilon = try number("eps")
            optimizer.decay = try number("weight_decay")
            var trainer = Trainer.Settings()
            trainer.clipNorm = try number("clip_norm")
            trainer.zLoss = try number("z_loss")
            trainer.microBatch = microBatch
            trainer.length = 20
            return Trainer(model, Optimizer(model, settings: optimizer), trainer)
        }

        func run(_ trainer: Trainer, _ plan: LayerPlan) throws -> [StepMetrics] {
            try batches.enumerated().map { step, batch in
                let size = trainer.settings.microBatch * 20
                let parts = stride(from: 0, to: batch.tokens.count, by: size).map {
                    TrainingBatch(tokens: Array(batch.tokens[$0..<$0 + size]), length: 20)
                }
                return try trainer.step(
                    parts, plan,
                    rate: Schedule().rate(step: step, of: 10, peak: trainer.optimizer.settings.rate)
                )
            }
        }
    }

    @Test(arguments: ["olmo2-gqa", "gpt2"])
    func stepsFollowTorch(_ name: String) throws {
        let golden = TrainingGolden(name: name)
        let recipe = try Recipe(name)
        let k = Int(try recipe.number("iterations"))
        let metrics = try recipe.run(
            recipe.trainer(golden.model()), golden.split.plan(iterations: k))
        for (step, values) in metrics.enumerated() {
            let loss = abs(values.loss - Double(recipe.losses[step]))
            #expect(loss < 1e-4 * Double(recipe.losses[step]), "loss of step \(step + 1)")
            let norm = abs(values.gradientNorm - Double(recipe.norms[step]))
            #expect(norm < 1e-4 * Double(recipe.norms[step]), "norm of step \(step + 1): \(norm)")
            #expect(values.passNorms.count == k)
        }
        #expect(metrics[9].loss < metrics[0].loss)
    }

    private func weights(_ model: TrainableModel) -> [[UInt32]] {
        model.parameters.map { bits(Array($0.values.values)) }
    }

    @Test func oneIterationIsPlainTrainingBitForBit() throws {
        let golden = TrainingGolden(name: "olmo2-gqa")
        let recipe = try Recipe(golden.name)
        let (looped, plain) = (try golden.model(), try golden.model())
        let first = try recipe.run(recipe.trainer(looped), golden.split.plan(iterations: 1))
        let second = try recipe.run(
            recipe.trainer(plain), .identity(layers: plain.configuration.layerCount))
        #expect(first == second)
        #expect(weights(looped) == weights(plain))
    }

    @Test func microBatchesChangeNothingButRounding() throws {
        let golden = TrainingGolden(name: "olmo2-gqa")
        let recipe = try Recipe(golden.name)
        let plan = try golden.split.plan(iterations: 2)
        let whole = try recipe.run(recipe.trainer(golden.model()), plan)
        let parts = try recipe.run(recipe.trainer(golden.model(), microBatch: 1), plan)
        for (a, b) in zip(whole, parts) { #expect(abs(a.loss - b.loss) < 1e-4 * a.loss) }
    }

    @Test func clippingIsTorchs() {
        #expect(Optimizer.clipScale(norm: 0.5, limit: 1) == 1)
        #expect(Optimizer.clipScale(norm: 4, limit: 1) == Float(1 / (4 + 1e-6)))
        #expect(Optimizer.clipScale(norm: 4, limit: nil) == 1)
    }

    @Test func schedules() {
        func rate(_ schedule: Schedule, _ step: Int, of steps: Int) -> Double {
            schedule.rate(step: step, of: steps, peak: 2)
        }
        let ninth: Double = 2 * (1 - 0.9)
        #expect(rate(Schedule(), 0, of: 10) == 2)
        #expect(abs(rate(Schedule(), 9, of: 10) - ninth) < 1e-12)
        let warm = Schedule(kind: .cosine, warmUpSteps: 4, finalRate: 0.5)
        #expect(rate(warm, 1, of: 12) == 1)
        #expect(rate(warm, 4, of: 12) == 2)
        #expect(abs(rate(warm, 8, of: 12) - 1.25) < 1e-12)
        let wsd = Schedule(kind: .wsd, decaySteps: 4)
        #expect(rate(wsd, 6, of: 10) == 2)
        #expect(rate(wsd, 8, of: 10) == 1)
    }
}
