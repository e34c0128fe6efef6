// Stored weights to f32: plain types, and the block types whose values are scaled integers. Included by
// kernels_body.h, once for each instruction set.
//
// The block layouts are ggml's. What they decode to is fixed to the last bit, so the order of the
// roundings is part of the definition: a product of scales is rounded to f32 before it meets the
// quantised value, and a product is rounded before an offset is added to it. Contraction to fused
// multiply-add would skip the second rounding, hence FP_CONTRACT OFF there.

typedef uint8_t v16b __attribute__((vector_size(16)));
typedef int8_t v16c __attribute__((vector_size(16)));
typedef uint16_t v16h __attribute__((vector_size(32)));
typedef uint32_t v16u __attribute__((vector_size(64)));

// The raw values of ElementType in Sources/Tensors/ElementType.swift.
enum {
    F32 = 0,
    F16 = 1,
    BF16 = 2,
    F64 = 3,
    Q4_0 = 10,
    Q4_1 = 11,
    Q5_0 = 12,
    Q5_1 = 13,
    Q8_0 = 14,
    IQ4_NL = 15,
    MXFP4 = 16,
    Q2_K = 20,
    Q3_K = 21,
    Q4_K = 22,
    Q5_K = 23,
    Q6_K = 24,
    IQ4_XS = 25,
    IQ2_XXS = 26,
    IQ2_XS = 27,
    IQ2_S = 28,
    IQ3_XXS = 29,
    IQ3_S = 30,
    IQ1_S = 31,
    IQ1_M = 32,
};

// Elements of one block: of the types below Q2_K, and from there on.
enum { SMALL = 32, SUPER = 256 };

// Of loops whose shifts are constants once they are unrolled: no instruction set has shifts of bytes by a
// variable.
#define ETD_UNROLL _Pragma("clang loop unroll(full)")

// Reads at any alignment; compilers turn these into plain loads.
static inline uint16_t word16(const uint8_t *p) {
    uint16_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static inline uint32_t word32(const uint8_t *p) {
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static inline v16b bytes16(const uint8_t *p) {
    v16b value;
    memcpy(&value, p, sizeof value);
    return value;
}

static inline float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline v16f floats_of(v16b q) { return __builtin_convertvector(q, v16f); }
static inline v16f floats_of_signed(v16b q) {
    return __builtin_convertvector(__builtin_convertvector((v16c)q, v16i), v16f);
}

// IEEE half to f32, exact for every pattern, a NaN's payload kept.
static inline float half_to_float(uint16_t half) {
    const uint32_t exponent_mask = 0x7C00u << 13;
    uint32_t bits = (uint32_t)(half & 0x7FFFu) << 13;
    const uint32_t exponent = bits & exponent_mask;
    bits += (127u - 15u) << 23;
    // Inf and NaN: f32's largest exponent instead of half's.
    bits += exponent == exponent_mask ? (128u - 16u) << 23 : 0;
    // A subnormal has no hidden bit: one is lent, and taken back by an exact subtraction.
    const float subnormal = float_of_bits(bits + (1u << 23)) - float_of_bits(113u << 23);
    uint32_t subnormal_bits;
    memcpy(&subnormal_bits, &subnormal, sizeof subnormal_bits);
    bits = exponent == 0 ? subnormal_bits : bits;
    return float_of_bits(bits | (uint32_t)(half & 0x8000u) << 16);
}

static inline float load_half(const uint8_t *p) { return half_to_float(word16(p)); }

// As half_to_float, 16 at a time.
static inline v16f halves_to_floats(v16h halves) {
    const v16u half = __builtin_convertvector(halves, v16u);
    const v16u exponent_mask = (v16u){} + (0x7C00u << 13);
    v16u bits = (half & 0x7FFFu) << 13;
    const v16u exponent = bits & exponent_mask;
    bits += (127u - 15u) << 23;
    bits += (v16u)(exponent == exponent_mask) & ((128u - 16u) << 23);
    const v16f subnormal = (v16f)(bits + (1u << 23)) - float_of_bits(113u << 23);
    const v16u is_subnormal = (v16u)(exponent == 0u);
    bits = ((v16u)subnormal & is_subnormal) | (bits & ~is_subnormal);
    return (v16f)(bits | (half & 0x8000u) << 16);
}

static void decode_f16(const uint8_t *in, float *out, size_t count) {
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        v16h halves;
        memcpy(&halves, in + 2 * i, sizeof halves);
        store16(out + i, halves_to_floats(halves));
    }
    for (; i < count; i++) out[i] = load_half(in + 2 * i);
}

static void decode_bf16(const uint8_t *in, float *out, size_t count) {
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        v16h words;
        memcpy(&words, in + 2 * i, sizeof words);
        store16(out + i, (v16f)(__builtin_convertvector(words, v16u) << 16));
    }
    for (; i < count; i++) out[i] = float_of_bits((uint32_t)word16(in + 2 * i) << 16);
}

