import CKernels
import Foundation
import Tensors

/// What the optimizer does with a parameter.
public struct OptimizerSettings: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
        case adamw
        /// Matrices of the layers by Muon, the rest by AdamW.
        case muon
    }

    public var kind = Kind.adamw
    public var rate = 1e-3
    public var beta1 = 0.9
    public var beta2 = 0.95
    public var epsilon = 1e-8
    public var decay = 0.1
    public var decayNorms = true
    /// Of token and position embeddings; an unembedding of its own decays.
    public var decayEmbeddings = false
    /// Of Muon.
    public var momentum = 0.95

    public init() {}

    func decay(of parameter: Parameter) -> Double {
        switch parameter.kind {
        case .norm: decayNorms ? decay : 0
        case .embedding, .positions: decayEmbeddings ? decay : 0
        default: decay
        }
    }

    func usesMuon(_ parameter: Parameter) -> Bool { kind == .muon && parameter.kind == .matrix }
}

/// AdamW (Loshchilov and Hutter, arXiv 1711.05101) in torch.optim.AdamW's order of operations, with f32
/// moments, over all trained parameters; matrices by Muon where that is chosen. Elementwise work is cut by
/// shape alone: the same bytes for any number of threads.
public final class Optimizer {
    public let settings: OptimizerSettings

    /// A trained parameter with its moments; Muon has the first alone.
    struct Entry {
        let parameter: Parameter
        let mean: FloatBuffer
        let square: FloatBuffer?
    }

    let entries: [Entry]
    /// Steps that moments have seen: Adam's corrections count them.
    public private(set) var steps = 0

    /// Moments at zero for every parameter that is trained now.
    public init(_ model: TrainableModel, settings: OptimizerSettings) {
        self.settings = settings
        entries = model.trained.map {
            Entry(
                parameter: $0, mean: FloatBuffer(count: $0.count),
                square: settings.usesMuon($0) ? nil : FloatBuffer(count: $0.count))
        }
    }

    /// ‖g‖ over all gradients together, in f64.
    public func gradientNorm() -> Double {
        entries.reduce(0.0) { sum, entry in
            guard let gradient = entry.parameter.gradient else { return sum }
            let piece = 1 << 15
            let count = (gradient.count + piece - 1) / piece
            var parts = [Double](repeating: 0, count: count)
            parts.withUnsafeMutableBufferPointer { parts in
                nonisolated(unsafe) let parts = parts
                Parallel.forEach(count) { index in
                    parts[index] = etd_sum_squares(
                        gradient.pointer + index * piece,
                        min(piece, gradient.count - index * piece))
                }
            }
            return sum + parts.reduce(0, +)
        }.squareRoot()
    }

    /// The first parameter whose gradient is not finite.
    public func firstNonFinite() -> Parameter? {
        entries.first { entry in
            guard let gradient = entry.parameter.gradient else { return false }
            return etd_all_finite(gradient.pointer, gradient.count) == 0
        }?.parameter
    }

    /// One step at the learning rate `rate`.
    /// - Parameter gradientScale: what gradients are multiplied by first: clipping.
    public func step(rate: Double, gradientScale: Float = 1) {
        steps += 1
        for entry in entries {
            guard let gradient = entry.parameter.gradient else { continue }
            if gradientScale != 1 {
                Rows.pieces(gradient.count) {
                    etd_scale(gradient.pointer + $0, gradientScale, $1)
                }
            }
            if let square = entry.square {
                adamw(entry, square, gradient, rate)
            } else {
                Muon(momentum: settings.momentum).step(
                    entry.parameter, momentum: entry.mean, gradient: gradient, rate: rate,
                    decay: settings.decay(of: entry.parameter))
            }
        }
    }

    private func adamw(
        _ entry: Entry, _ square: FloatBuffer, _ gradient: FloatBuffer, _ rate: Double
    ) {
        let step = etd_adamw_t(
            rate: Float(rate), beta1: Float(settings.beta1), beta2: Float(settings.beta2),
            epsilon: Float(settings.epsilon), decay: Float(settings.decay(of: entry.parameter)),
            correction1: Float(1 - pow(settings.beta1, Double(steps))),
            correction2: Float(1 - pow(settings.beta2, Double(steps))))
        let values = entry.parameter.values
        Rows.pieces(values.count) { start, count in
            etd_adamw(
                values.pointer + start, entry.mean.pointer + start, square.pointer + start,
                gradient.pointer + start, step, count)
        }
    }

    /// Takes up where another training stopped.
    func restore(steps: Int) { self.steps = steps }
}

extension Optimizer {
    /// What gradients of this norm are multiplied by so that it is at most `limit`, as
    /// torch.nn.utils.clip_grad_norm_ has it.
    public static func clipScale(norm: Double, limit: Double?) -> Float {
        guard let limit else { return 1 }
        return Float(min(1, limit / (norm + 1e-6)))
    }
}
