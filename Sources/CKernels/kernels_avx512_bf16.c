// bf16 matrix products by AVX512-BF16: one instruction adds the products of 16 pairs of values to 16 sums.
//
// The right side is packed in strips of 32 columns, [strip][pairs of the depth][32], a pair being two
// neighbours of the depth in one 32-bit word. The left side stays in rows, since a pair that is broadcast
// needs no packing; its rows are a cache line longer than whole lines, so that rows whose length is a
// power of two do not all fall into the same lines of the first-level cache. A tile is up to 14 rows by
// 32 columns of sums in registers, as in product_body.h.
//
// Accumulation: each value of `out` is one chain over the depth, from index 0 up, whose bytes depend on
// neither the number of rows or columns nor any blocking.
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_table.h"

#define NR 32
#define MR 14
// A right strip's part of the depth stays in the second-level cache, from where two vectors for every 28
// multiplications come in time. Parts of 512, which the first level holds, were 5 to 7 % slower: every part
// reads and writes the sums once more, and rows of a wide `out` fall into few lines of it.
#define PART 2048
// How far ahead weights are fetched while they are packed, in values: 16 lines. At depths of 2048 and 8192,
// 6 to 24 lines gave 14 to 22 GB/s a core in no order, none at all 10.
#define AHEAD 512
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")))

static size_t pairs_of(size_t depth) { return (depth + 1) / 2; }

// MARK: Packing

// a[i] holds 16 pairs of row i; a[p] then holds pair p of 16 rows: 32-bit words turned in registers.
TARGET static inline __attribute__((always_inline)) void turn_words(__m512i a[16]) {
    __m512i b[16];
    for (int i = 0; i < 8; i++) {
        b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        a[4 * i] = _mm512_unpacklo_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 1] = _mm512_unpackhi_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 2] = _mm512_unpacklo_epi64(b[4 * i + 1], b[4 * i + 3]);
        a[4 * i + 3] = _mm512_unpackhi_epi64(b[4 * i + 1], b[4 * i + 3]);
    }
    // a[4g + q] now holds, in its lane l, pair 4l + q of rows 4g to 4g + 3.
    for (int q = 0; q < 4; q++) {
        b[q] = _mm512_shuffle_i32x4(a[q], a[4 + q], 0x88);
        b[4 + q] = _mm512_shuffle_i32x4(a[q], a[4 + q], 0xDD);
        b[8 + q] = _mm512_shuffle_i32x4(a[8 + q], a[12 + q], 0x88);
        b[12 + q] = _mm512_shuffle_i32x4(a[8 + q], a[12 + q], 0xDD);
    }
    for (int q = 0; q < 4; q++) {
        a[q] = _mm512_shuffle_i32x4(b[q], b[8 + q], 0x88);
        a[8 + q] = _mm512_shuffle_i32x4(b[q], b[8 + q], 0xDD);
        a[4 + q] = _mm512_shuffle_i32x4(b[4 + q], b[12 + q], 0x88);
        a[12 + q] = _mm512_shuffle_i32x4(b[4 + q], b[12 + q], 0xDD);
    }
}

// out[p][i] = row i's pair p, for 16 rows and 16 pairs. `later` is what will be read some way ahead, in
// rows of the same stride.
TARGET static void turn_square(const uint16_t *w, size_t stride, uint32_t *out,
                               const uint16_t *later) {
    __m512i a[16];
    for (int i = 0; i < 16; i++) {
        a[i] = _mm512_loadu_si512(w + i * stride);
        _mm_prefetch((const char *)(later + i * stride), _MM_HINT_T1);
    }
    turn_words(a);
    for (int p = 0; p < 16; p++) _mm512_storeu_si512(out + p * NR, a[p]);
}

TARGET static void pack_right_bf16(const uint16_t *w, size_t count, size_t stride, size_t depth,
                              uint16_t *packed) {
    for (size_t first = 0; first < count; first += NR) {
        uint32_t *strip = (uint32_t *)packed + first * pairs_of(depth);
        size_t width = count - first < NR ? count - first : NR;
        size_t turned = width / 16 * 16, p = 0;
        for (; p + 32 <= depth; p += 32)
            for (size_t j = 0; j < turned; j += 16) {
                const uint16_t *square = w + (first + j) * stride + p;
                // A line of each row at a time is no pattern that the hardware fetches ahead.
                int ends = p + AHEAD >= depth, follows = first + 2 * NR <= count && depth >= AHEAD;
                const uint16_t *later = !ends     ? square + AHEAD
                                        : follows ? square + NR * stride + AHEAD - depth
                                                  : square;
                turn_square(square, stride, strip + p / 2 * NR + j, later);
            }
        // What is left of the depth for the turned columns, and all of it for the others.
        for (size_t j = 0; j < NR; j++) {
            for (size_t q = j < turned ? p : 0; q < depth; q += 2) {
                const uint16_t *source = w + (first + j) * stride + q;
                uint32_t low = j < width ? source[0] : 0;
                uint32_t high = j < width && q + 1 < depth ? source[1] : 0;
                strip[q / 2 * NR + j] = low | high << 16;
            }
        }
    }
}

