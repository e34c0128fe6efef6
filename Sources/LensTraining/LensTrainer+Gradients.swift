import Models
import Tensors

extension LensTrainer {
    /// Losses and gradients of given translators on one document, without a step: what one step would sum
    /// up, for tests.
    package struct Gradients {
        /// Σ KL(p_L‖p_l) over positions, by boundary below the last.
        package var losses: [Double] = []
        /// With respect to A' [d, d] and b' [d].
        package var weights: [[Float]] = []
        package var biases: [[Float]] = []
    }

    /// - Parameters:
    ///   - weights: A' of each boundary, in the units that follow.
    ///   - inverseScale: 1/s, the same for all boundaries; `outputScale` is r.
    package static func gradients(
        model: Transformer, tokens: [Int32], settings: LensTrainingSettings, weights: [[Float]],
        biases: [[Float]], inverseScale: [Float], outputScale: Float
    ) throws(ModelError) -> Gradients {
        let trainer = LensTrainer(
            model: model, settings: settings, documents: [.init(tokens: tokens)])
        trainer.translators = zip(weights, biases).map { weight, bias in
            let inverse = FloatBuffer(count: inverseScale.count)
            _ = inverse.values.update(fromContentsOf: inverseScale)
            let translator = Translator(inverseScale: inverse, outputScale: outputScale)
            _ = translator.weight.values.values.update(fromContentsOf: weight)
            _ = translator.bias.values.values.update(fromContentsOf: bias)
            return translator
        }
        let pass = TranslatorPass(trainer)
        try Session(model: model, capacity: tokens.count).run(tokens, taps: [pass])
        return Gradients(
            losses: pass.losses, weights: pass.weightGradients.map { Array($0.values) },
            biases: pass.biasGradients.map { Array($0.values) })
    }
}
