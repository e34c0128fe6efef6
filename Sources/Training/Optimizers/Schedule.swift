import Foundation

/// The learning rate over a training of n steps: a warm-up, then one of several falls.
public struct Schedule: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
        /// Straight to the final rate.
        case linear
        /// To the final rate along half a cosine.
        case cosine
        /// Warm-up, stable, decay: constant, then straight to the final rate over the last `decaySteps`.
        case wsd
        case constant
    }

    public var kind: Kind
    public var warmUpSteps: Int
    public var finalRate: Double
    /// Of `wsd`; a tenth of the steps when nil.
    public var decaySteps: Int?

    public init(
        kind: Kind = .linear, warmUpSteps: Int = 0, finalRate: Double = 0, decaySteps: Int? = nil
    ) {
        self.kind = kind
        self.warmUpSteps = warmUpSteps
        self.finalRate = finalRate
        self.decaySteps = decaySteps
    }

    /// The rate of step i of n, i from 0. Linear without warm-up to 0 is peak · (1 - i/n).
    public func rate(step i: Int, of n: Int, peak: Double) -> Double {
        if i < warmUpSteps { return peak * Double(i + 1) / Double(warmUpSteps) }
        func fall(from start: Int) -> Double {
            min(1, max(0, Double(i - start) / Double(max(1, n - start))))
        }
        let share: Double
        switch kind {
        case .constant: return peak
        case .linear: share = fall(from: warmUpSteps)
        case .cosine: share = 0.5 * (1 - cos(.pi * fall(from: warmUpSteps)))
        case .wsd:
            share = fall(from: max(warmUpSteps, n - (decaySteps ?? max(1, n / 10))))
        }
        return peak + (finalRate - peak) * share
    }
}
