// Products of few rows straight from stored weights. Part of kernels_body.h.
//
// Where x has few rows, laying the weight out costs more than the product: each stored value is used a few
// times only. Here squares of the stored rows are turned in registers, so that one vector holds one
// place of the depth for several values of `out`; nothing is written but sums.
//
// Accumulation: as in product_body.h, each value of `out` is one chain over the depth, from index 0 up, of
// the same operations on the same numbers: the bytes are those of the packed product.

// Vectors of VL values, two at a time so that one's chain does not wait for itself.
enum { DOT_VECTORS = 2, DOT_SPAN = DOT_VECTORS * VL };

// Rows of x whose sums stay in registers, and a case of a switch for each such number of them.
#if VL == 16
enum { DOT_ROWS_AT_ONCE = 8 };
#define DOT_EACH_ROWS(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
#else
enum { DOT_ROWS_AT_ONCE = 4 };
#define DOT_EACH_ROWS(CASE) CASE(1) CASE(2) CASE(3) CASE(4)
#endif

// How far ahead of its use a stored row is fetched, in bytes, as for the packing of bf16
// (kernels_avx512_bf16.c): a line of each of many rows at a time is no pattern that the hardware fetches
// ahead.
enum { DOT_AHEAD = 1024 };

typedef uint16_t halves_t __attribute__((vector_size(VL * 2)));
typedef uint32_t words_t __attribute__((vector_size(VL * 4)));

