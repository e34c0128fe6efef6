import COneDNN

/// The arithmetic of matrix products with a weight. Sums and the residual stream are f32 in all of them.
public enum Arithmetic: String, Sendable, CaseIterable {
    /// Both sides in f32.
    case f32
    /// Both sides rounded to bfloat16, products by oneDNN. Only where `isAvailable`.
    case bf16
    /// Both sides rounded to bfloat16 as for `bf16`, and multiplied in f32: the plain twin of `bf16`, for
    /// any CPU, at the cost of f32.
    case bf16Rounded

    /// Whether this build and this CPU can do it.
    public var isAvailable: Bool { self != .bf16 || etd_onednn_multiplies_bf16() == 1 }

    /// Bytes of one stored value of either side.
    var bytes: Int { self == .bf16 ? 2 : 4 }

    /// The version of oneDNN in this build, nil without it.
    public static var oneDNNVersion: String? { etd_onednn_version().map { String(cString: $0) } }
}
