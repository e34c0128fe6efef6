// Stored weights to f32: the block types whose values are looked up. Included by kernels_body.h after
// decode_blocks.h, whose rules hold here too.
//
// The IQ1, IQ2 and IQ3 types store indices into grids: lists of the groups of 8 (IQ3: 4) magnitudes that
// a group of weights may take, one 16-bit word for each group (decode_grid_tables.c). Signs stand beside
// them, one bit for an element; where seven bits are stored for eight signs, their number is even.

typedef int32_t v8i __attribute__((vector_size(32)));
typedef char v16char __attribute__((vector_size(16)));

static const int8_t nonlinear_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                            1,    13,   25,  38,  53,  69,  89,  113};

// Twice the values of E2M1: a sign, two bits of exponent, one of mantissa.
static const int8_t e2m1_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// values[q[i]] for indices below 16, to f32.
static inline v16f lookup16(const int8_t *values, v16b q) {
#ifdef ETD_SHUFFLE_BYTES
    v16c table;
    memcpy(&table, values, sizeof table);
    return floats_of_signed((v16b)__builtin_ia32_pshufb128((v16char)table, (v16char)q));
#else
    v16f out;
    for (int i = 0; i < 16; i++) out[i] = (float)values[q[i]];
    return out;
#endif
}

static inline void looked_up(const int8_t *values, float scale, const uint8_t *in, float *out) {
    const v16b q = bytes16(in);
    store16(out, scale * lookup16(values, q & 15));
    store16(out + 16, scale * lookup16(values, q >> 4));
}

// d (half), 16 bytes of nibbles: elements 0-15 low, 16-31 high. Value: d·table[q].
static void decode_iq4_nl(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 18, out += SMALL)
        looked_up(nonlinear_values, load_half(in), in + 2, out);
}

// An exponent byte e for the scale 2^(e - 128), nibbles as above. Value: scale·table[q].
static void decode_mxfp4(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 17, out += SMALL) {
        const uint32_t e = in[0];
        // The two smallest are subnormal.
        const float scale = float_of_bits(e < 2 ? 0x00200000u << e : (e - 1) << 23);
        looked_up(e2m1_values, scale, in + 1, out);
    }
}

// d (half), 16 bits with the high bit pairs of eight 6-bit scales, 4 bytes with their low nibbles, 128
// bytes of nibbles, 16 for each 32 elements as above. Value: (d·(scale - 32))·table[q].
static void decode_iq4_xs(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 136, out += SUPER) {
        const float d = load_half(in);
        const int high = word16(in + 2);
        for (int group = 0; group < 8; group++) {
            const int low_scale = in[4 + group / 2] >> (group % 2 * 4) & 15;
            const int scale = (low_scale | (high >> (2 * group) & 3) << 4) - 32;
            looked_up(nonlinear_values, d * (float)scale, in + 8 + 16 * group, out + 32 * group);
        }
    }
}

// Eight sign bits of which the last makes their number even.
static inline uint32_t even_signs(uint32_t seven) {
    return seven | (uint32_t)__builtin_parity(seven) << 7;
}

static const v8i sign_places = {1, 2, 4, 8, 16, 32, 64, 128};

// The sign bits of eight floats, set where `signs` has a bit.
static inline v8i sign_bits(uint32_t signs) {
    return ((((v8i){} + (int32_t)signs) & sign_places) != 0) & INT32_MIN;
}

static inline void store8(float *out, v8f values, uint32_t signs) {
    const v8i bits = (v8i)values ^ sign_bits(signs);
    memcpy(out, &bits, sizeof bits);
}

// The i-th of eight two-bit numbers.
static inline v8i pairs_of_bits(uint16_t word) {
    const v8i shifts = {0, 2, 4, 6, 8, 10, 12, 14};
    return ((v8i){} + (int32_t)word) >> shifts & 3;
}

// Magnitudes 8, 25 and 43 for the numbers 0 to 2.
static inline v8f magnitudes2(uint16_t word) {
    const v8i q = pairs_of_bits(word);
    return __builtin_convertvector(8 + 17 * q + (q >> 1), v8f);
}

// The i-th of four three-bit numbers, of two words.
static inline v8i triples_of_bits(uint16_t first, uint16_t second) {
    const v8i words = {first, first, first, first, second, second, second, second};
    const v8i shifts = {0, 3, 6, 9, 0, 3, 6, 9};
    return words >> shifts & 7;
}

