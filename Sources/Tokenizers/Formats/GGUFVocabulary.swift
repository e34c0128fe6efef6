/// The vocabulary that a GGUF file carries: its `tokenizer.ggml.*` entries, as they stand there.
public struct GGUFVocabulary: Sendable {
    /// `tokenizer.ggml.model`: "gpt2" (byte-level BPE) or "llama" (SentencePiece BPE, Gemma's too).
    public var model: String
    /// `pre`: how text is cut into words.
    public var pre: String?
    /// The token of each id.
    public var tokens: [String]
    public var scores: [Float]?
    /// `token_type`: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    public var types: [Int32]?
    /// Pairs with a space between them, best first.
    public var merges: [String]?
    public var bos: Int32?
    public var eos: Int32?
    public var unknown: Int32?
    public var padding: Int32?
    public var addBOS: Bool?
    public var addEOS: Bool?
    public var addSpacePrefix: Bool?

    public init(
        model: String, pre: String? = nil, tokens: [String], scores: [Float]? = nil,
        types: [Int32]? = nil, merges: [String]? = nil, bos: Int32? = nil, eos: Int32? = nil,
        unknown: Int32? = nil, padding: Int32? = nil, addBOS: Bool? = nil, addEOS: Bool? = nil,
        addSpacePrefix: Bool? = nil
    ) {
        self.model = model
        self.pre = pre
        self.tokens = tokens
        self.scores = scores
        self.types = types
        self.merges = merges
        self.bos = bos
        self.eos = eos
        self.unknown = unknown
        self.padding = padding
        self.addBOS = addBOS
        self.addEOS = addEOS
        self.addSpacePrefix = addSpacePrefix
    }
}