static inline uint32_t rounded(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    uint32_t quiet = (bits >> 16) | 0x40;
    return (bits & 0x7FFFFFFF) > 0x7F800000 ? quiet : (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
}

TARGET static void pack_right_turned_bf16(const float *w, size_t count, size_t stride, size_t depth,
                                     uint16_t *packed) {
    for (size_t first = 0; first < count; first += NR) {
        uint32_t *strip = (uint32_t *)packed + first * pairs_of(depth);
        size_t width = count - first < NR ? count - first : NR;
        for (size_t q = 0; q < depth; q += 2) {
            const float *low = w + q * stride + first, *high = low + stride;
            uint32_t *out = strip + q / 2 * NR;
            if (q + 1 < depth)
                for (size_t j = 0; j < width; j++) out[j] = rounded(low[j]) | rounded(high[j]) << 16;
            else
                for (size_t j = 0; j < width; j++) out[j] = rounded(low[j]);
            memset(out + width, 0, (NR - width) * 4);
        }
    }
}

// MARK: The product

// out[height, 32] (+)= left rows · right strip; `low` and `high` say which columns exist.
TARGET static inline __attribute__((always_inline)) void tile(
    const int height, const uint16_t *left, size_t left_stride, const uint32_t *right,
    size_t pairs, float *out, size_t stride, __mmask16 low, __mmask16 high, int starts) {
    __m512 sums[MR][2];
#pragma clang loop unroll(full)
    for (int i = 0; i < height; i++) {
        sums[i][0] = starts ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(low, out + i * stride);
        sums[i][1] =
            starts ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(high, out + i * stride + 16);
    }
    for (size_t p = 0; p < pairs; p++) {
        __m512bh a = (__m512bh)_mm512_loadu_si512(right + p * NR);
        __m512bh b = (__m512bh)_mm512_loadu_si512(right + p * NR + 16);
#pragma clang loop unroll(full)
        for (int i = 0; i < height; i++) {
            int pair;
            memcpy(&pair, left + i * left_stride + 2 * p, 4);
            __m512bh row = (__m512bh)_mm512_set1_epi32(pair);
            sums[i][0] = _mm512_dpbf16_ps(sums[i][0], row, a);
            sums[i][1] = _mm512_dpbf16_ps(sums[i][1], row, b);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < height; i++) {
        _mm512_mask_storeu_ps(out + i * stride, low, sums[i][0]);
        _mm512_mask_storeu_ps(out + i * stride + 16, high, sums[i][1]);
    }
}

typedef void (*tile_t)(const uint16_t *, size_t, const uint32_t *, size_t, float *, size_t,
                       __mmask16, __mmask16, int);
#define TILE(n)                                                                                  \
    TARGET static void tile_##n(const uint16_t *left, size_t left_stride, const uint32_t *right, \
                                size_t pairs, float *out, size_t stride, __mmask16 low,          \
                                __mmask16 high, int starts) {                                    \
        tile(n, left, left_stride, right, pairs, out, stride, low, high, starts);                \
    }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7)
TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)
static const tile_t tiles[MR + 1] = {NULL,    tile_1,  tile_2,  tile_3,  tile_4,
                                     tile_5,  tile_6,  tile_7,  tile_8,  tile_9,
                                     tile_10, tile_11, tile_12, tile_13, tile_14};

static size_t left_stride_bf16(size_t depth) { return (depth + 31) / 32 * 32 + 32; }

static void product_bf16(const uint16_t *left, size_t rows, const uint16_t *right, size_t columns,
                    size_t depth, float *out, size_t stride, int adds) {
    // Tiles of nearly equal heights: 256 rows are 9 of 14 and 10 of 13, not 18 of 14 and one of 4.
    size_t strips = (rows + MR - 1) / MR;
    size_t height = strips ? rows / strips : 0, higher = strips ? rows % strips : 0;
    size_t parts = depth ? (depth + PART - 1) / PART : 1;
    size_t part = 2 * ((pairs_of(depth) + parts - 1) / parts);
    size_t row_stride = left_stride_bf16(depth);
    for (size_t p = 0; p == 0 || p < depth; p += part) {
        size_t pairs = pairs_of(p + part < depth ? part : depth - p);
        for (size_t j = 0; j < columns; j += NR) {
            size_t width = columns - j < NR ? columns - j : NR;
            uint32_t mask = width < NR ? (UINT32_C(1) << width) - 1 : UINT32_MAX;
            const uint32_t *strip = (const uint32_t *)right + j * pairs_of(depth) + p / 2 * NR;
            for (size_t i = 0, s = 0; i < rows; s++) {
                size_t count = s < higher ? height + 1 : height;
                tiles[count](left + i * row_stride + p, row_stride, strip, pairs,
                             out + i * stride + j, stride, (__mmask16)mask, (__mmask16)(mask >> 16),
                             p == 0 && !adds);
                i += count;
            }
        }
        if (!part) break;
    }
}

