// Products of few rows straight from quantised blocks. Part of kernels_body.h, after dot_body.h's squares.
//
// A vector holds one place of the depth for VL stored rows. Four packed bytes of each of these rows at a
// time are turned, so that one word of a vector is one row's; what unpacks a block then unpacks VL of them.
// The unpacked bytes of a part of the depth stay in the first-level cache, one byte a value, and serve all
// rows of x.
//
// A value is scale·code + offset with a code of 0 to 255. For the layouts without a minimum the offset is
// -scale·zero: scale·code, the offset and their sum are multiples of one power of two with at most 24 bits,
// so nothing is rounded and the value is decode_blocks.h's. For those with a minimum scale·code is exact
// and the sum rounds once, as there. (A scale that is infinite gives NaN throughout, where decoding
// keeps infinities.)

enum { STRIP_VECTORS = ETD_DOT_STRIP / VL };

// A part of the depth of a strip of stored rows.
typedef struct {
    // [depth / 4][rows]: the bytes of a word are the codes of four places after another, lowest first.
    words_t codes[SUPER / 4][STRIP_VECTORS];
    // Of every 32 places, or of every 16.
    vector_t scales[SUPER / 16][STRIP_VECTORS];
    vector_t offsets[SUPER / 16][STRIP_VECTORS];
} unpacked_t;