static void decode_f64(const uint8_t *in, float *out, size_t count) {
    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, in + 8 * i, sizeof value);
        out[i] = (float)value;
    }
}

// d (half), 16 bytes of nibbles: elements 0-15 low, 16-31 high. Value: d·(q - 8).
static void decode_q4_0(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 18, out += SMALL) {
        const float d = load_half(in);
        const v16b q = bytes16(in + 2);
        store16(out, d * floats_of_signed((q & 15) - 8));
        store16(out + 16, d * floats_of_signed((q >> 4) - 8));
    }
}

// d, m (halves), nibbles as above. Value: d·q + m.
static void decode_q4_1(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 20, out += SMALL) {
        const float d = load_half(in), m = load_half(in + 2);
        const v16b q = bytes16(in + 4);
        store16(out, d * floats_of(q & 15) + m);
        store16(out + 16, d * floats_of(q >> 4) + m);
    }
}

// 16 where the lane's bit of the low 16 bits is set, else 0.
static inline v16b fifth_bits(uint32_t word) {
    const v16b place = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8_t a = (uint8_t)word, b = (uint8_t)(word >> 8);
    const v16b bits = {a, a, a, a, a, a, a, a, b, b, b, b, b, b, b, b};
    return (v16b)((bits & place) != 0) & 16;
}

// d (half), a 32-bit word whose bit i is the fifth bit of element i, nibbles. Value: d·(q - 16).
static void decode_q5_0(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 22, out += SMALL) {
        const float d = load_half(in);
        const uint32_t high = word32(in + 2);
        const v16b q = bytes16(in + 6);
        store16(out, d * floats_of_signed(((q & 15) | fifth_bits(high)) - 16));
        store16(out + 16, d * floats_of_signed(((q >> 4) | fifth_bits(high >> 16)) - 16));
    }
}

// d, m (halves), fifth bits, nibbles. Value: d·q + m.
static void decode_q5_1(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 24, out += SMALL) {
        const float d = load_half(in), m = load_half(in + 2);
        const uint32_t high = word32(in + 4);
        const v16b q = bytes16(in + 8);
        store16(out, d * floats_of((q & 15) | fifth_bits(high)) + m);
        store16(out + 16, d * floats_of((q >> 4) | fifth_bits(high >> 16)) + m);
    }
}

// d (half), 32 signed bytes. Value: d·q.
static void decode_q8_0(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 34, out += SMALL) {
        const float d = load_half(in);
        store16(out, d * floats_of_signed(bytes16(in + 2)));
        store16(out + 16, d * floats_of_signed(bytes16(in + 18)));
    }
}

// 16 bytes of 4-bit (scale, minimum) pairs, one for 16 elements; 64 bytes of 2-bit values; d, dmin
// (halves). Each 32 bytes of values hold 128 elements, 32 at each bit position.
// Value: (d·scale)·q - (dmin·minimum).
static void decode_q2_K(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 84, out += SUPER) {
        const float d = load_half(in + 80), dmin = load_half(in + 82);
        ETD_UNROLL
        for (int group = 0; group < 16; group++) {
            const v16b q = bytes16(in + 16 + group / 8 * 32 + group % 2 * 16);
            const uint8_t shift = (uint8_t)(group % 8 / 2 * 2);
            const float scale = d * (float)(in[group] & 15);
            const float minimum = dmin * (float)(in[group] >> 4);
            store16(out + 16 * group, scale * floats_of((q >> shift) & 3) - minimum);
        }
    }
}

// 32 bytes of third bits, bit g for the g-th 32 elements; 64 bytes of 2-bit values laid out as in
// Q2_K; 12 bytes with 16 6-bit scales, one for 16 elements, the low nibbles in bytes 0-7 and the high
// bit pairs in bytes 8-11; d (half). A third bit that is *clear* subtracts 4.
// Value: (d·(scale - 32))·q.
static void decode_q3_K(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 110, out += SUPER) {
        const uint8_t *scales = in + 96;
        const float d = load_half(in + 108);
        ETD_UNROLL
        for (int group = 0; group < 16; group++) {
            const v16b high = bytes16(in + group % 2 * 16);
            const v16b q = bytes16(in + 32 + group / 8 * 32 + group % 2 * 16);
            const uint8_t shift = (uint8_t)(group % 8 / 2 * 2), bit = (uint8_t)(group / 2);
            const int low_scale = scales[group % 8] >> (group / 8 * 4) & 15;
            const int high_scale = scales[8 + group % 4] >> (group / 4 * 2) & 3;
            const float scale = d * (float)((low_scale | high_scale << 4) - 32);
            const v16b value = ((q >> shift) & 3) + (((high >> bit) & 1) << 2) - 4;
            store16(out + 16 * group, scale * floats_of_signed(value));
        }
    }
}

