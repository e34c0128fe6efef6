import Analysis
import CKernels
import Corpus
import Foundation
import Models
import Tensors

/// How a tuned lens is trained.
public struct LensTrainingSettings: Sendable, Equatable {
    /// Positions to train on.
    public var tokens: Int
    /// Positions to a step, at least; a step ends with a block.
    public var batch: Int
    /// The peak of how far one step may move a translated state, about, relative to the size of its
    /// values: Adam moves each value of A' and b' by it over d at most.
    public var rate: Float
    /// Each boundary takes one of so many positions of a block, boundaries by turns.
    public var every: Int
    /// Of the order of documents.
    public var seed: UInt64

    public init(
        tokens: Int = 100_000, batch: Int = 256, rate: Float = 0.5, every: Int = 2,
        seed: UInt64 = 0
    ) {
        self.tokens = tokens
        self.batch = batch
        self.rate = rate
        self.every = every
        self.seed = seed
    }
}

/// Trains the translators of all boundaries at once, block by block, to minimise KL(p_L‖p_l).
///
/// Memory: the translators with their gradients and moments (16·L·d² bytes), and of one block of positions
/// the states, translated states and expectations of every boundary.
public final class LensTrainer {
    public let model: Transformer
    public let settings: LensTrainingSettings
    /// What it learns from, in the file's order.
    let documents: [Document]
    let optimizer = AdamW()
    var translators: [Translator] = []
    var cursor = Cursor()

    /// How far the training is. All of it stands in a checkpoint.
    struct Cursor: Equatable {
        /// Steps of the optimizer so far.
        var step = 0
        /// Passes over the documents that are behind it.
        var epoch = 0
        /// Place in the order of this pass, and the next position of that document.
        var place = 0
        var position = 0
        /// Positions trained on.
        var tokens = 0
        /// Mean over boundaries of KL(p_L‖p_l) at the last step; nil before the first.
        var loss: Double?
    }

    public init(model: Transformer, settings: LensTrainingSettings, documents: [Document]) {
        precondition(settings.every >= 1 && settings.batch >= 1 && !documents.isEmpty)
        self.model = model
        self.settings = settings
        self.documents = documents
    }

    private var longest: Int { documents.map(\.tokens.count).max() ?? 1 }

    /// Positions trained on so far.
    public var tokens: Int { cursor.tokens }

    /// The lens as it stands.
    public var lens: TunedLens {
        let made = translators.map(\.translated)
        return TunedLens(
            width: model.configuration.hiddenSize, weights: made.map(\.weight),
            biases: made.map(\.bias))
    }

    /// Trains from where it stands to the end.
    /// - Parameters:
    ///   - progress: called after each block with its positions and the last step's loss in nats.
    ///   - afterStep: called when a step is taken; a checkpoint may be written then. What it throws stops
    ///     the training.
    public func run(
        progress: (_ tokens: Int, _ loss: Double?) -> Void = { _, _ in },
        afterStep: () throws(LensTrainingError) -> Void = {}
    ) throws(LensTrainingError) {
        if translators.isEmpty { try calibrate() }
        let pass = TranslatorPass(self)
        let loop: DocumentLoop
        do {
            loop = try DocumentLoop(model: model, longest: longest, taps: [pass])
        } catch { throw .model(error) }
        while cursor.tokens < settings.tokens {
            let order = order(epoch: cursor.epoch)
            while cursor.place < order.count, cursor.tokens < settings.tokens {
                try train(on: order[cursor.place], loop, pass, progress, afterStep)
            }
            if cursor.place == order.count {
                cursor.place = 0
                cursor.epoch += 1
            }
        }
    }

    /// One document, from the cursor's position on.
    private func train(
        on index: Int, _ loop: DocumentLoop, _ pass: TranslatorPass,
        _ progress: (_ tokens: Int, _ loss: Double?) -> Void,
        _ afterStep: () throws(LensTrainingError) -> Void
    ) throws(LensTrainingError) {
        var document = documents[index]
        let done = max(0, cursor.position - document.addedTokens)
        let room = settings.tokens - cursor.tokens + done
        document.tokens = Array(document.tokens.prefix(document.addedTokens + room))
        pass.first = max(cursor.position, document.addedTokens)
        var failure: LensTrainingError?
        do {
            try loop.run(document, index: index) { positions, _ throws(ModelError) in
                guard positions.upperBound > cursor.position else { return }
                let count = positions.upperBound - max(positions.lowerBound, document.addedTokens)
                cursor.tokens += max(0, count)
                cursor.position = positions.upperBound
                let isLast = positions.upperBound == document.tokens.count
                if isLast {
                    cursor.position = 0
                    cursor.place += 1
                }
                do throws(LensTrainingError) {
                    if pass.positions >= settings.batch || cursor.tokens >= settings.tokens {
                        try step(pass)
                        try afterStep()
                    }
                } catch {
                    failure = error
                    throw .stopped(reason: error.description)
                }
                progress(max(0, count), cursor.loss)
            }
        } catch {
            throw failure ?? LensTrainingError(error)
        }
    }

    private func step(_ pass: TranslatorPass) throws(LensTrainingError) {
        guard pass.positions > 0 else { return }
        cursor.step += 1
        let schedule = LearningRate(peak: settings.rate, warmUp: 0.05)
        // The rate of the step's end: the first step of a rise is not 0, the last one not wasted.
        let before = Double(cursor.tokens - pass.positions) / Double(settings.tokens)
        let after = Double(cursor.tokens) / Double(settings.tokens)
        let rate = schedule.rate(at: (before + after) / 2)
        var total = 0.0
        for (boundary, loss) in pass.losses.enumerated() {
            let count = pass.counts[boundary]
            guard loss.isFinite else {
                throw .diverged(step: cursor.step, boundary: boundary, rate: settings.rate)
            }
            if count > 0 { total += loss / Double(count) }
        }
        cursor.loss = total / Double(max(1, translators.count))
        let (step, optimizer) = (cursor.step, self.optimizer)
        Parallel.forEach(translators.count) { boundary in
            let count = pass.counts[boundary]
            guard count > 0 else { return }
            let translator = translators[boundary]
            let (weight, bias) = (pass.weightGradients[boundary], pass.biasGradients[boundary])
            etd_scale(weight.pointer, 1 / Float(count), weight.count)
            etd_scale(bias.pointer, 1 / Float(count), bias.count)
            let pace = rate / Float(translator.width)
            optimizer.update(translator.weight, gradient: weight.pointer, rate: pace, step: step)
            optimizer.update(translator.bias, gradient: bias.pointer, rate: pace, step: step)
        }
        pass.clear()
    }

    /// Documents of one pass over the data: shuffled anew for each.
    package func order(epoch: Int) -> [Int] {
        var random = SplitMix64(seed: settings.seed, stream: UInt64(epoch))
        var order = Array(documents.indices)
        for last in stride(from: order.count - 1, to: 0, by: -1) {
            order.swapAt(last, random.below(last + 1))
        }
        return order
    }

    /// Finds the translators' units from the first documents of the first pass.
    private func calibrate() throws(LensTrainingError) {
        let configuration = model.configuration
        let tap = ScaleTap(layers: configuration.layerCount, width: configuration.hiddenSize)
        do {
            let loop = try DocumentLoop(model: model, longest: longest, taps: [tap])
            for index in order(epoch: 0).prefix(1024) where !tap.isFull {
                try loop.run(documents[index], index: index)
            }
        } catch { throw LensTrainingError(error) }
        translators = tap.translators()
    }
}
