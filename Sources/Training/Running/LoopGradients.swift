import CKernels
import Foundation
import Models
import Plans
import Tensors

/// Sequences of one length that go through the model together.
public struct TrainingBatch: Sendable, Equatable {
    /// [B · T] ids.
    public var tokens: [Int32]
    public var length: Int
    /// Of each token, whether it is learned (as the next token of the one before); nil for all.
    public var learned: [Bool]?
    /// Of each token, the first position of its sequence that it sees; nil for the sequence's first.
    public var firstVisible: [Int32]?

    public init(
        tokens: [Int32], length: Int, learned: [Bool]? = nil, firstVisible: [Int32]? = nil
    ) {
        precondition(length > 0 && tokens.count % length == 0)
        self.tokens = tokens
        self.length = length
        self.learned = learned
        self.firstVisible = firstVisible
    }

    public var sequences: Int { tokens.count / length }

    /// Of each row the id that it predicts, -1 where it predicts none: the last of its sequence, and those
    /// before a token that is not learned.
    var targets: [Int32] {
        tokens.indices.map { row in
            let position = row % length
            guard position + 1 < length, learned?[row + 1] != false else { return -1 }
            return tokens[row + 1]
        }
    }

    /// Tokens that are predicted.
    public var targetCount: Int { targets.reduce(0) { $0 + ($1 >= 0 ? 1 : 0) } }
}

/// What is kept of a pass for its way back.
public enum KeptActivations: String, Sendable {
    /// Of each executed layer everything.
    case activations
    /// Of each executed layer its input; the rest is computed again.
    case inputs
}

/// Sums of a loss over the predicted tokens of batches.
public struct LossSums: Sendable, Equatable {
    /// In nats.
    public var crossEntropy = 0.0
    /// Σ (log Σ exp)² over tokens, without z-loss's factor.
    public var squares = 0.0
    public var count = 0
    /// ‖∂loss/∂h‖² at the state that each pass of the loop receives, first pass first; empty without a
    /// loop, and 0 for passes that nothing was propagated back through.
    public var passSquares: [Double] = []

    public init() {}

    public static func += (a: inout LossSums, b: LossSums) {
        a.crossEntropy += b.crossEntropy
        a.squares += b.squares
        a.count += b.count
        if a.passSquares.isEmpty {
            a.passSquares = b.passSquares
        } else {
            for index in b.passSquares.indices { a.passSquares[index] += b.passSquares[index] }
        }
    }
}

/// Loss and gradients of a model that runs a plan: every executed layer forward, the head, every executed
/// layer back, gradients of a layer that runs several times summed. Knows no optimizer and no data.
///
/// The bytes depend neither on threads nor on what is kept.
public final class LoopGradients {
    private let model: TrainableModel
    private let block: BlockGradients
    private let zLoss: Float
    private let kept: KeptActivations
    /// Of executed layers, made when a plan first needs them.
    private var activations: [LayerActivations] = []
    private var inputs: [FloatBuffer] = []
    private let h: FloatBuffer
    private let g: FloatBuffer

    /// For batches of `sequences` sequences of `length` tokens.
    public init(
        _ model: TrainableModel, sequences: Int, length: Int, zLoss: Float = 0,
        kept: KeptActivations = .activations
    ) {
        self.model = model
        self.zLoss = zLoss
        self.kept = kept
        block = BlockGradients(
            model.configuration, arithmetic: model.arithmetic, sequences: sequences,
            length: length)
        h = FloatBuffer(uninitialized: block.rows * model.configuration.hiddenSize)
        g = FloatBuffer(uninitialized: block.rows * model.configuration.hiddenSize)
    }

    /// Adds the gradients of Σ over predicted tokens of weight · (cross-entropy + z-loss) to the trained
    /// parameters' own.
    /// - Parameters:
    ///   - weight: 1 over the number of predicted tokens of the step.
    ///   - backpropagated: passes of the loop, from the last, that gradients go back through; nil for all.
    ///     With fewer than the plan has, what comes before them gets none.
    /// - Throws: `TrainingError.nonFinite` naming the first layer whose output is not finite.
    public func run(
        _ batch: TrainingBatch, _ plan: LayerPlan, weight: Float, backpropagated: Int? = nil
    ) throws(TrainingError) -> LossSums {
        let first = firstStep(plan, backpropagated)
        try forward(batch, plan, keepingFrom: first)
        return try head(batch, plan, weight: weight, first: first)
    }

    /// The loss alone.
    /// - Throws: `TrainingError.nonFinite`.
    public func loss(_ batch: TrainingBatch, _ plan: LayerPlan) throws(TrainingError) -> LossSums {
        try forward(batch, plan, keepingFrom: plan.steps.count)
        return try head(batch, plan, weight: 0, first: nil)
    }