// The 6-bit scale and minimum of the g-th of eight groups in the 12 bytes that Q4_K and Q5_K share:
// groups 0-3 in the low six bits of bytes g and g + 4; groups 4-7 with their low nibbles in byte
// g + 4 and their high bit pairs on top of bytes g - 4 and g.
static inline void scale_and_minimum(const uint8_t *packed, int g, int *scale, int *minimum) {
    if (g < 4) {
        *scale = packed[g] & 63;
        *minimum = packed[g + 4] & 63;
    } else {
        *scale = (packed[g + 4] & 15) | packed[g - 4] >> 6 << 4;
        *minimum = packed[g + 4] >> 4 | packed[g] >> 6 << 4;
    }
}

// d, dmin (halves), 12 bytes of scales and minimums, 128 bytes of nibbles: each 32 bytes hold 32
// elements low, then 32 high. Value: (d·scale)·q - (dmin·minimum).
static void decode_q4_K(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 144, out += SUPER) {
        const float d = load_half(in), dmin = load_half(in + 2);
        for (int pair = 0; pair < 4; pair++) {
            const v16b first = bytes16(in + 16 + 32 * pair), second = bytes16(in + 32 + 32 * pair);
            float *to = out + 64 * pair;
            int scale_bits, minimum_bits;
            scale_and_minimum(in + 4, 2 * pair, &scale_bits, &minimum_bits);
            float scale = d * (float)scale_bits, minimum = dmin * (float)minimum_bits;
            store16(to, scale * floats_of(first & 15) - minimum);
            store16(to + 16, scale * floats_of(second & 15) - minimum);
            scale_and_minimum(in + 4, 2 * pair + 1, &scale_bits, &minimum_bits);
            scale = d * (float)scale_bits, minimum = dmin * (float)minimum_bits;
            store16(to + 32, scale * floats_of(first >> 4) - minimum);
            store16(to + 48, scale * floats_of(second >> 4) - minimum);
        }
    }
}

// As Q4_K, with 32 bytes of fifth bits before the nibbles, bit g for the g-th group.
static void decode_q5_K(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 176, out += SUPER) {
        const float d = load_half(in), dmin = load_half(in + 2);
        ETD_UNROLL
        for (int group = 0; group < 8; group++) {
            int scale_bits, minimum_bits;
            scale_and_minimum(in + 4, group, &scale_bits, &minimum_bits);
            const float scale = d * (float)scale_bits, minimum = dmin * (float)minimum_bits;
            const uint8_t shift = (uint8_t)(group % 2 * 4), bit = (uint8_t)group;
            for (int half = 0; half < 32; half += 16) {
                const v16b q = bytes16(in + 48 + group / 2 * 32 + half);
                const v16b high = bytes16(in + 16 + half);
                const v16b value = ((q >> shift) & 15) | (((high >> bit) & 1) << 4);
                store16(out + 32 * group + half, scale * floats_of(value) - minimum);
            }
        }
    }
}

// 128 bytes of low nibbles (each 64 bytes: 64 elements low, then 64 high), 64 bytes of high bit pairs
// (each 32 bytes: 32 elements at each bit position), 16 signed scales, one for 16 elements, d (half).
// Value: (d·scale)·(q - 32).
static void decode_q6_K(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 210, out += SUPER) {
        const uint8_t *scales = in + 192;
        const float d = load_half(in + 208);
        ETD_UNROLL
        for (int group = 0; group < 16; group++) {
            const int half = group / 8, quarter = group % 8 / 2, offset = group % 2 * 16;
            const v16b low = bytes16(in + half * 64 + quarter % 2 * 32 + offset);
            const v16b high = bytes16(in + 128 + half * 32 + offset);
            const uint8_t low_shift = (uint8_t)(quarter / 2 * 4);
            const uint8_t high_shift = (uint8_t)(quarter * 2);
            const float scale = d * (float)(int8_t)scales[group];
            const v16b value = (((low >> low_shift) & 15) | (((high >> high_shift) & 3) << 4)) - 32;
            store16(out + 16 * group, scale * floats_of_signed(value));
        }
    }
}
