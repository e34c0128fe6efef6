// Losses and gradients of translators against PyTorch's autograd (Tests/Goldens/lens-training) and against
// differences of the lens's own divergences, which are code of another file; AdamW against torch.optim.
// Sizes, speed and bf16 are not covered here.

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

struct Golden {
    let model: Transformer
    let tokens: [Int32]
    let tensors: TensorFixture
    var width: Int { model.configuration.hiddenSize }
    var layers: Int { model.configuration.layerCount }

    static let names = [
        "llama-gqa", "olmo2-mha", "olmo3", "olmo", "pythia", "gpt2", "gemma3-layer-types", "qwen3",
    ]

    init(_ name: String) throws {
        let folder = Locations.golden("models/\(name)")
        model = try Transformer.load(Checkpoint.open(folder.path))
        let facts = try JSON.read(path: folder.appending(path: "expected.json").path)
        tokens = (facts["tokens"]?.arrayValue?[1].arrayValue ?? []).compactMap {
            $0.intValue.map(Int32.init)
        }
        tensors = try TensorFixture(Locations.golden("lens-training/\(name).safetensors"))
    }

    /// The part of a tensor [L, …] that belongs to one boundary.
    func parts(_ name: String) throws -> [[Float]] {
        let values = try tensors.floats(name).values
        let size = values.count / layers
        return (0..<layers).map { Array(values[$0 * size..<($0 + 1) * size]) }
    }
}

/// The largest |a - b| relative to the largest |b|.
private func relativeDifference(_ a: [Float], _ b: [Float]) -> Float {
    guard a.count == b.count, let largest = b.map(\.magnitude).max() else { return .infinity }
    return zip(a, b).reduce(0) { worst, pair in
        let difference = (pair.0 - pair.1).magnitude / largest
        return difference <= worst ? worst : difference
    }
}

@Suite struct GradientTests {
    /// Through units other than 1: A = r·A'·diag(1/s), so the gradient in A' is r·G·diag(1/s).
    @Test(arguments: Golden.names)
    func gradientsAreThoseOfAutograd(_ name: String) throws {
        let golden = try Golden(name)
        #expect(golden.tokens.count == 23)
        var random = SeededRandom(3)
        let inverse = (0..<golden.width).map { _ in Float.random(in: 0.25...4, using: &random) }
        let scale: Float = 3
        let width = golden.width
        let ours = try LensTrainer.gradients(
            model: golden.model, tokens: golden.tokens, settings: LensTrainingSettings(every: 1),
            weights: try golden.parts("weight").map { weight in
                weight.enumerated().map { $1 / (scale * inverse[$0 % width]) }
            },
            biases: try golden.parts("bias").map { $0.map { $0 / scale } },
            inverseScale: inverse, outputScale: scale)
        let losses = try golden.tensors.floats("loss").values
        #expect(ours.losses.count == golden.layers && losses.count == golden.layers)
        for boundary in 0..<golden.layers {
            let loss = Double(losses[boundary])
            #expect(abs(ours.losses[boundary] - loss) < 1e-4 * loss, "loss at \(boundary)")
            let weight = ours.weights[boundary].enumerated().map {
                $1 / (scale * inverse[$0 % width])
            }
            let bias = ours.biases[boundary].map { $0 / scale }
            let expected = try golden.parts("weight_gradient")[boundary]
            #expect(relativeDifference(weight, expected) < 1e-4, "weight at \(boundary)")
            let expectedBias = try golden.parts("bias_gradient")[boundary]
            #expect(relativeDifference(bias, expectedBias) < 1e-4, "bias at \(boundary)")
        }
    }