// The same word of every quarter's four rows: quarter l of a[i] is row 4l + i, and lane i of out[c] word c of
// row i, of the 16 bytes at w[i] + offset.
static inline __attribute__((always_inline)) void turn_words(const uint8_t *const *w, size_t offset,
                                                             words_t out[4]) {
    typedef uint32_t quarter_t __attribute__((vector_size(16)));
    words_t a[4];
    ETD_UNROLL for (int i = 0; i < 4; i++) {
        quarter_t quarters[VL / 4];
        ETD_UNROLL for (int l = 0; l < VL / 4; l++)
            memcpy(&quarters[l], w[4 * l + i] + offset, sizeof(quarter_t));
#if VL == 4
        a[i] = quarters[0];
#else
        typedef uint32_t half_t __attribute__((vector_size(32)));
        const half_t low = DOT_SHUFFLE(quarters[0], quarters[1], 0, 1, 2, 3, 4, 5, 6, 7);
#if VL == 8
        a[i] = low;
#else
        const half_t high = DOT_SHUFFLE(quarters[2], quarters[3], 0, 1, 2, 3, 4, 5, 6, 7);
        a[i] = DOT_SHUFFLE(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#endif
#endif
    }
    const words_t b = DOT_SHUFFLE(a[0], a[1], DOT_TURN_LOW);
    const words_t c = DOT_SHUFFLE(a[0], a[1], DOT_TURN_HIGH);
    const words_t d = DOT_SHUFFLE(a[2], a[3], DOT_TURN_LOW);
    const words_t e = DOT_SHUFFLE(a[2], a[3], DOT_TURN_HIGH);
    out[0] = DOT_SHUFFLE(b, d, DOT_TURN_LOW_PAIRS);
    out[1] = DOT_SHUFFLE(b, d, DOT_TURN_HIGH_PAIRS);
    out[2] = DOT_SHUFFLE(c, e, DOT_TURN_LOW_PAIRS);
    out[3] = DOT_SHUFFLE(c, e, DOT_TURN_HIGH_PAIRS);
}

// The low 16 bits of every lane as an IEEE half.
static inline vector_t low_halves(words_t words) {
#if ETD_FUSED
    typedef _Float16 half_vector_t __attribute__((vector_size(VL * 2)));
    const halves_t halves = __builtin_convertvector(words & 0xFFFF, halves_t);
    return __builtin_convertvector((half_vector_t)halves, vector_t);
#else
    vector_t out;
    for (int i = 0; i < VL; i++) out[i] = half_to_float((uint16_t)words[i]);
    return out;
#endif
}

// Of values that fit 31 bits; below AVX-512 only signed words convert at once.
static inline vector_t vector_of(words_t words) {
    typedef int32_t signed_t __attribute__((vector_size(VL * 4)));
    return __builtin_convertvector((signed_t)words, vector_t);
}

// Bit i of the low four in byte i, worth 16: each factor's bit carries one of the four to its place, no
// two to the same.
static inline words_t spread_fifth(words_t bits) {
    return ((bits & 15) * 0x02040810u) & 0x10101010u;
}

// Codes of nonlinear_values + 128 for the indices in the low nibble of each byte.
static inline words_t looked_up_words(words_t q) {
    typedef char bytes_t __attribute__((vector_size(VL * 4)));
    bytes_t table, out;
    ETD_UNROLL for (int l = 0; l < VL / 4; l++) memcpy((char *)&table + 16 * l, nonlinear_values, 16);
#if defined(ETD_SHUFFLE_BYTES) && VL == 16
    out = __builtin_ia32_pshufb512(table, (bytes_t)q);
#elif defined(ETD_SHUFFLE_BYTES) && VL == 8
    out = __builtin_ia32_pshufb256(table, (bytes_t)q);
#else
    for (int i = 0; i < VL * 4; i++) out[i] = table[(int)((bytes_t)q)[i]];
#endif
    return (words_t)out ^ 0x80808080u;
}

// Four words of nibbles: the low ones are 16 places, the high ones the next 16, each with their fifth bits.
#define NIBBLES(q, low_fifth, high_fifth)                                       \
    ETD_UNROLL for (int c = 0; c < 4; c++) {                                    \
        codes[c][v] = (q[c] & 0x0F0F0F0Fu) | (low_fifth);                       \
        codes[4 + c][v] = ((q[c] >> 4) & 0x0F0F0F0Fu) | (high_fifth);           \
    }

// One block of 32 places of VL rows.
static inline __attribute__((always_inline)) void unpack_small(
    const int32_t type, const uint8_t *const *w, size_t at, words_t (*codes)[STRIP_VECTORS], int v,
    vector_t *scale, vector_t *offset) {
    words_t head[4], q[4];
    turn_words(w, at, head);
    *scale = low_halves(head[0]);
    switch (type) {
    case Q4_0:
        turn_words(w, at + 2, q);
        NIBBLES(q, 0, 0)
        *offset = *scale * -8.0f;
        break;
    case Q4_1:
        turn_words(w, at + 4, q);
        NIBBLES(q, 0, 0)
        *offset = low_halves(head[0] >> 16);
        break;
    case Q5_0: {
        const words_t fifth = head[0] >> 16 | head[1] << 16;
        turn_words(w, at + 6, q);
        NIBBLES(q, spread_fifth(fifth >> (4 * c)), spread_fifth(fifth >> (16 + 4 * c)))
        *offset = *scale * -16.0f;
        break;
    }
    case Q5_1:
        turn_words(w, at + 8, q);
        NIBBLES(q, spread_fifth(head[1] >> (4 * c)), spread_fifth(head[1] >> (16 + 4 * c)))
        *offset = low_halves(head[0] >> 16);
        break;
    case IQ4_NL:
        turn_words(w, at + 2, q);
        ETD_UNROLL for (int c = 0; c < 4; c++) {
            codes[c][v] = looked_up_words(q[c] & 0x0F0F0F0Fu);
            codes[4 + c][v] = looked_up_words((q[c] >> 4) & 0x0F0F0F0Fu);
        }
        *offset = *scale * -128.0f;
        break;
    default:  // Q8_0
        ETD_UNROLL for (int half = 0; half < 2; half++) {
            turn_words(w, at + 2 + 16 * (size_t)half, q);
            ETD_UNROLL for (int c = 0; c < 4; c++)
                codes[4 * half + c][v] = q[c] ^ 0x80808080u;
        }
        *offset = *scale * -128.0f;
    }
}
#undef NIBBLES

// Q4_K and Q5_K: one block of 256 places of VL rows.
static inline __attribute__((always_inline)) void unpack_minimum_super(
    const int five, const uint8_t *const *w, size_t at, unpacked_t *u, int v) {
    words_t head[4], fifth[8] = {{0}};
    turn_words(w, at, head);
    const vector_t d = low_halves(head[0]), dmin = low_halves(head[0] >> 16);
    if (five) {
        turn_words(w, at + 16, fifth);
        turn_words(w, at + 32, fifth + 4);
    }
    const size_t nibbles = at + (five ? 48 : 16);
    ETD_UNROLL for (int g = 0; g < 8; g++) {
        // As scale_and_minimum; the twelve bytes are three words.
        words_t scale, minimum;
        if (g < 4) {
            scale = head[1] >> (8 * g) & 63;
            minimum = head[2] >> (8 * g) & 63;
        } else {
            const int place = 8 * (g - 4);
            scale = (head[3] >> place & 15) | (head[1] >> (place + 6) & 3) << 4;
            minimum = (head[3] >> (place + 4) & 15) | (head[2] >> (place + 6) & 3) << 4;
        }
        u->scales[g][v] = d * vector_of(scale);
        u->offsets[g][v] = -(dmin * vector_of(minimum));
    }
    for (int pair = 0; pair < 4; pair++) {
        ETD_UNROLL for (int half = 0; half < 2; half++) {
            words_t q[4];
            turn_words(w, nibbles + 32 * (size_t)pair + 16 * (size_t)half, q);
            ETD_UNROLL for (int c = 0; c < 4; c++) {
                words_t low = q[c] & 0x0F0F0F0Fu, high = (q[c] >> 4) & 0x0F0F0F0Fu;
                if (five) {
                    const words_t bits = fifth[4 * half + c] >> (2 * pair);
                    low |= (bits & 0x01010101u) << 4;
                    high |= (bits & 0x02020202u) << 3;
                }
                u->codes[16 * pair + 4 * half + c][v] = low;
                u->codes[16 * pair + 8 + 4 * half + c][v] = high;
            }
        }
    }
}

static inline __attribute__((always_inline)) void unpack_q6_K(const uint8_t *const *w, size_t at,
                                                              unpacked_t *u, int v) {
    words_t scales[4], tail[4];
    turn_words(w, at + 192, scales);
    turn_words(w, at + 194, tail);
    const vector_t d = low_halves(tail[3] >> 16);
    typedef int32_t signed_t __attribute__((vector_size(VL * 4)));
    ETD_UNROLL for (int g = 0; g < 16; g++) {
        const signed_t bits = (signed_t)(scales[g / 4] << (24 - g % 4 * 8)) >> 24;
        u->scales[g][v] = d * vector_of((words_t)bits);
        u->offsets[g][v] = u->scales[g][v] * -32.0f;
    }
    for (int half = 0; half < 2; half++) {
        ETD_UNROLL for (int part = 0; part < 2; part++) {
            // Sixteen bytes at the same place of the pairs and of both quarters' nibbles.
            words_t high[4], first[4], second[4];
            const size_t place = 16 * (size_t)part;
            turn_words(w, at + 128 + 32 * (size_t)half + place, high);
            turn_words(w, at + 64 * (size_t)half + place, first);
            turn_words(w, at + 64 * (size_t)half + 32 + place, second);
            ETD_UNROLL for (int c = 0; c < 4; c++) {
                words_t(*codes)[STRIP_VECTORS] = u->codes + 32 * half + 4 * part + c;
                codes[0][v] = (first[c] & 0x0F0F0F0Fu) | (high[c] & 0x03030303u) << 4;
                codes[8][v] = (second[c] & 0x0F0F0F0Fu) | (high[c] & 0x0C0C0C0Cu) << 2;
                codes[16][v] = (first[c] >> 4 & 0x0F0F0F0Fu) | (high[c] & 0x30303030u);
                codes[24][v] = (second[c] >> 4 & 0x0F0F0F0Fu) | (high[c] >> 2 & 0x30303030u);
            }
        }
    }
}

// Places that share a scale, 0 for a type that is decoded to floats instead.
static size_t dot_group(int32_t type) {
    switch (type) {
    case Q4_0: case Q4_1: case Q5_0: case Q5_1: case Q8_0: case IQ4_NL: case Q4_K: case Q5_K: return 32;
    case Q6_K: return 16;
    default: return 0;
    }
}

// `length` places of a strip of stored rows, `before` bytes behind their beginnings.
static void unpack(int32_t type, const uint8_t *const *w, size_t before, size_t length,
                   unpacked_t *u) {
#define SMALL_BLOCKS(TYPE, BYTES)                                                              \
    case TYPE:                                                                                 \
        for (size_t b = 0; b < length / SMALL; b++)                                            \
            unpack_small(TYPE, rows, before + BYTES * b, u->codes + 8 * b, v, &u->scales[b][v], \
                         &u->offsets[b][v]);                                                   \
        break;
    for (int v = 0; v < STRIP_VECTORS; v++) {
        const uint8_t *const *rows = w + v * VL;
        switch (type) {
        SMALL_BLOCKS(Q4_0, 18)
        SMALL_BLOCKS(Q4_1, 20)
        SMALL_BLOCKS(Q5_0, 22)
        SMALL_BLOCKS(Q5_1, 24)
        SMALL_BLOCKS(Q8_0, 34)
        SMALL_BLOCKS(IQ4_NL, 18)
        case Q4_K: unpack_minimum_super(0, rows, before, u, v); break;
        case Q5_K: unpack_minimum_super(1, rows, before, u, v); break;
        default: unpack_q6_K(rows, before, u, v);
        }
    }
#undef SMALL_BLOCKS
}

// Byte `k` of every word.
static inline words_t byte_of(words_t words, const int k) {
    return k == 3 ? words >> 24 : words >> (8 * k) & 255;
}

// sums[r][i] += Σ x[r]·w[i] over groups of unpacked places of DOT_SPAN rows from vector `first` on;
// `rows` and `size`, the places of a group, are constants where this is used.
static inline __attribute__((always_inline)) void dot_codes(
    const size_t rows, const size_t size, const float *x, size_t x_stride, const unpacked_t *u,
    int first, size_t groups, float (*out)[ETD_DOT_STRIP]) {
    vector_t sums[DOT_ROWS_AT_ONCE][DOT_VECTORS];
    ETD_UNROLL for (size_t r = 0; r < rows; r++)
        ETD_UNROLL for (int v = 0; v < DOT_VECTORS; v++)
            sums[r][v] = load_vector(out[r] + v * VL);
    for (size_t g = 0; g < groups; g++) {
        vector_t scales[DOT_VECTORS], offsets[DOT_VECTORS];
        ETD_UNROLL for (int v = 0; v < DOT_VECTORS; v++) {
            scales[v] = u->scales[g][first + v];
            offsets[v] = u->offsets[g][first + v];
        }
        for (size_t j = g * size / 4; j < (g + 1) * size / 4; j++) {
            ETD_UNROLL for (int k = 0; k < 4; k++) {
                vector_t values[DOT_VECTORS];
                ETD_UNROLL for (int v = 0; v < DOT_VECTORS; v++)
                    values[v] = MULTIPLY_ADD(vector_of(byte_of(u->codes[j][first + v], k)),
                                             scales[v], offsets[v]);
                ETD_UNROLL for (size_t r = 0; r < rows; r++)
                    ETD_UNROLL for (int v = 0; v < DOT_VECTORS; v++)
                        sums[r][v] = MULTIPLY_ADD(splat(x[r * x_stride + 4 * j + (size_t)k]),
                                                  values[v], sums[r][v]);
            }
        }
    }
    ETD_UNROLL for (size_t r = 0; r < rows; r++)
        ETD_UNROLL for (int v = 0; v < DOT_VECTORS; v++)
            memcpy(out[r] + v * VL, &sums[r][v], sizeof(vector_t));
}

#define DOT_CODES_CASE(ROWS) \
    case ROWS: dot_codes(ROWS, size, x, x_stride, u, first, groups, out); break;

static inline __attribute__((always_inline)) void dot_codes_rows(
    size_t rows, const size_t size, const float *x, size_t x_stride, const unpacked_t *u,
    size_t groups, float (*sums)[ETD_DOT_STRIP]) {
    for (int first = 0; first < STRIP_VECTORS; first += DOT_VECTORS) {
        float(*out)[ETD_DOT_STRIP] = (float(*)[ETD_DOT_STRIP])(sums[0] + first * VL);
        switch (rows) { DOT_EACH_ROWS(DOT_CODES_CASE) }
    }
}

static void dot_codes_32(size_t rows, const float *x, size_t x_stride, const unpacked_t *u,
                         size_t groups, float (*sums)[ETD_DOT_STRIP]) {
    dot_codes_rows(rows, 32, x, x_stride, u, groups, sums);
}

static void dot_codes_16(size_t rows, const float *x, size_t x_stride, const unpacked_t *u,
                         size_t groups, float (*sums)[ETD_DOT_STRIP]) {
    dot_codes_rows(rows, 16, x, x_stride, u, groups, sums);
}

// As dot_rows, for types with a dot_group and whole strips of addresses.
static void dot_blocks(int32_t type, size_t rows, const float *x, size_t x_stride,
                       const uint8_t *const *w, size_t row_bytes, size_t depth,
                       float (*sums)[ETD_DOT_STRIP]) {
    unpacked_t unpacked;
    const size_t size = dot_group(type);
    for (size_t p = 0; p < depth; p += SUPER) {
        const size_t length = depth - p < SUPER ? depth - p : SUPER;
        // Exact: parts end with blocks.
        const size_t before = p * row_bytes / depth, part = length * row_bytes / depth;
        // What is unpacked next: the next part, or the rows of the next strip.
        const size_t later = p + SUPER < depth ? before + part : ETD_DOT_STRIP * row_bytes;
        for (size_t i = 0; i < ETD_DOT_STRIP; i++)
            for (size_t line = 0; line < part; line += 64)
                // As a number: the address may lie beyond the weight, where fetching does nothing.
                __builtin_prefetch((const void *)((uintptr_t)w[i] + later + line), 0, 2);
        unpack(type, w, before, length, &unpacked);
        for (size_t r = 0; r < rows; r += DOT_ROWS_AT_ONCE) {
            const size_t some = rows - r < DOT_ROWS_AT_ONCE ? rows - r : DOT_ROWS_AT_ONCE;
            (size == 32 ? dot_codes_32 : dot_codes_16)(some, x + r * x_stride + p, x_stride, &unpacked,
                                                       length / size, sums + r);
        }
    }
}
