/// A place in a decoder layer where a tap may look.
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

/// One block of positions at one site, valid only during the call that hands it over.
public struct Activation {
    public let site: Site
    /// The executed step the site belongs to; for `resid` the boundary: 0 is the embedding output,
    /// s + 1 the state after step s.
    public let index: Int
    /// The layer of that step; for boundary 0, nil.
    public let step: LayerPlan.Step?
    /// Positions in the document.
    public let positions: Range<Int>
    /// Values per position.
    public let width: Int
    /// [positions, width], row-major.
    public let values: UnsafePointer<Float>

    public func row(_ position: Int) -> UnsafePointer<Float> {
        values + (position - positions.lowerBound) * width
    }
}

/// Looks at a pass while it runs, keeps its own sums and forgets the rest.
///
/// A document's positions come in blocks of at most `Session.blockLength`, each block through all
/// steps before the next. Calls come from one thread, in order.
public protocol Tap: AnyObject {
    /// Asked before a site is handed over; sites nobody wants cost nothing.
    func wants(_ site: Site) -> Bool
    func observe(_ activation: Activation) throws(ModelError)
}