// d (half); for each 32 elements four bytes of grid indices and a word: four times seven signs, and a
// 4-bit scale on top. Value: ((d·(0.5 + scale))·0.25)·grid.
static void decode_iq2_xxs(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 66, out += SUPER) {
        const float d = load_half(in);
        for (int group = 0; group < 8; group++) {
            const uint8_t *q = in + 2 + 8 * group;
            const uint32_t word = word32(q + 4);
            const float scale = d * (0.5f + (float)(word >> 28)) * 0.25f;
            for (int i = 0; i < 4; i++)
                store8(out + 32 * group + 8 * i, scale * magnitudes2(etd_grid_iq2_xxs[q[i]]),
                       even_signs(word >> (7 * i) & 127));
        }
    }
}

// d (half), 32 words of nine bits of grid index and seven signs, 16 4-bit scales, one for 16 elements.
// Value as above.
static void decode_iq2_xs(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 74, out += SUPER) {
        const float d = load_half(in);
        for (int group = 0; group < 16; group++) {
            const int bits = in[66 + group / 2] >> (group % 2 * 4) & 15;
            const float scale = d * (0.5f + (float)bits) * 0.25f;
            for (int i = 2 * group; i < 2 * group + 2; i++) {
                const uint32_t word = word16(in + 2 + 2 * i);
                store8(out + 8 * i, scale * magnitudes2(etd_grid_iq2_xs[word & 511]),
                       even_signs(word >> 9));
            }
        }
    }
}

// d (half), 32 bytes with the low eight bits of grid indices, 32 bytes of signs, 8 bytes with the two
// high bits of four indices each, 16 4-bit scales, one for 16 elements. Value as above.
static void decode_iq2_s(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 82, out += SUPER) {
        const float d = load_half(in);
        for (int group = 0; group < 16; group++) {
            const int bits = in[74 + group / 2] >> (group % 2 * 4) & 15;
            const float scale = d * (0.5f + (float)bits) * 0.25f;
            for (int i = 2 * group; i < 2 * group + 2; i++) {
                const int index = in[2 + i] | (in[66 + i / 4] >> (i % 4 * 2) & 3) << 8;
                store8(out + 8 * i, scale * magnitudes2(etd_grid_iq2_s[index]), in[34 + i]);
            }
        }
    }
}

// d (half), 64 bytes of grid indices, for each 32 elements a word: four times seven signs, and a 4-bit
// scale on top. Value: ((d·(0.5 + scale))·0.5)·grid.
static void decode_iq3_xxs(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 98, out += SUPER) {
        const float d = load_half(in);
        for (int group = 0; group < 8; group++) {
            const uint8_t *q = in + 2 + 8 * group;
            const uint32_t word = word32(in + 66 + 4 * group);
            const float scale = d * (0.5f + (float)(word >> 28)) * 0.5f;
            for (int i = 0; i < 4; i++) {
                const v8i value =
                    triples_of_bits(etd_grid_iq3_xxs[q[2 * i]], etd_grid_iq3_xxs[q[2 * i + 1]]);
                // Magnitudes 4, 12, … 52 and 62.
                const v8i magnitude = 4 + 8 * value + ((value == 7) & 2);
                store8(out + 32 * group + 8 * i, scale * __builtin_convertvector(magnitude, v8f),
                       even_signs(word >> (7 * i) & 127));
            }
        }
    }
}

// d (half), 64 bytes with the low eight bits of grid indices, 8 bytes with the ninth bits, 32 bytes of
// signs, eight 4-bit scales, one for 32 elements. Value: (d·(1 + 2·scale))·grid.
static void decode_iq3_s(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 110, out += SUPER) {
        const float d = load_half(in);
        for (int i = 0; i < 32; i++) {
            const int bits = in[106 + i / 8] >> (i / 4 % 2 * 4) & 15;
            const float scale = d * (float)(1 + 2 * bits);
            const int high = in[66 + i / 4] >> (i % 4 * 2);
            const v8i value =
                triples_of_bits(etd_grid_iq3_s[in[2 + 2 * i] | (high & 1) << 8],
                                etd_grid_iq3_s[in[3 + 2 * i] | (high >> 1 & 1) << 8]);
            // Magnitudes 1, 3, … 15.
            store8(out + 8 * i, scale * __builtin_convertvector(1 + 2 * value, v8f), in[74 + i]);
        }
    }
}

