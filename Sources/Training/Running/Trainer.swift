import Foundation
import Models
import Plans
import Tensors

/// What one step of a training came to.
public struct StepMetrics: Sendable, Equatable {
    /// From 1.
    public var step = 0
    /// Means over predicted tokens, in nats: `loss` = `crossEntropy` + `zLoss`.
    public var crossEntropy = 0.0
    public var zLoss = 0.0
    public var loss: Double { crossEntropy + zLoss }
    /// Of all gradients, before clipping.
    public var gradientNorm = 0.0
    /// ‖∂loss/∂h‖ at the state that each pass receives, first pass first; empty without a loop.
    public var passNorms: [Double] = []
    public var rate = 0.0
    public var iterations = 1
    /// Tokens of the step's sequences.
    public var tokens = 0

    public init() {}
}

/// The arithmetic of training steps: gradients over micro-batches, clipping, the optimizer. Knows no files and
/// no data.
public final class Trainer {
    public struct Settings: Sendable, Equatable {
        public var clipNorm: Double? = 1
        /// c of c · mean (log Σ exp)².
        public var zLoss = 0.0
        public var kept = KeptActivations.activations
        /// Passes of the loop that gradients go back through, from the last; nil for all.
        public var backpropagated: Int?
        /// Sequences that go through together.
        public var microBatch = 1
        public var length = 128

        public init() {}
    }

    public let model: TrainableModel
    public let optimizer: Optimizer
    public let settings: Settings
    private let gradients: LoopGradients

    public init(_ model: TrainableModel, _ optimizer: Optimizer, _ settings: Settings) {
        self.model = model
        self.optimizer = optimizer
        self.settings = settings
        gradients = LoopGradients(
            model, sequences: settings.microBatch, length: settings.length,
            zLoss: Float(settings.zLoss), kept: settings.kept)
    }

    /// One step over `batches`, each of `microBatch` sequences. The loss is the mean over all their predicted
    /// tokens.
    /// - Throws: `TrainingError.nonFinite`; the weights are then those before the step.
    public func step(
        _ batches: [TrainingBatch], _ plan: LayerPlan, rate: Double
    ) throws(TrainingError) -> StepMetrics {
        let count = batches.reduce(0) { $0 + $1.targetCount }
        model.clearGradients()
        var sums = LossSums()
        let weight = 1 / Float(max(1, count))
        for batch in batches {
            sums += try gradients.run(
                batch, plan, weight: weight, backpropagated: settings.backpropagated)
        }
        let norm = optimizer.gradientNorm()
        guard norm.isFinite else {
            throw .nonFinite(place: "the gradient of \(optimizer.firstNonFinite()?.name ?? "all")")
        }
        optimizer.step(
            rate: rate,
            gradientScale: Optimizer.clipScale(norm: norm, limit: settings.clipNorm))
        var metrics = means(sums)
        metrics.gradientNorm = norm
        metrics.passNorms = sums.passSquares.map { $0.squareRoot() }
        metrics.rate = rate
        metrics.tokens = batches.reduce(0) { $0 + $1.tokens.count }
        return metrics
    }

    /// The mean loss over `batches`, without gradients.
    /// - Throws: `TrainingError.nonFinite`.
    public func loss(
        _ batches: [TrainingBatch], _ plan: LayerPlan
    ) throws(TrainingError) -> StepMetrics {
        var sums = LossSums()
        for batch in batches { sums += try gradients.loss(batch, plan) }
        return means(sums)
    }

    private func means(_ sums: LossSums) -> StepMetrics {
        var metrics = StepMetrics()
        let count = Double(max(1, sums.count))
        metrics.crossEntropy = sums.crossEntropy / count
        metrics.zLoss = settings.zLoss * sums.squares / count
        return metrics
    }
}
