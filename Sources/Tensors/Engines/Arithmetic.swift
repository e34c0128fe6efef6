import CKernels
import COneDNN

/// The arithmetic of matrix products with a weight, and of attention; a model has one. Sums and the
/// residual stream are f32 in all of them. Each case says what its bytes depend on, at one level of the
/// kernels (`ETD_CPU`); none depends on the number of threads.
public enum Arithmetic: String, Sendable, CaseIterable {
    /// Both sides in f32. A value is one chain of multiply-adds over the depth, from index 0 up, fused but
    /// at the scalar level: the same bytes for any number of rows, alone or in a batch, and any tiling;
    /// and the same at AVX2 and AVX-512.
    case f32
    /// Both sides rounded to bfloat16, multiplied as such. Only where `isAvailable`. On the project's own
    /// tile a value is one chain over pairs of the depth: the same bytes for any number of rows and any
    /// tiling. oneDNN may choose another order for another number of rows: there the same bytes for the
    /// same rows, alone or in a batch not.
    case bf16
    /// Both sides rounded to bfloat16 as for `bf16`, and multiplied in f32: the plain twin of `bf16`, for
    /// any CPU, at the cost of f32. The bytes depend on what those of `f32` do.
    case bf16Rounded

    /// Whether this build and this CPU can do it.
    public var isAvailable: Bool { self != .bf16 || BF16Engine.current != nil }

    /// What two activations are multiplied in where weights are multiplied in this: the same, but f32
    /// where oneDNN multiplies, which was not measured on products as small as attention's.
    public var ofActivations: Arithmetic {
        self == .bf16 && BF16Engine.current == .oneDNN ? .f32 : self
    }

    /// What multiplies in this, at the level of the calling thread's kernels.
    /// - Precondition: `isAvailable`.
    var engine: any ProductEngine {
        switch self {
        case .f32: return F32Engine()
        case .bf16Rounded: return RoundedEngine()
        case .bf16:
            guard let engine = BF16Engine.current else {
                preconditionFailure("bf16 is not available in this build or on this CPU")
            }
            switch engine {
            case .tile: return BF16TileEngine()
            case .oneDNN: return OneDNNEngine()
            }
        }
    }

    /// The version of oneDNN in this build, nil without it.
    public static var oneDNNVersion: String? { etd_onednn_version().map { String(cString: $0) } }
}

/// What multiplies bf16. Which it is follows from the CPU, the level of its kernels (`ETD_CPU`) and the
/// build; the two lay out their sides differently.
public enum BF16Engine: String, Sendable {
    /// The project's own tile, for AVX512-BF16: 8 to 22 % faster than oneDNN there.
    case tile
    /// oneDNN: for AMX, and for AVX512-BF16 where the level of the kernels is held below AVX-512.
    case oneDNN

    /// Asked once: CPUID leaves a virtual machine.
    private static let multiplier = UInt32(etd_onednn_multiplies_bf16())

    public static var current: BF16Engine? {
        if multiplier == ETD_ONEDNN_AMX.rawValue { return .oneDNN }
        if etd_multiplies_bf16() == 1 { return .tile }
        return multiplier == ETD_ONEDNN_NONE.rawValue ? nil : .oneDNN
    }
}
