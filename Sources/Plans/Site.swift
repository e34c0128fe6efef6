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
