import Files
import Foundation

/// Rotary position embedding: angles of position t are t · inverse frequencies.
public struct RotaryParameters: Sendable, Equatable {
    public enum Scaling: Sendable, Equatable {
        case none
        /// Positions divided by `factor`.
        case linear(factor: Double)
        /// NTK-aware scaling of the base, by the length of the text: none up to `context`.
        case dynamic(factor: Double, context: Double)
        /// Llama 3.1: long wavelengths divided by `factor`, short ones kept, those between blended.
        case llama3(
            factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double,
            originalContext: Double)
        case yarn(YaRN)
        /// Each inverse frequency divided by its own factor: one of `short` for texts of up to
        /// `originalContext` positions, of `long` beyond.
        case longrope(short: [Float], long: [Float], originalContext: Int)
        /// GGUF `rope_freqs.weight`: each inverse frequency divided by its own factor.
        case divisors([Float])
    }

    /// YaRN (Peng et al. 2023): frequencies that turn more than `betaFast` times within the original
    /// context are kept, those below `betaSlow` divided by `factor`, those between blended.
    public struct YaRN: Sendable, Equatable {
        public var factor: Double
        public var originalContext: Double
        public var betaFast = 32.0
        public var betaSlow = 1.0
        /// Whether the borders of the blend are rounded outwards to whole dimensions.
        public var truncates = true

        public init(factor: Double, originalContext: Double) {
            self.factor = factor
            self.originalContext = originalContext
        }

        /// What cosines and sines are multiplied by where the file does not say: 0.1·ln(factor) + 1.
        /// With both weights, a quotient of two such terms.
        public func defaultAttentionFactor(mscale: Double = 0, allDimensions: Double = 0) -> Double
        {
            func term(_ weight: Double) -> Double {
                factor <= 1 ? 1 : 0.1 * weight * log(factor) + 1
            }
            return mscale != 0 && allDimensions != 0 ? term(mscale) / term(allDimensions) : term(1)
        }
    }

    public var base: Double
    /// The first dimensions of each head that turn; the others pass.
    public var dimension: Int
    public var scaling: Scaling
    /// Cosines and sines are multiplied by this: YaRN and longrope.
    public var attentionFactor: Double

    public init(
        base: Double, dimension: Int, scaling: Scaling = .none, attentionFactor: Double = 1
    ) {
        self.base = base
        self.dimension = dimension
        self.scaling = scaling
        self.attentionFactor = attentionFactor
    }

    /// Whether the frequencies differ between short and long texts.
    public var dependsOnLength: Bool {
        switch scaling {
        case .dynamic, .longrope: true
        default: false
        }
    }

    public var summary: String {
        let kind =
            switch scaling {
            case .none: ""
            case .linear(let factor): ", linear scaling by \(factor)"
            case .dynamic(let factor, let context):
                ", dynamic scaling by \(factor) beyond \(Int(nearest: context)) positions"
            case .llama3(let factor, _, _, let original):
                ", llama3 scaling by \(factor) from \(Int(nearest: original)) positions"
            case .yarn(let yarn):
                ", yarn scaling by \(yarn.factor) from \(Int(nearest: yarn.originalContext)) positions"
            case .longrope(_, _, let original): ", longrope scaling beyond \(original) positions"
            case .divisors: ", scaled by rope_freqs.weight"
            }
        let factor = attentionFactor == 1 ? "" : ", attention factor \(Float(attentionFactor))"
        return "base \(base), \(dimension) dimensions" + kind + factor
    }
}

extension RotaryParameters {
    /// `inverseFrequencies(length:)` of a short text.
    public var inverseFrequencies: [Float] { inverseFrequencies(length: 1) }

    /// `dimension / 2` inverse frequencies for a text of `length` positions, computed in f32 as
    /// transformers computes them: 1 / base^(2i/dimension), then the scaling.
    public func inverseFrequencies(length: Int) -> [Float] {
        func powers(of base: Float) -> [Float] {
            (0..<dimension / 2).map { powf(base, Float(2 * $0) / Float(dimension)) }
        }
        let baseline = powers(of: Float(base))
        let plain = baseline.map { 1 / $0 }
        switch scaling {
        case .none:
            return plain
        case .linear(let factor):
            return plain.map { $0 / Float(factor) }
        case .divisors(let divisors):
            return zip(plain, divisors).map { $0 / $1 }
        case .dynamic(let factor, let context):
            let ratio = factor * max(Double(length), context) / context - (factor - 1)
            let exponent = Double(dimension) / Double(dimension - 2)
            return powers(of: Float(base * pow(ratio, exponent))).map { 1 / $0 }
        case .longrope(let short, let long, let original):
            return zip(baseline, length > original ? long : short).map { 1 / ($1 * $0) }
        case .yarn(let yarn):
            return yarnFrequencies(yarn, baseline)
        case .llama3(let factor, let low, let high, let original):
            // Llama 3.1's rule, by wavelength 2π/f against the original context length.
            return plain.map { frequency in
                let wavelength = 2 * Float.pi / frequency
                if wavelength < Float(original / high) { return frequency }
                if wavelength > Float(original / low) { return frequency / Float(factor) }
                let smooth =
                    (Float(original) / wavelength - Float(low)) / Float(high - low)
                return (1 - smooth) * frequency / Float(factor) + smooth * frequency
            }
        }
    }

    private func yarnFrequencies(_ yarn: YaRN, _ powers: [Float]) -> [Float] {
        // The dimension whose frequency turns so many times within the original context.
        func border(_ turns: Double) -> Double {
            Double(dimension) * log(yarn.originalContext / (turns * 2 * .pi)) / (2 * log(base))
        }
        var low = border(yarn.betaFast)
        var high = border(yarn.betaSlow)
        if yarn.truncates {
            low = low.rounded(.down)
            high = high.rounded(.up)
        }
        low = max(low, 0)
        high = min(high, Double(dimension - 1))
        if low == high { high += 0.001 }
        return powers.enumerated().map { index, power in
            let ramp = min(max((Float(index) - Float(low)) / Float(high - low), 0), 1)
            let kept = 1 - ramp
            return 1 / (Float(yarn.factor) * power) * (1 - kept) + 1 / power * kept
        }
    }
}
