// Stored weights to f32, in plain C: the definition that a faster twin is compared with.
//
// The block layouts are ggml's. What they decode to is fixed to the last bit, so the order of the
// roundings is part of the definition: a product of scales is rounded to f32 before it meets the
// quantised value, and a product is rounded before an offset is added to it. Contraction to fused
// multiply-add would skip the second rounding, hence the pragma.
#include "etd_decode.h"

#include <string.h>

#pragma STDC FP_CONTRACT OFF

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
    Q2_K = 20,
    Q3_K = 21,
    Q4_K = 22,
    Q5_K = 23,
    Q6_K = 24,
};

// Elements of one block: of the simple types, and of the K types.
enum { SMALL = 32, SUPER = 256 };

// Reads at any alignment; compilers turn these into plain loads.
static inline uint16_t load16(const uint8_t *p) {
    uint16_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static inline uint32_t load32(const uint8_t *p) {
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static inline float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// IEEE half to f32, exact for every pattern, without branches so that loops over it vectorise.
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

static inline float load_half(const uint8_t *p) { return half_to_float(load16(p)); }

static void decode_f16(const uint8_t *in, float *out, size_t count) {
    for (size_t i = 0; i < count; i++) { out[i] = half_to_float(load16(in + 2 * i)); }
}

static void decode_bf16(const uint8_t *in, float *out, size_t count) {
    for (size_t i = 0; i < count; i++) {
        out[i] = float_of_bits((uint32_t)load16(in + 2 * i) << 16);
    }
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
        const uint8_t *q = in + 2;
        for (int i = 0; i < 16; i++) {
            out[i] = d * (float)((q[i] & 15) - 8);
            out[i + 16] = d * (float)((q[i] >> 4) - 8);
        }
    }
}

// d, m (halves), nibbles as above. Value: d·q + m.
static void decode_q4_1(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 20, out += SMALL) {
        const float d = load_half(in), m = load_half(in + 2);
        const uint8_t *q = in + 4;
        for (int i = 0; i < 16; i++) {
            out[i] = d * (float)(q[i] & 15) + m;
            out[i + 16] = d * (float)(q[i] >> 4) + m;
        }
    }
}

// d (half), a 32-bit word whose bit i is the fifth bit of element i, nibbles. Value: d·(q - 16).
static void decode_q5_0(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 22, out += SMALL) {
        const float d = load_half(in);
        const uint32_t high = load32(in + 2);
        const uint8_t *q = in + 6;
        for (int i = 0; i < 16; i++) {
            const int low_half = (q[i] & 15) | (int)(high >> i & 1) << 4;
            const int high_half = (q[i] >> 4) | (int)(high >> (i + 16) & 1) << 4;
            out[i] = d * (float)(low_half - 16);
            out[i + 16] = d * (float)(high_half - 16);
        }
    }
}

// d, m (halves), fifth bits, nibbles. Value: d·q + m.
static void decode_q5_1(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 24, out += SMALL) {
        const float d = load_half(in), m = load_half(in + 2);
        const uint32_t high = load32(in + 4);
        const uint8_t *q = in + 8;
        for (int i = 0; i < 16; i++) {
            const int low_half = (q[i] & 15) | (int)(high >> i & 1) << 4;
            const int high_half = (q[i] >> 4) | (int)(high >> (i + 16) & 1) << 4;
            out[i] = d * (float)low_half + m;
            out[i + 16] = d * (float)high_half + m;
        }
    }
}

// d (half), 32 signed bytes. Value: d·q.
static void decode_q8_0(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 34, out += SMALL) {
        const float d = load_half(in);
        const uint8_t *q = in + 2;
        for (int i = 0; i < SMALL; i++) { out[i] = d * (float)(int8_t)q[i]; }
    }
}