    /// The first step that gradients go back through.
    private func firstStep(_ plan: LayerPlan, _ backpropagated: Int?) -> Int {
        guard let backpropagated, let passes = plan.steps.compactMap(\.iteration).max(),
            backpropagated < passes
        else { return 0 }
        return plan.steps.firstIndex { ($0.iteration ?? 0) > passes - backpropagated } ?? 0
    }

    private var width: Int { model.configuration.hiddenSize }

    // MARK: Forward

    private func forward(
        _ batch: TrainingBatch, _ plan: LayerPlan, keepingFrom first: Int
    ) throws(TrainingError) {
        precondition(batch.length == block.length && batch.sequences == block.sequences)
        block.firstVisible = batch.firstVisible
        model.embedding.forward(batch.tokens, length: batch.length, into: h.pointer)
        for (index, step) in plan.steps.enumerated() {
            let layer = model.layers[step.layer]
            if index >= first, kept == .inputs {
                let place = index - first
                if inputs.count == place {
                    inputs.append(FloatBuffer(uninitialized: block.rows * width))
                }
                Rows.copy(h.pointer, to: inputs[place].pointer, block.rows * width)
            }
            block.forward(layer, h, keeping: place(of: index, first, layer))
        }
        guard etd_all_finite(h.pointer, block.rows * width) == 1 else {
            throw .nonFinite(place: firstNonFinite(batch, plan))
        }
    }

    /// Where the values of an executed layer go; those of steps before `first` have one place.
    private func place(
        of step: Int, _ first: Int, _ layer: TrainableLayer
    ) -> LayerActivations {
        let index = kept == .inputs || step < first ? 0 : step - first
        while activations.count <= index {
            activations.append(
                LayerActivations(model.configuration, layer, rows: block.rows))
        }
        return activations[index]
    }

    /// Runs forward once more, looking.
    private func firstNonFinite(_ batch: TrainingBatch, _ plan: LayerPlan) -> String {
        model.embedding.forward(batch.tokens, length: batch.length, into: h.pointer)
        let count = block.rows * width
        if etd_all_finite(h.pointer, count) == 0 { return "the embedding" }
        for (index, step) in plan.steps.enumerated() {
            block.forward(
                model.layers[step.layer], h,
                keeping: place(of: index, plan.steps.count, model.layers[step.layer]))
            guard etd_all_finite(h.pointer, count) == 0 else { continue }
            return "layer \(step.layer)" + (step.iteration.map { ", pass \($0)" } ?? "")
        }
        return "the final norm"
    }

    // MARK: Head and backward

    /// - Parameter first: the first step of the way back; nil for none.
    private func head(
        _ batch: TrainingBatch, _ plan: LayerPlan, weight: Float, first: Int?
    ) throws(TrainingError) -> LossSums {
        let rows = block.rows
        let targets = batch.targets
        var result = LossSums()
        let sums = ScratchPool.shared.withFloats(rows * width) { normed in
            model.finalNorm.apply(h.pointer, rows: rows, width: width, out: normed)
            return HeadLoss(
                unembedding: model.unembedding, zLoss: zLoss, arithmetic: model.arithmetic
            ).run(
                normed, rows: rows, targets: targets, weight: weight,
                dNormed: first == nil ? nil : g.pointer)
        }
        guard sums.nonFiniteRow == nil, sums.crossEntropy.isFinite else {
            throw .nonFinite(place: "the unembedding")
        }
        result.crossEntropy = sums.crossEntropy
        result.squares = sums.squares
        result.count = sums.count
        guard let first else { return result }
        model.finalNorm.backward(
            h.pointer, gradient: g.pointer, rows: rows, width: width, adds: false, into: g.pointer)
        backward(plan, first: first, into: &result)
        if first == 0 {
            model.embedding.backward(
                batch.tokens, length: batch.length, gradient: g.pointer)
        }
        return result
    }

    private func backward(_ plan: LayerPlan, first: Int, into result: inout LossSums) {
        let passes = plan.steps.compactMap(\.iteration).max() ?? 0
        result.passSquares = Array(repeating: 0, count: passes)
        for index in plan.steps.indices.reversed() where index >= first {
            let step = plan.steps[index]
            let layer = model.layers[step.layer]
            let values = place(of: index, first, layer)
            if kept == .inputs {
                Rows.copy(inputs[index - first].pointer, to: h.pointer, block.rows * width)
                block.forward(layer, h, keeping: values)
            }
            block.backward(layer, g, kept: values)
            if let pass = step.iteration,
                index == 0 || plan.steps[index - 1].iteration != pass
            {
                result.passSquares[pass - 1] = sumSquares(g)
            }
        }
    }

    /// In pieces of fixed length, in order.
    private func sumSquares(_ buffer: FloatBuffer) -> Double {
        etd_sum_squares(buffer.pointer, block.rows * width)
    }
}
