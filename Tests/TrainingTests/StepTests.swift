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

    /// Two steps of Muon against its formula, written out in f64.
    @Test(arguments: ["olmo2-gqa", "gpt2"])
    func muonIsItsFormula(_ name: String) throws {
        let golden = TrainingGolden(name: name)
        let model = try golden.model()
        let batch = try golden.batch()
        var settings = OptimizerSettings()
        settings.kind = .muon
        settings.decay = 0.1
        let optimizer = Optimizer(model, settings: settings)
        let matrices = model.parameters.filter { $0.kind == .matrix && $0.layer == 1 }
        #expect(matrices.count >= 6)
        var expected = matrices.map { $0.values.values.map(Double.init) }
        var means = matrices.map { Array(repeating: 0.0, count: $0.count) }
        let gradients = LoopGradients(model, sequences: 2, length: 20)
        for _ in 0..<2 {
            for parameter in model.parameters { parameter.clearGradient() }
            _ = try gradients.run(
                batch, golden.split.plan(iterations: 2), weight: 1 / Float(batch.targetCount))
            for (index, parameter) in matrices.enumerated() {
                let g = try #require(parameter.gradient).values.map(Double.init)
                for place in g.indices {
                    means[index][place] = 0.95 * means[index][place] + 0.05 * g[place]
                }
                let update = PlainMuon.orthogonal(
                    zip(g, means[index]).map { 0.05 * $0 + 0.95 * $1 }, rows: parameter.rows,
                    columns: parameter.columns)
                let ratio = max(1, Double(parameter.rows) / Double(parameter.columns)).squareRoot()
                for place in g.indices {
                    expected[index][place] *= 1 - 0.02 * 0.1
                    expected[index][place] -= 0.02 * ratio * update[place]
                }
            }
            optimizer.step(rate: 0.02)
        }
        for (index, parameter) in matrices.enumerated() {
            let difference = relativeDifference(Array(parameter.values.values), expected[index])
            #expect(difference < 1e-4, "\(parameter.name): \(difference)")
        }
    }

    /// The mean loss of the last 50 of 200 steps, in nats.
    @Test func bf16FollowsF32() throws {
        func last50(_ arithmetic: Arithmetic) throws -> Double {
            let golden = TrainingGolden(name: "qwen3")
            let model = TrainableModel(
                try Transformer.load(golden.checkpoint()), arithmetic: arithmetic)
            model.train { _ in true }
            var settings = Trainer.Settings()
            settings.microBatch = 16
            settings.length = 16
            let trainer = Trainer(model, Optimizer(model, settings: OptimizerSettings()), settings)
            let plan = try golden.split.plan(iterations: 2)
            var random = SeededRandom(11)
            var sum = 0.0
            for step in 0..<200 {
                // Each token follows from the one before, but for one in four.
                var tokens: [Int32] = []
                for place in 0..<256 {
                    let isFree = place % 16 == 0 || random.below(4) == 0
                    tokens.append(
                        isFree ? Int32(random.below(131)) : (tokens[place - 1] * 7 + 3) % 131)
                }
                let metrics = try trainer.step(
                    [TrainingBatch(tokens: tokens, length: 16)], plan,
                    rate: Schedule().rate(step: step, of: 200, peak: 2e-3))
                if step >= 150 { sum += metrics.crossEntropy / 50 }
            }
            return sum
        }
        let plain = try last50(.f32)
        let rounded = try last50(Arithmetic.bf16.isAvailable ? .bf16 : .bf16Rounded)
        #expect(plain < 4.5)
        #expect(abs(rounded - plain) < 0.02, "\(plain) and \(rounded)")
    }
}

/// Muon's orthogonalisation on plain arrays in f64.
private enum PlainMuon {
    static func orthogonal(_ x: [Double], rows: Int, columns: Int) -> [Double] {
        if rows > columns {
            let turned = orthogonal(
                turn(x, rows, columns), rows: columns, columns: rows)
            return turn(turned, columns, rows)
        }
        let norm = x.reduce(0) { $0 + $1 * $1 }.squareRoot()
        var y = x.map { $0 / norm }
        for _ in 0..<5 {
            let gram = product(y, turn(y, rows, columns), rows, columns, rows)
            let square = product(gram, gram, rows, rows, rows)
            let polynomial = zip(gram, square).map { -4.7750 * $0 + 2.0315 * $1 }
            let next = product(polynomial, y, rows, rows, columns)
            y = zip(y, next).map { 3.4445 * $0 + $1 }
        }
        return y
    }

    private static func turn(_ x: [Double], _ rows: Int, _ columns: Int) -> [Double] {
        (0..<columns).flatMap { column in (0..<rows).map { x[$0 * columns + column] } }
    }

    private static func product(
        _ a: [Double], _ b: [Double], _ m: Int, _ k: Int, _ n: Int
    ) -> [Double] {
        var out = [Double](repeating: 0, count: m * n)
        for row in 0..<m {
            for inner in 0..<k {
                for column in 0..<n {
                    out[row * n + column] += a[row * k + inner] * b[inner * n + column]
                }
            }
        }
        return out
    }
}