// Grid values -1, 0 and 1 for the numbers 0 to 2, moved by an eighth.
static inline v8f moved_signs(uint16_t word, int negative) {
    const v8f value = __builtin_convertvector(pairs_of_bits(word) - 1, v8f);
    return value + (negative ? -0.125f : 0.125f);
}

// d (half), 32 bytes with the low eight bits of grid indices, for each 32 elements a word: the three
// high bits of four indices, a 3-bit scale, the sign of the move. Value: (d·(2·scale + 1))·(grid ± ⅛).
static void decode_iq1_s(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 50, out += SUPER) {
        const float d = load_half(in);
        for (int group = 0; group < 8; group++) {
            const int word = word16(in + 34 + 2 * group);
            const float scale = d * (float)(2 * (word >> 12 & 7) + 1);
            for (int i = 0; i < 4; i++) {
                const int index = in[2 + 4 * group + i] | (word >> (3 * i) & 7) << 8;
                store8(out + 32 * group + 8 * i,
                       scale * moved_signs(etd_grid_iq1_s[index], word >> 15), 0);
            }
        }
    }
}

// 32 bytes with the low eight bits of grid indices; 32 nibbles: three high bits and the sign of the
// move; four words of four 3-bit scales, one for 16 elements, whose top nibbles make d (half), the first
// word's the lowest. Value as above.
static void decode_iq1_m(const uint8_t *in, float *out, size_t blocks) {
    for (; blocks > 0; blocks--, in += 56, out += SUPER) {
        uint16_t words[4], half = 0;
        for (int i = 0; i < 4; i++) {
            words[i] = word16(in + 48 + 2 * i);
            half |= (uint16_t)(words[i] >> 12 << (4 * i));
        }
        const float d = half_to_float(half);
        for (int i = 0; i < 32; i++) {
            const int bits = words[i / 8] >> (i / 2 % 4 * 3) & 7;
            const int nibble = in[32 + i / 2] >> (i % 2 * 4) & 15;
            const float scale = d * (float)(2 * bits + 1);
            const int index = in[i] | (nibble & 7) << 8;
            store8(out + 8 * i, scale * moved_signs(etd_grid_iq1_s[index], nibble & 8), 0);
        }
    }
}

static int decode(int32_t type, const void *source, float *out, size_t count) {
    const uint8_t *in = source;
    const size_t block = type < Q4_0 ? 1 : type < Q2_K ? SMALL : SUPER;
    if (count % block != 0) return -1;
    const size_t blocks = count / block;
    switch (type) {
    case F32:
        if (count > 0) memcpy(out, in, count * sizeof(float));
        return 0;
    case F16: decode_f16(in, out, count); return 0;
    case BF16: decode_bf16(in, out, count); return 0;
    case F64: decode_f64(in, out, count); return 0;
    case Q4_0: decode_q4_0(in, out, blocks); return 0;
    case Q4_1: decode_q4_1(in, out, blocks); return 0;
    case Q5_0: decode_q5_0(in, out, blocks); return 0;
    case Q5_1: decode_q5_1(in, out, blocks); return 0;
    case Q8_0: decode_q8_0(in, out, blocks); return 0;
    case IQ4_NL: decode_iq4_nl(in, out, blocks); return 0;
    case MXFP4: decode_mxfp4(in, out, blocks); return 0;
    case Q2_K: decode_q2_K(in, out, blocks); return 0;
    case Q3_K: decode_q3_K(in, out, blocks); return 0;
    case Q4_K: decode_q4_K(in, out, blocks); return 0;
    case Q5_K: decode_q5_K(in, out, blocks); return 0;
    case Q6_K: decode_q6_K(in, out, blocks); return 0;
    case IQ4_XS: decode_iq4_xs(in, out, blocks); return 0;
    case IQ2_XXS: decode_iq2_xxs(in, out, blocks); return 0;
    case IQ2_XS: decode_iq2_xs(in, out, blocks); return 0;
    case IQ2_S: decode_iq2_s(in, out, blocks); return 0;
    case IQ3_XXS: decode_iq3_xxs(in, out, blocks); return 0;
    case IQ3_S: decode_iq3_s(in, out, blocks); return 0;
    case IQ1_S: decode_iq1_s(in, out, blocks); return 0;
    case IQ1_M: decode_iq1_m(in, out, blocks); return 0;
    default: return -1;
    }
}
