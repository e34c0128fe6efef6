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

    public enum NormType: String, Sendable {
        /// x / √(mean x² + ε)
        case rms = "RMSNorm"
        /// (x - mean x) / √(variance + ε)
        case layer = "LayerNorm"
    }

    public enum Activation: String, Sendable {
        case silu
        case geluTanh = "gelu_tanh"
        /// x·Φ(x), by erf.
        case gelu
    }

    /// How one layer attends.
    public struct Attention: Sendable, Equatable {
        /// Positions a query sees, itself included; nil sees all before it.
        public var window: Int?
        /// Nil where positions are learned.
        public var rotary: RotaryParameters?

        public init(window: Int? = nil, rotary: RotaryParameters?) {
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
    public var normType = NormType.rms
    /// Whether the norms of the residual stream have a weight: not in OLMo.
    public var normWeight = true
    public var normBias = false
    public var normEpsilon: Float
    /// Added to every norm weight: Gemma stores w for 1 + w in safetensors.
    public var normOffset: Float = 0
    public var normPlacement: NormPlacement
    /// Attention and MLP both read the layer's input, so no state stands between them: GPT-NeoX.
    public var parallelResidual = false
    public var queryKeyNorm: QueryKeyNorm = .none
    /// Queries, keys and values are clamped to [-clip, clip] when they are projected.
    public var queryKeyValueClip: Float?
    public var activation: Activation
    /// Whether the activation of one projection multiplies another: not in GPT-NeoX and GPT-2.
    public var gatedMLP = true
    /// Whether `contextLength` position embeddings are added to the token's: GPT-2.
    public var learnedPositions = false
    public var embeddingScale: Float = 1
    /// Factor of the attention scores, usually 1/√headDimension.
    public var attentionScale: Float
    public var tiedEmbeddings: Bool
    /// Biases of the query, key and value projections.
    public var attentionBias = false
    public var attentionOutputBias = false
    public var mlpBias = false
    /// One entry per layer.
    public var attention: [Attention]
    /// Everything the file leaves open and this package filled in, in words.
    public var assumptions: [String] = []

    /// Whether a position's state depends on how long the text becomes.
    public var rotaryDependsOnLength: Bool {
        attention.contains { $0.rotary?.dependsOnLength == true }
    }
}