// MARK: Products of few rows

// As dot_span of dot_body.h, in pairs: 16 pairs of each of 32 stored rows at a time, turned in registers, so
// that a value is the same chain as in `tile`.
TARGET static inline __attribute__((always_inline)) void dot_strip(
    const size_t rows, const uint16_t *left, size_t left_stride, const uint16_t *const *w,
    size_t depth, __m512 result[ETD_DOT_ROWS_BF16][2]) {
    __m512 sums[ETD_DOT_ROWS_BF16][2];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
    for (size_t p = 0; p < depth; p += 32) {
        const size_t left_over = depth - p < 32 ? depth - p : 32;
        const __mmask32 mask = left_over < 32 ? (UINT32_C(1) << left_over) - 1 : UINT32_MAX;
        const size_t pairs = pairs_of(left_over);
        // Behind a row's end, what stands there in the rows of the next strip.
        const size_t later =
            p + AHEAD < depth ? p + AHEAD : p + AHEAD + (ETD_DOT_STRIP - 1) * depth;
#pragma clang loop unroll(full)
        for (int g = 0; g < 2; g++) {
            __m512i a[16];
#pragma clang loop unroll(full)
            for (int i = 0; i < 16; i++) {
                const uint16_t *row = w[g * 16 + i];
                a[i] = _mm512_maskz_loadu_epi16(mask, row + p);
                // As a number: the address may lie beyond the weight, where fetching does nothing.
                _mm_prefetch((const char *)((uintptr_t)row + 2 * later), _MM_HINT_T1);
            }
            turn_words(a);
            if (pairs == 16) {
#pragma clang loop unroll(full)
                for (size_t q = 0; q < 16; q++)
#pragma clang loop unroll(full)
                    for (size_t r = 0; r < rows; r++) {
                        int pair;
                        memcpy(&pair, left + r * left_stride + p + 2 * q, 4);
                        sums[r][g] = _mm512_dpbf16_ps(
                            sums[r][g], (__m512bh)_mm512_set1_epi32(pair), (__m512bh)a[q]);
                    }
                continue;
            }
            __m512i words[16];
            memcpy(words, a, sizeof a);
            for (size_t q = 0; q < pairs; q++)
#pragma clang loop unroll(full)
                for (size_t r = 0; r < rows; r++) {
                    int pair;
                    memcpy(&pair, left + r * left_stride + p + 2 * q, 4);
                    sums[r][g] = _mm512_dpbf16_ps(
                        sums[r][g], (__m512bh)_mm512_set1_epi32(pair), (__m512bh)words[q]);
                }
        }
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) {
        result[r][0] = sums[r][0];
        result[r][1] = sums[r][1];
    }
}

TARGET static void dot_rows_bf16(const uint16_t *left, size_t rows, const void *const *w,
                                 size_t count, size_t depth, float *out, size_t stride) {
    if (rows == 0 || count == 0) return;
    // Places beyond the last row repeat it; what they give is dropped.
    const uint16_t *lines[ETD_DOT_STRIP];
    for (size_t i = 0; i < ETD_DOT_STRIP; i++) lines[i] = w[i < count ? i : count - 1];
    __m512 sums[ETD_DOT_ROWS_BF16][2];
    size_t left_stride = left_stride_bf16(depth);
    switch (rows) {
    case 1: dot_strip(1, left, left_stride, lines, depth, sums); break;
    case 2: dot_strip(2, left, left_stride, lines, depth, sums); break;
    case 3: dot_strip(3, left, left_stride, lines, depth, sums); break;
    case 4: dot_strip(4, left, left_stride, lines, depth, sums); break;
    default: abort();
    }
    for (size_t r = 0; r < rows; r++) memcpy(out + r * stride, sums[r], count * sizeof(float));
}

static size_t right_strip_bf16(void) { return NR; }

const etd_bf16_kernels_t etd_kernels_avx512_bf16 = {
#define ETD_BF16_KERNEL(result, name, parameters, arguments) .name = name,
#include "etd_kernel_list.h"
};
#endif
