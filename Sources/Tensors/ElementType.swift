// swift-format-ignore: AlwaysUseLowerCamelCase
/// How the elements of a stored weight are encoded.
///
/// The raw value is the code that the C converters in `CKernels` (`etd_decode`) take.
///
/// The cases are spelt as GGUF tools spell the types, underscore included.
public enum ElementType: Int32, Sendable, CaseIterable {
    case f32 = 0
    case f16 = 1
    case bf16 = 2
    case f64 = 3
    case q4_0 = 10
    case q4_1 = 11
    case q5_0 = 12
    case q5_1 = 13
    case q8_0 = 14
    case iq4_nl = 15
    case mxfp4 = 16
    case q2_K = 20
    case q3_K = 21
    case q4_K = 22
    case q5_K = 23
    case q6_K = 24
    case iq4_xs = 25
    case iq2_xxs = 26
    case iq2_xs = 27
    case iq2_s = 28
    case iq3_xxs = 29
    case iq3_s = 30
    case iq1_s = 31
    case iq1_m = 32

    /// Elements that share one block; 1 for plain types.
    public var blockLength: Int {
        switch self {
        case .f32, .f16, .bf16, .f64: 1
        case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .iq4_nl, .mxfp4: 32
        case .q2_K, .q3_K, .q4_K, .q5_K, .q6_K: 256
        case .iq4_xs, .iq2_xxs, .iq2_xs, .iq2_s, .iq3_xxs, .iq3_s, .iq1_s, .iq1_m: 256
        }
    }

    /// Bytes of one block.
    public var blockBytes: Int {
        switch self {
        case .f32: 4
        case .f16, .bf16: 2
        case .f64: 8
        case .q4_0: 18
        case .q4_1: 20
        case .q5_0: 22
        case .q5_1: 24
        case .q8_0: 34
        case .q2_K: 84
        case .q3_K: 110
        case .q4_K: 144
        case .q5_K: 176
        case .q6_K: 210
        case .iq4_nl: 18
        case .mxfp4: 17
        case .iq4_xs: 136
        case .iq2_xxs: 66
        case .iq2_xs: 74
        case .iq2_s: 82
        case .iq3_xxs: 98
        case .iq3_s: 110
        case .iq1_s: 50
        case .iq1_m: 56
        }
    }

    /// Bytes of a row of `count` elements, a whole number of blocks.
    public func bytes(count: Int) -> Int { count / blockLength * blockBytes }
}

extension ElementType: CustomStringConvertible {
    /// The name that safetensors headers and GGUF tools write, such as `BF16` or `Q4_K`.
    public var description: String {
        switch self {
        case .f32: "F32"
        case .f16: "F16"
        case .bf16: "BF16"
        case .f64: "F64"
        case .q4_0: "Q4_0"
        case .q4_1: "Q4_1"
        case .q5_0: "Q5_0"
        case .q5_1: "Q5_1"
        case .q8_0: "Q8_0"
        case .q2_K: "Q2_K"
        case .q3_K: "Q3_K"
        case .q4_K: "Q4_K"
        case .q5_K: "Q5_K"
        case .q6_K: "Q6_K"
        case .iq4_nl: "IQ4_NL"
        case .mxfp4: "MXFP4"
        case .iq4_xs: "IQ4_XS"
        case .iq2_xxs: "IQ2_XXS"
        case .iq2_xs: "IQ2_XS"
        case .iq2_s: "IQ2_S"
        case .iq3_xxs: "IQ3_XXS"
        case .iq3_s: "IQ3_S"
        case .iq1_s: "IQ1_S"
        case .iq1_m: "IQ1_M"
        }
    }
}
