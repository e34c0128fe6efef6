/// A place in a decoder layer where a tap may look and an intervention may write.
public enum Site: String, Sendable, CaseIterable {
    /// The residual stream at a boundary: h_0 … h_S for S executed steps.
    case resid
    /// The residual stream between attention and MLP; refused where both read the layer's input.
    case residMid = "resid_mid"
    /// What attention adds to the residual stream (after a post-norm).
    case attentionOutput = "attn_out"
    /// What the MLP adds to the residual stream (after a post-norm).
    case mlpOutput = "mlp_out"
    /// Queries, keys and values; queries and keys after QK-norm and before rotary.
    case query = "q"
    case key = "k"
    case value = "v"
    /// The attention weights after the softmax. A position's values are [heads, keys], with keys the
    /// positions up to the end of its block; those it does not see have weight 0.
    case attentionPattern = "attn_pattern"
}

extension Site {
    /// What the values of one position are.
    public enum Layout: Sendable {
        /// A vector of the residual stream's width.
        case state
        /// One vector for each query head, or for each key/value head.
        case queryHeads, keyValueHeads
        /// A weight for each head and key; the number of keys grows with the position.
        case pattern
    }

    public var layout: Layout {
        switch self {
        case .resid, .residMid, .attentionOutput, .mlpOutput: .state
        case .query: .queryHeads
        case .key, .value: .keyValueHeads
        case .attentionPattern: .pattern
        }
    }

    /// For `--help`, in a few words.
    public var summary: String {
        switch self {
        case .resid: "the state at each boundary"
        case .residMid: "the state between attention and MLP"
        case .attentionOutput: "what attention adds to it (after a post-norm)"
        case .mlpOutput: "what the MLP adds to it (after a post-norm)"
        case .query: "queries per head, before rotary"
        case .key: "keys per head, before rotary"
        case .value: "values per head"
        case .attentionPattern: "attention weights, for documents of at most 512 tokens"
        }
    }
}
