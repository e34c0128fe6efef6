import Models
import Plans

/// What ends a text.
public struct StopRules: Sendable, Equatable {
    /// The most new tokens.
    public var maximumTokens: Int
    /// Each of them ends the text, and is its last token.
    public var tokens: Set<Int32>
    /// The text ends before the first place where one of them stands.
    public var strings: [String]

    public init(maximumTokens: Int, tokens: Set<Int32> = [], strings: [String] = []) {
        self.maximumTokens = maximumTokens
        self.tokens = tokens
        self.strings = strings
    }
}

/// A prompt, the layers to run it through, and how to go on from it.
public struct GenerationRequest: Sendable {
    /// At least one.
    public var tokens: [Int32]
    /// With `thinking` every pass of it written out.
    public let plan: LayerPlan
    /// How the think block runs where that is more than the plan says.
    public let thinking: Thinking?
    public var stop: StopRules
    public var sampling: SamplingOptions
    /// How many of the most likely tokens are told beside each new one; nil for no log-probabilities.
    public var likeliest: Int?
    /// Whether text is handed out while it comes into being.
    public var streams: Bool

    public init(
        tokens: [Int32], plan: LayerPlan, stop: StopRules, sampling: SamplingOptions = .greedy,
        likeliest: Int? = nil, streams: Bool = false
    ) {
        self.tokens = tokens
        self.plan = plan
        thinking = nil
        self.stop = stop
        self.sampling = sampling
        self.likeliest = likeliest
        self.streams = streams
    }

    /// A request whose think block is damped, or stops when each token's rule says so.
    public init(
        tokens: [Int32], thinking: Thinking, stop: StopRules, sampling: SamplingOptions = .greedy,
        likeliest: Int? = nil, streams: Bool = false
    ) {
        self.tokens = tokens
        plan = thinking.plan
        self.thinking = thinking
        self.stop = stop
        self.sampling = sampling
        self.likeliest = likeliest
        self.streams = streams
    }
}

/// log p, natural, under the model's own distribution: before penalties, temperature and cuts.
public struct TokenLogProbability: Sendable, Equatable {
    public let token: Int32
    public let value: Double
}

/// What a request came to.
public struct Generation: Sendable, Equatable {
    public enum FinishReason: String, Sendable {
        /// A stop token or a stop string.
        case stop
        /// The most new tokens, or the end of the model's context.
        case length
    }

    /// The new tokens: a stop token and those that spell a stop string are among them.
    public var tokens: [Int32] = []
    /// Their text up to a stop string; nil where nothing turns tokens into text.
    public var text: String?
    public var finishReason = FinishReason.length
    /// How often the think block ran before each new token was chosen; 1 for a plan without a loop.
    public var passes: [Int] = []
    /// Of each new token; nil unless asked for.
    public var logProbabilities: [TokenLogProbability]?
    /// The most likely tokens in each new token's place, best first; the lower id wins a tie.
    public var likeliest: [[TokenLogProbability]]?
}

/// Turns tokens into text. Generation itself knows ids alone.
public struct Detokenizer: Sendable {
    /// The text of new tokens.
    public let text: @Sendable ([Int32]) -> String
    /// Whether a token may be a piece of a character, so that the text's end can still change.
    public let isPiece: @Sendable (Int32) -> Bool

    public init(
        text: @escaping @Sendable ([Int32]) -> String,
        isPiece: @escaping @Sendable (Int32) -> Bool = { _ in false }
    ) {
        self.text = text
        self.isPiece = isPiece
    }
}