// 16 bytes of 4-bit (scale, minimum) pairs, one for 16 elements; 64 bytes of 2-bit values; d, dmin
// (halves). Each 32 bytes of values hold 128 elements, 32 at each bit position.
// Value: (d·scale)·q - (dmin·minimum).
static void decode_q2_K(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 84, out += SUPER) {
        const float d = load_half(in + 80), dmin = load_half(in + 82);
        for (int group = 0; group < 16; group++) {
            const uint8_t *q = in + 16 + group / 8 * 32 + group % 2 * 16;
            const int shift = group % 8 / 2 * 2;
            const float scale = d * (float)(in[group] & 15);
            const float minimum = dmin * (float)(in[group] >> 4);
            float *to = out + 16 * group;
            for (int i = 0; i < 16; i++) {
                to[i] = scale * (float)(q[i] >> shift & 3) - minimum;
            }
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
        for (int group = 0; group < 16; group++) {
            const uint8_t *high = in + group % 2 * 16;
            const uint8_t *q = in + 32 + group / 8 * 32 + group % 2 * 16;
            const int shift = group % 8 / 2 * 2;
            const int low_scale = scales[group % 8] >> (group / 8 * 4) & 15;
            const int high_scale = scales[8 + group % 4] >> (group / 4 * 2) & 3;
            const float scale = d * (float)((low_scale | high_scale << 4) - 32);
            float *to = out + 16 * group;
            for (int i = 0; i < 16; i++) {
                const int third = (high[i] >> (group / 2) & 1) << 2;
                to[i] = scale * (float)((q[i] >> shift & 3) + third - 4);
            }
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
        for (int group = 0; group < 8; group++) {
            int scale_bits, minimum_bits;
            scale_and_minimum(in + 4, group, &scale_bits, &minimum_bits);
            const float scale = d * (float)scale_bits, minimum = dmin * (float)minimum_bits;
            const uint8_t *q = in + 16 + group / 2 * 32;
            const int shift = group % 2 * 4;
            float *to = out + 32 * group;
            for (int i = 0; i < 32; i++) {
                to[i] = scale * (float)(q[i] >> shift & 15) - minimum;
            }
        }
    }
}

// As Q4_K, with 32 bytes of fifth bits before the nibbles, bit g for the g-th group.
static void decode_q5_K(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 176, out += SUPER) {
        const float d = load_half(in), dmin = load_half(in + 2);
        const uint8_t *high = in + 16;
        for (int group = 0; group < 8; group++) {
            int scale_bits, minimum_bits;
            scale_and_minimum(in + 4, group, &scale_bits, &minimum_bits);
            const float scale = d * (float)scale_bits, minimum = dmin * (float)minimum_bits;
            const uint8_t *q = in + 48 + group / 2 * 32;
            const int shift = group % 2 * 4;
            float *to = out + 32 * group;
            for (int i = 0; i < 32; i++) {
                const int value = (q[i] >> shift & 15) | (high[i] >> group & 1) << 4;
                to[i] = scale * (float)value - minimum;
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
        for (int group = 0; group < 16; group++) {
            const int half = group / 8, quarter = group % 8 / 2, offset = group % 2 * 16;
            const uint8_t *low = in + half * 64 + quarter % 2 * 32 + offset;
            const uint8_t *high = in + 128 + half * 32 + offset;
            const int low_shift = quarter / 2 * 4, high_shift = quarter * 2;
            const float scale = d * (float)(int8_t)scales[group];
            float *to = out + 16 * group;
            for (int i = 0; i < 16; i++) {
                const int value = (low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4;
                to[i] = scale * (float)(value - 32);
            }
        }
    }
}

int etd_decode(int32_t type, const void *source, float *out, size_t count) {
    const uint8_t *in = source;
    const size_t block = type < Q4_0 ? 1 : type < Q2_K ? SMALL : SUPER;
    if (count % block != 0) { return -1; }
    const size_t blocks = count / block;
    switch (type) {
    case F32:
        if (count > 0) { memcpy(out, in, count * sizeof(float)); }
        return 0;
    case F16: decode_f16(in, out, count); return 0;
    case BF16: decode_bf16(in, out, count); return 0;
    case F64: decode_f64(in, out, count); return 0;
    case Q4_0: decode_q4_0(in, out, blocks); return 0;
    case Q4_1: decode_q4_1(in, out, blocks); return 0;
    case Q5_0: decode_q5_0(in, out, blocks); return 0;
    case Q5_1: decode_q5_1(in, out, blocks); return 0;
    case Q8_0: decode_q8_0(in, out, blocks); return 0;
    case Q2_K: decode_q2_K(in, out, blocks); return 0;
    case Q3_K: decode_q3_K(in, out, blocks); return 0;
    case Q4_K: decode_q4_K(in, out, blocks); return 0;
    case Q5_K: decode_q5_K(in, out, blocks); return 0;
    case Q6_K: decode_q6_K(in, out, blocks); return 0;
    default: return -1;
    }
}