    /// Documents longer than a block, and each boundary on a part of the positions.
    @Test(arguments: [1, 3])
    func gradientsAreSlopesOfTheLens(_ every: Int) throws {
        let model = try Golden("olmo2-mha").model
        let (width, layers) = (model.configuration.hiddenSize, model.configuration.layerCount)
        var random = SeededRandom(8)
        let tokens = (0..<100).map { _ in
            Int32.random(in: 0..<Int32(model.configuration.vocabularySize), using: &random)
        }
        let weights = (0..<layers).map { _ in random.normals(width * width, deviation: 0.05) }
        let biases = (0..<layers).map { _ in random.normals(width, deviation: 0.1) }
        let ways = (0..<layers).map { _ in random.normals(width * width + width) }

        /// Σ KL over the positions of each boundary at A + step·way, by the lens of module Analysis.
        func losses(_ step: Float) throws -> [Double] {
            func buffer(_ start: [Float], _ way: ArraySlice<Float>) -> FloatBuffer {
                let buffer = FloatBuffer(count: start.count)
                for (index, pair) in zip(start, way).enumerated() {
                    buffer.pointer[index] = pair.0 + step * pair.1
                }
                return buffer
            }
            let lens = TunedLens(
                width: width,
                weights: (0..<layers).map { buffer(weights[$0], ways[$0].prefix(width * width)) },
                biases: (0..<layers).map { buffer(biases[$0], ways[$0].suffix(width)) })
            var sums = [Double](repeating: 0, count: layers)
            let tap = LensTap(model: model, plan: .identity(layers: layers), tuned: lens) {
                position, _, tuned in
                for boundary in 0..<layers where (position + boundary) % every == 0 {
                    sums[boundary] += tuned[boundary].klFromFinal
                }
            }
            tap.begin(Document(tokens: tokens), index: 0)
            try Session(model: model, capacity: tokens.count).run(tokens, taps: [tap])
            return sums
        }
        let ours = try LensTrainer.gradients(
            model: model, tokens: tokens, settings: LensTrainingSettings(every: every),
            weights: weights, biases: biases,
            inverseScale: Array(repeating: 1, count: width), outputScale: 1)
        let (low, here, high) = (try losses(-1e-3), try losses(0), try losses(1e-3))
        for boundary in 0..<layers {
            #expect(abs(ours.losses[boundary] - here[boundary]) < 1e-4 * here[boundary])
            let slope = (high[boundary] - low[boundary]) / 2e-3
            let gradient = ours.weights[boundary] + ours.biases[boundary]
            let expected = zip(gradient, ways[boundary]).reduce(0) {
                $0 + Double($1.0) * Double($1.1)
            }
            #expect(abs(slope) > 1)
            #expect(abs(slope - expected) < 0.01 * max(abs(slope), 10), "boundary \(boundary)")
        }
    }

    @Test func stepsAreThoseOfTorch() throws {
        let fixture = try TensorFixture(Locations.golden("lens-training/adamw.safetensors"))
        let settings = try JSON.read(path: Locations.golden("lens-training/adamw.json").path)
        func setting(_ value: JSON?) throws -> Float { Float(try #require(value?.doubleValue)) }
        let optimizer = AdamW(
            beta1: try setting(settings["betas"]?.arrayValue?[0]),
            beta2: try setting(settings["betas"]?.arrayValue?[1]),
            epsilon: try setting(settings["eps"]), decay: try setting(settings["weight_decay"]))
        let start = try fixture.floats("start").values
        let gradients = try fixture.floats("gradients").values
        let values = try fixture.floats("values").values
        let parameter = AdamW.Parameter(count: start.count)
        _ = parameter.values.values.update(fromContentsOf: start)
        let steps = gradients.count / start.count
        #expect(steps == 4)
        for step in 0..<steps {
            let place = step * start.count..<(step + 1) * start.count
            optimizer.update(
                parameter, gradient: Array(gradients[place]), rate: try setting(settings["lr"]),
                step: step + 1)
            let expected = values[place].map(Double.init)
            #expect(largestDifference(Array(parameter.values.values), expected) < 2e-6)
        }
    }

    @Test func theRateRisesAndFalls() {
        let rate = LearningRate(peak: 2, warmUp: 0.1)
        #expect(rate.rate(at: 0.05) == 1)
        #expect(rate.rate(at: 0.1) == 2)
        #expect(abs(rate.rate(at: 0.55) - 1) < 1e-6)
        #expect(abs(rate.rate(at: 1)) < 1e-6)
    }
}