static inline vector_t dot_load_f32(const uint8_t *p) {
    vector_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline vector_t dot_load_bf16(const uint8_t *p) {
    halves_t halves;
    memcpy(&halves, p, sizeof halves);
    return (vector_t)(__builtin_convertvector(halves, words_t) << 16);
}

static inline vector_t dot_load_f16(const uint8_t *p) {
    halves_t halves;
    memcpy(&halves, p, sizeof halves);
#if ETD_FUSED
    typedef _Float16 half_vector_t __attribute__((vector_size(VL * 2)));
    return __builtin_convertvector((half_vector_t)halves, vector_t);
#else
    vector_t out;
    for (int i = 0; i < VL; i++) out[i] = half_to_float(halves[i]);
    return out;
#endif
}

// Of two vectors, in every quarter of a 64-byte one: values by turns, pairs by turns; and the quarters by
// turns.
#if VL == 4
#define DOT_TURN_LOW 0, 4, 1, 5
#define DOT_TURN_HIGH 2, 6, 3, 7
#define DOT_TURN_LOW_PAIRS 0, 1, 4, 5
#define DOT_TURN_HIGH_PAIRS 2, 3, 6, 7
#elif VL == 8
#define DOT_TURN_LOW 0, 8, 1, 9, 4, 12, 5, 13
#define DOT_TURN_HIGH 2, 10, 3, 11, 6, 14, 7, 15
#define DOT_TURN_LOW_PAIRS 0, 1, 8, 9, 4, 5, 12, 13
#define DOT_TURN_HIGH_PAIRS 2, 3, 10, 11, 6, 7, 14, 15
#define DOT_TURN_EVEN 0, 1, 2, 3, 8, 9, 10, 11
#define DOT_TURN_ODD 4, 5, 6, 7, 12, 13, 14, 15
#else
#define DOT_TURN_LOW 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define DOT_TURN_HIGH 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define DOT_TURN_LOW_PAIRS 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define DOT_TURN_HIGH_PAIRS 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define DOT_TURN_EVEN 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define DOT_TURN_ODD 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
#endif
#define DOT_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

// a[i][j] becomes a[j][i].
static inline __attribute__((always_inline)) void dot_turn(vector_t a[VL]) {
    vector_t b[VL];
    ETD_UNROLL for (int i = 0; i < VL; i += 2) {
        b[i] = DOT_SHUFFLE(a[i], a[i + 1], DOT_TURN_LOW);
        b[i + 1] = DOT_SHUFFLE(a[i], a[i + 1], DOT_TURN_HIGH);
    }
    ETD_UNROLL for (int i = 0; i < VL; i += 4) {
        a[i] = DOT_SHUFFLE(b[i], b[i + 2], DOT_TURN_LOW_PAIRS);
        a[i + 1] = DOT_SHUFFLE(b[i], b[i + 2], DOT_TURN_HIGH_PAIRS);
        a[i + 2] = DOT_SHUFFLE(b[i + 1], b[i + 3], DOT_TURN_LOW_PAIRS);
        a[i + 3] = DOT_SHUFFLE(b[i + 1], b[i + 3], DOT_TURN_HIGH_PAIRS);
    }
    // a[4g + q] now holds, in its quarter l, column 4l + q of rows 4g to 4g + 3.
#if VL == 8
    ETD_UNROLL for (int q = 0; q < 4; q++) {
        b[q] = DOT_SHUFFLE(a[q], a[4 + q], DOT_TURN_EVEN);
        b[4 + q] = DOT_SHUFFLE(a[q], a[4 + q], DOT_TURN_ODD);
    }
    ETD_UNROLL for (int i = 0; i < VL; i++) a[i] = b[i];
#elif VL == 16
    ETD_UNROLL for (int q = 0; q < 4; q++) {
        b[q] = DOT_SHUFFLE(a[q], a[4 + q], DOT_TURN_EVEN);
        b[4 + q] = DOT_SHUFFLE(a[q], a[4 + q], DOT_TURN_ODD);
        b[8 + q] = DOT_SHUFFLE(a[8 + q], a[12 + q], DOT_TURN_EVEN);
        b[12 + q] = DOT_SHUFFLE(a[8 + q], a[12 + q], DOT_TURN_ODD);
    }
    ETD_UNROLL for (int q = 0; q < 4; q++) {
        a[q] = DOT_SHUFFLE(b[q], b[8 + q], DOT_TURN_EVEN);
        a[8 + q] = DOT_SHUFFLE(b[q], b[8 + q], DOT_TURN_ODD);
        a[4 + q] = DOT_SHUFFLE(b[4 + q], b[12 + q], DOT_TURN_EVEN);
        a[12 + q] = DOT_SHUFFLE(b[4 + q], b[12 + q], DOT_TURN_ODD);
    }
#endif
}

// sums[r][i] += Σ x[r]·w[i] over the values `start` to `end` of `depth` of DOT_SPAN stored rows. A value
// takes `size` bytes, and
// `load` reads VL of them; both and `rows` are constants where this is used.
static inline __attribute__((always_inline)) void dot_span(
    const size_t rows, vector_t (*const load)(const uint8_t *), const size_t size, const int far,
    const float *x, size_t x_stride, const uint8_t *const *w, size_t start, size_t end, size_t depth,
    float (*out)[ETD_DOT_STRIP]) {
    vector_t sums[DOT_ROWS_AT_ONCE][DOT_VECTORS];
    ETD_UNROLL for (size_t r = 0; r < rows; r++)
        ETD_UNROLL for (int v = 0; v < DOT_VECTORS; v++)
            sums[r][v] = load_vector(out[r] + v * VL);
    const size_t bytes = depth * size;
    size_t p = start;
    for (; p + VL <= end; p += VL) {
        const size_t here = p * size;
        // Behind a row's end, what stands there in the rows of the next span.
        const size_t ahead = here + DOT_AHEAD;
        const size_t later = ahead < bytes ? ahead : ahead + (DOT_SPAN - 1) * bytes;
        // A line once, not at every part of it.
        const int fetches = far && here % 64 == 0;
        ETD_UNROLL for (int v = 0; v < DOT_VECTORS; v++) {
            vector_t columns[VL];
            ETD_UNROLL for (int i = 0; i < VL; i++) {
                const uint8_t *row = w[v * VL + i];
                columns[i] = load(row + here);
                // As a number: the address may lie beyond the weight, where fetching does nothing.
                if (fetches) __builtin_prefetch((const void *)((uintptr_t)row + later), 0, 2);
            }
            dot_turn(columns);
            ETD_UNROLL for (int q = 0; q < VL; q++)
                ETD_UNROLL for (size_t r = 0; r < rows; r++)
                    sums[r][v] = MULTIPLY_ADD(splat(x[r * x_stride + p + (size_t)q]), columns[q],
                                              sums[r][v]);
        }
    }
    const size_t rest = end - p;
    for (int v = 0; v < DOT_VECTORS && rest > 0; v++) {
        vector_t columns[VL];
        for (int i = 0; i < VL; i++) {
            uint8_t part[VL * sizeof(float)] = {0};
            memcpy(part, w[v * VL + i] + p * size, rest * size);
            columns[i] = load(part);
        }
        dot_turn(columns);
        for (size_t q = 0; q < rest; q++)
            ETD_UNROLL for (size_t r = 0; r < rows; r++)
                sums[r][v] = MULTIPLY_ADD(splat(x[r * x_stride + p + q]), columns[q], sums[r][v]);
    }
    ETD_UNROLL for (size_t r = 0; r < rows; r++)
        ETD_UNROLL for (int v = 0; v < DOT_VECTORS; v++)
            memcpy(out[r] + v * VL, &sums[r][v], sizeof(vector_t));
}

// For at most DOT_ROWS_AT_ONCE rows.
#define DOT_STRIP_CASE(ROWS) \
    case ROWS: dot_span(ROWS, load, size, far, x, x_stride, w + i, start, end, depth, out); break;
static inline __attribute__((always_inline)) void dot_strip(
    vector_t (*const load)(const uint8_t *), const size_t size, const int far, size_t rows,
    const float *x, size_t x_stride, const uint8_t *const *w, size_t start, size_t end, size_t depth,
    float (*sums)[ETD_DOT_STRIP]) {
    for (size_t i = 0; i < ETD_DOT_STRIP; i += DOT_SPAN) {
        float(*out)[ETD_DOT_STRIP] = (float(*)[ETD_DOT_STRIP])(sums[0] + i);
        switch (rows) { DOT_EACH_ROWS(DOT_STRIP_CASE) }
    }
}

// For any number of rows: beyond DOT_ROWS_AT_ONCE by parts of the depth, which the first-level cache still
// holds when the next rows of x meet them. A multiple of VL.
enum { DOT_PART = 128 };
#define DOT_STRIP(NAME, LOAD, SIZE, FAR)                                                          \
    static void NAME(size_t rows, const float *x, size_t x_stride, const uint8_t *const *w,       \
                     size_t depth, float (*sums)[ETD_DOT_STRIP]) {                                \
        const size_t part = rows > DOT_ROWS_AT_ONCE ? DOT_PART : depth;                           \
        for (size_t p = 0; p < depth; p += part) {                                                \
            const size_t end = depth - p < part ? depth : p + part;                               \
            for (size_t r = 0; r < rows; r += DOT_ROWS_AT_ONCE) {                                 \
                const size_t some = rows - r < DOT_ROWS_AT_ONCE ? rows - r : DOT_ROWS_AT_ONCE;    \
                dot_strip(LOAD, SIZE, FAR && r == 0, some, x + r * x_stride, x_stride, w, p, end, \
                          depth, sums + r);                                                       \
            }                                                                                     \
        }                                                                                         \
    }
DOT_STRIP(dot_strip_f32, dot_load_f32, 4, 1)
DOT_STRIP(dot_strip_bf16, dot_load_bf16, 2, 1)
DOT_STRIP(dot_strip_f16, dot_load_f16, 2, 1)
DOT_STRIP(dot_strip_decoded, dot_load_f32, 4, 0)

#include "dot_blocks.h"

// Other blocks are decoded into a buffer of the first-level cache first, a part of the depth at a time.
static int dot_decoded(int32_t type, size_t rows, const float *x, size_t x_stride,
                       const uint8_t *const *w, size_t count, size_t row_bytes, size_t depth,
                       float (*sums)[ETD_DOT_STRIP]) {
    enum { PART = SUPER };
    // Rows a line longer than a power of two do not all fall into the same lines of the cache.
    _Alignas(64) float values[ETD_DOT_STRIP][PART + 16];
    const uint8_t *lines[ETD_DOT_STRIP];
    for (size_t i = 0; i < ETD_DOT_STRIP; i++)
        lines[i] = (const uint8_t *)values[i < count ? i : count - 1];
    for (size_t p = 0; p < depth; p += PART) {
        const size_t length = depth - p < PART ? depth - p : PART;
        // Exact: parts end with blocks.
        const size_t before = p * row_bytes / depth;
        // What is decoded next: the next part, or the rows of the next strip.
        const size_t part = length * row_bytes / depth;
        const size_t later = p + PART < depth ? before + part : ETD_DOT_STRIP * row_bytes;
        for (size_t i = 0; i < count; i++) {
            for (size_t line = 0; line < part; line += 64)
                __builtin_prefetch((const void *)((uintptr_t)w[i] + later + line), 0, 2);
            if (decode(type, w[i] + before, values[i], length) != 0) return -1;
        }
        dot_strip_decoded(rows, x + p, x_stride, lines, length, sums);
    }
    return 0;
}

static int dot_rows(int32_t type, const float *x, size_t rows, size_t x_stride,
                    const void *const *w, size_t count, size_t row_bytes, size_t depth, float *out,
                    size_t stride) {
    if (rows > ETD_DOT_ROWS || count > ETD_DOT_STRIP) return -1;
    if (rows == 0 || count == 0) return 0;
    // Places beyond the last row repeat it; what they give is dropped.
    const uint8_t *lines[ETD_DOT_STRIP];
    for (size_t i = 0; i < ETD_DOT_STRIP; i++) lines[i] = w[i < count ? i : count - 1];
    float sums[ETD_DOT_ROWS][ETD_DOT_STRIP] = {{0}};
    switch (type) {
    case F32: dot_strip_f32(rows, x, x_stride, lines, depth, sums); break;
    case BF16: dot_strip_bf16(rows, x, x_stride, lines, depth, sums); break;
    case F16: dot_strip_f16(rows, x, x_stride, lines, depth, sums); break;
    default:
        if (dot_group(type) != 0) {
            if (depth % (type < Q2_K ? SMALL : SUPER) != 0) return -1;
            dot_blocks(type, rows, x, x_stride, lines, row_bytes, depth, sums);
            break;
        }
        if (dot_decoded(type, rows, x, x_stride, lines, count, row_bytes, depth, sums) != 0)
            return -1;
    }
    for (size_t r = 0; r < rows; r++)
        memcpy(out + r * stride, sums[r], count * sizeof(float));
    return 0;
}
