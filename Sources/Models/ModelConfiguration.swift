/// What a decoder block needs to know, the same for every family and both file formats.
///
/// A family's file turns its own spelling of these facts into this one; the forward pass reads nothing
/// else.
public struct ModelConfiguration: Sendable, Equatable {
    /// Where norms stand around attention and MLP.
    public enum NormPlacement: String, Sendable {
        /// On the input of each: Llama.
        case pre
        /// On the output of each, before it is added: OLMo-2.
        case post
        /// On both: Gemma-3.
        case sandwich
    }

    /// Norm of queries and keys before rotary.
    public enum QueryKeyNorm: String, Sendable {
        case none
        /// Over each head's `headDimension`: Gemma-3.
        case perHead = "per head"
        /// Over the whole projection: OLMo-2.
        case wholeProjection = "whole projection"
    }

    public enum Activation: String, Sendable {
        case silu
        case geluTanh = "gelu_tanh"
    }

    /// How one layer attends.
    public struct Attention: Sendable, Equatable {
        /// Positions a query sees, itself included; nil sees all before it.
        public var window: Int?
        public var rotary: RotaryParameters

        public init(window: Int? = nil, rotary: RotaryParameters) {
            self.window = window
            self.rotary = rotary
        }
    }

    /// As the file names it: `llama`, `olmo2`, `gemma3_text`.
    public var architecture: String
    public var layerCount: Int
    public var hiddenSize: Int
    public var intermediateSize: Int
    public var headCount: Int
    public var keyValueHeadCount: Int
    public var headDimension: Int
    public var vocabularySize: Int
    public var contextLength: Int
    public var normEpsilon: Float
    /// Added to every norm weight: Gemma stores w for 1 + w in safetensors.
    public var normOffset: Float = 0
    public var normPlacement: NormPlacement
    public var queryKeyNorm: QueryKeyNorm = .none
    public var activation: Activation
    public var embeddingScale: Float = 1
    /// Factor of the attention scores, usually 1/√headDimension.
    public var attentionScale: Float
    public var tiedEmbeddings: Bool
    public var attentionBias = false
    public var mlpBias = false
    /// One entry per layer.
    public var attention: [Attention]
    /// Everything the file leaves open and this package filled in, in words.
    public var assumptions: [String] = []
}

/// Rotary position embedding: angles of position t are t · inverseFrequencies.
public struct RotaryParameters: Sendable, Equatable {
    public enum Scaling: Sendable, Equatable {
        case none
        /// Positions divided by `factor`.
        case linear(factor: Double)
        /// Llama 3.1: long wavelengths divided by `factor`, short ones kept, those between blended.
        case llama3(
            factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double,
            originalContext: Double)
        /// GGUF `rope_freqs.weight`: each inverse frequency divided by its own factor.
        case divisors([Float])
    }

    public var base: Double
    public var dimension: Int
    public var scaling: Scaling

    public init(base: Double, dimension: Int, scaling: Scaling = .none) {
        self.base = base
        self.dimension = dimension
        self.scaling = scaling
    }

    public var summary: String {
        let suffix =
            switch scaling {
            case .none: ""
            case .linear(let factor): ", linear scaling by \(factor)"
            case .llama3(let factor, _, _, _): ", llama3 scaling by \(factor)"
            case .divisors: ", scaled by rope_freqs.weight"
            }
        return "base \(base), \(dimension) dimensions" + suffix
    }
}
