import CKernels
import Foundation
import Tensors

/// AdamW (Loshchilov and Hutter, arXiv 1711.05101) with torch.optim.AdamW's order of operations.
public struct AdamW: Sendable, Equatable {
    public var beta1: Float
    public var beta2: Float
    public var epsilon: Float
    public var decay: Float

    public init(beta1: Float = 0.9, beta2: Float = 0.999, epsilon: Float = 1e-8, decay: Float = 0) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.decay = decay
    }

    /// One parameter tensor with its running moments.
    public final class Parameter: Sendable {
        public let values: FloatBuffer
        public let mean: FloatBuffer
        public let square: FloatBuffer

        /// Zeros.
        public init(count: Int) {
            values = FloatBuffer(count: count)
            mean = FloatBuffer(count: count)
            square = FloatBuffer(count: count)
        }
    }

    /// Step `step`, from 1, at the learning rate `rate`.
    public func update(
        _ parameter: Parameter, gradient: UnsafePointer<Float>, rate: Float, step: Int
    ) {
        let settings = etd_adamw_t(
            rate: rate, beta1: beta1, beta2: beta2, epsilon: epsilon, decay: decay,
            correction1: Float(1 - pow(Double(beta1), Double(step))),
            correction2: Float(1 - pow(Double(beta2), Double(step))))
        etd_adamw(
            parameter.values.pointer, parameter.mean.pointer, parameter.square.pointer, gradient,
            settings, parameter.values.count)
    }
}

/// The learning rate over a training: a linear rise, then a fall to 0 along half a cosine.
public struct LearningRate: Sendable, Equatable {
    public var peak: Float
    /// Share of the training that the rise takes.
    public var warmUp: Double

    public init(peak: Float, warmUp: Double) {
        self.peak = peak
        self.warmUp = warmUp
    }

    /// - Parameter progress: share of the training that is done, 0 to 1.
    public func rate(at progress: Double) -> Float {
        if progress < warmUp { return peak * Float(progress / warmUp) }
        let rest = min(1, (progress - warmUp) / (1 - warmUp))
        return peak * Float(0.5 * (1 + cos(.pi * rest)))
    }
}
