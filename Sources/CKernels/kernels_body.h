// The one source of the kernels. It is included by one file per instruction set, which defines
// ETD_TABLE (the table to fill) and turns that instruction set on for the functions below.
//
// Vectors are clang vector extensions of fixed width: the compiler lowers them to whatever registers
// the target has, so every level does the same arithmetic in the same order.

#include <float.h>
#include <math.h>
#include <string.h>

#include "decode_grid_tables.h"
#include "kernel_table.h"

#pragma STDC FP_CONTRACT OFF
#pragma clang diagnostic ignored "-Wpsabi"

// Where rounding twice is too slow: the levels that fuse give the same bytes, the scalar one others.
#if ETD_FUSED
#define MULTIPLY_ADD(a, b, c) __builtin_elementwise_fma(a, b, c)
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

#define LANES 16
typedef float v16f __attribute__((vector_size(64)));
typedef int32_t v16i __attribute__((vector_size(64)));
typedef double v8d __attribute__((vector_size(64)));
typedef float v8f __attribute__((vector_size(32)));
typedef float v4f __attribute__((vector_size(16)));

static const v16i lane_numbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static inline v16f load16(const float *x) {
    v16f v;
    memcpy(&v, x, sizeof v);
    return v;
}

static inline void store16(float *x, v16f v) { memcpy(x, &v, sizeof v); }

// The first `count` < 16 lanes from memory, the others `fill`.
static inline v16f load_part(const float *x, size_t count, float fill) {
    v16f v = (v16f){} + fill;
    memcpy(&v, x, count * sizeof(float));
    return v;
}

static inline v16f select16(v16i mask, v16f yes, v16f no) {
    return (v16f)(((v16i)yes & mask) | ((v16i)no & ~mask));
}

static inline v16f max16(v16f a, v16f b) { return select16(a > b, a, b); }

static inline v8f low8(v16f v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7); }

static inline v8f high8(v16f v) {
    return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
}

static inline v4f low4(v8f v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3); }

static inline v4f high4(v8f v) { return __builtin_shufflevector(v, v, 4, 5, 6, 7); }

static inline float sum_lanes(v16f v) {
    v8f eight = low8(v) + high8(v);
    v4f four = low4(eight) + high4(eight);
    return (four[0] + four[2]) + (four[1] + four[3]);
}

static inline float max_lanes(v16f v) {
    v16f eight = max16(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15,  //
                                                  0, 1, 2, 3, 4, 5, 6, 7));
    v16f four = max16(eight, __builtin_shufflevector(eight, eight, 4, 5, 6, 7, 0, 1, 2, 3,  //
                                                     12, 13, 14, 15, 8, 9, 10, 11));
    float even = four[0] > four[2] ? four[0] : four[2];
    float odd = four[1] > four[3] ? four[1] : four[3];
    return even > odd ? even : odd;
}

// exp(x) = 2ⁿ·exp(r) for r = x - n·ln2, |r| <= ln2/2, by the degree-5 minimax polynomial of the Cephes
// library (Moshier, expf.c: coefficients), about 1 ulp. NaN stays NaN.
static inline v16f exp16(v16f x) {
    const v16f top = (v16f){} + 88.02f, bottom = (v16f){} + -87.33654f;
    v16i underflow = x < bottom;
    x = select16(x > top, top, x);
    v16f clamped = select16(underflow, bottom, x);
    // Adding and taking away 1.5·2²³ rounds to the nearest integer, ties to even.
    v16f n = (clamped * 1.44269504f + 12582912.0f) - 12582912.0f;
    v16f r = clamped - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    v16f p = (v16f){} + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    v16i exponent = (__builtin_convertvector(n, v16i) + 127) << 23;
    v16f result = p * (v16f)exponent;
    result = select16(underflow, (v16f){}, result);
    return select16(x == x, result, x);
}

// exp of values that are not positive, without exp16's care for the ends: below -87.3 it stays at the
// smallest normal number, which sums that hold a 1 do not see. NaN stays NaN. The polynomial is exp16's,
// with multiply and add fused but at the scalar level: rounding twice took the lens 1.6 times as long.
static inline v16f exp_not_positive16(v16f x) {
    const v16f one = (v16f){} + 1.0f;
    v16f clamped = max16(-87.33654f * one, x);
    // 1.5·2²³ + 127 rounds to the nearest integer and leaves the biased exponent in the low bits.
    v16f shifted = MULTIPLY_ADD(clamped, 1.44269504f * one, 12583039.0f * one);
    v16f n = shifted - 12583039.0f;
    v16f r = MULTIPLY_ADD(n, -0.693359375f * one, clamped);
    r = MULTIPLY_ADD(n, 2.12194440e-4f * one, r);
    v16f p = 1.9875691500e-4f * one;
    p = MULTIPLY_ADD(p, r, 1.3981999507e-3f * one);
    p = MULTIPLY_ADD(p, r, 8.3334519073e-3f * one);
    p = MULTIPLY_ADD(p, r, 4.1665795894e-2f * one);
    p = MULTIPLY_ADD(p, r, 1.6666665459e-1f * one);
    p = MULTIPLY_ADD(p, r, 5.0000001201e-1f * one);
    p = MULTIPLY_ADD(p, r * r, r + 1.0f);
    return p * (v16f)((v16i)shifted << 23);
}

static void rms_norm(const float *x, const float *weight, float offset, float epsilon, float *out,
                     size_t d) {
    v16f sums = {};
    size_t i = 0;
    for (; i + LANES <= d; i += LANES) {
        v16f v = load16(x + i);
        sums += v * v;
    }
    if (i < d) {
        v16f v = load_part(x + i, d - i, 0);
        sums += v * v;
    }
    float factor = 1.0f / sqrtf(sum_lanes(sums) / (float)d + epsilon);
    if (weight)
        for (i = 0; i < d; i++) out[i] = (x[i] * factor) * (weight[i] + offset);
    else
        for (i = 0; i < d; i++) out[i] = x[i] * factor;
}

// Two passes, as every reference does it: the mean first, then the squares about it.
static void layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                       float *out, size_t d) {
    v16f sums = {};
    size_t i = 0;
    for (; i + LANES <= d; i += LANES) sums += load16(x + i);
    if (i < d) sums += load_part(x + i, d - i, 0);
    float mean = sum_lanes(sums) / (float)d;
    sums = (v16f){};
    for (i = 0; i + LANES <= d; i += LANES) {
        v16f v = load16(x + i) - mean;
        sums += v * v;
    }
    if (i < d) {
        v16f v = load_part(x + i, d - i, mean) - mean;
        sums += v * v;
    }
    float factor = 1.0f / sqrtf(sum_lanes(sums) / (float)d + epsilon);
    for (i = 0; i < d; i++) {
        float v = (x[i] - mean) * factor;
        if (weight) v *= weight[i];
        if (bias) v += bias[i];
        out[i] = v;
    }
}

static void clamp(float *x, float limit, size_t count) {
    // Written so that a NaN stays one.
    for (size_t i = 0; i < count; i++) {
        float v = x[i] > limit ? limit : x[i];
        x[i] = v < -limit ? -limit : v;
    }
}

static void add(float *x, const float *y, size_t count) {
    for (size_t i = 0; i < count; i++) x[i] += y[i];
}

static void scale(float *x, float factor, size_t count) {
    for (size_t i = 0; i < count; i++) x[i] *= factor;
}

static inline v16f silu16(v16f x) { return x / (1.0f + exp16(-x)); }

// 0.5·x·(1 + tanh y) = x·sigmoid(2y), which loses nothing to cancellation for very negative x.
static inline v16f gelu_tanh16(v16f x) {
    v16f y = 0.7978845608f * (x + 0.044715f * x * x * x);
    return x / (1.0f + exp16(-2.0f * y));
}

// Horner's rule; the coefficient of the highest power first.
static inline v16f polynomial16(v16f x, const float *coefficients, size_t count) {
    v16f p = (v16f){} + coefficients[0];
    for (size_t i = 1; i < count; i++) p = p * x + coefficients[i];
    return p;
}

// The normal distribution Φ(x) = ½·erfc(-x/√2). erf and erfc by the polynomials of the Cephes library (Moshier, ndtrf.c: coefficients) on t = |x|/√2 below 1, below 2 and beyond; erfc for
// negative x keeps the digits that 1 + erf would lose.
static inline v16f normal16(v16f x) {
    static const float below1[] = {7.853861353153693e-5f, -8.010193625184903e-4f,
                                   5.188327685732524e-3f, -2.685381193529856e-2f,
                                   1.128358514861418e-1f, -3.761262582423300e-1f,
                                   1.128379165726710e+0f};
    static const float below2[] = {2.326819970068386e-2f, -1.387039388740657e-1f,
                                   3.687424674597105e-1f, -5.824733027278666e-1f,
                                   6.210004621745983e-1f, -4.944515323274145e-1f,
                                   3.404879937665872e-1f, -2.741127028184656e-1f,
                                   5.638259427386472e-1f};
    static const float beyond[] = {-1.047766399936249e+1f, 1.297719955372516e+1f,
                                   -7.495518717768503e+0f, 2.921019019210786e+0f,
                                   -1.015265279202700e+0f, 4.218463358204948e-1f,
                                   -2.820767439740514e-1f, 5.641895067754075e-1f};
    v16i negative = x < 0.0f;
    v16f t = select16(negative, -x, x) * 0.70710678f;
    v16f square = t * t;
    v16f erf = t * polynomial16(square, below1, 7);
    v16f inside = 0.5f + 0.5f * select16(negative, -erf, erf);
    v16f inverse = 1.0f / t;
    v16f inverse_square = inverse * inverse;
    v16f p = select16(t < 2.0f, polynomial16(inverse_square, below2, 9),
                      polynomial16(inverse_square, beyond, 8));
    v16f tail = 0.5f * (exp16(-square) * inverse * p);
    v16f outside = select16(negative, tail, 1.0f - tail);
    return select16(t < 1.0f, inside, outside);
}

static inline v16f gelu16(v16f x) { return x * normal16(x); }

// An activation by itself and as the gate of another row.
#define ACTIVATION(NAME, FUNCTION)                                                          \
    static void NAME(const float *x, float *out, size_t count) {                            \
        size_t i = 0;                                                                       \
        for (; i + LANES <= count; i += LANES) store16(out + i, FUNCTION(load16(x + i)));   \
        if (i < count) {                                                                    \
            v16f v = FUNCTION(load_part(x + i, count - i, 0));                              \
            memcpy(out + i, &v, (count - i) * sizeof(float));                               \
        }                                                                                   \
    }                                                                                       \
    static void NAME##_gate(const float *gate, const float *up, float *out, size_t count) { \
        size_t i = 0;                                                                       \
        for (; i + LANES <= count; i += LANES)                                              \
            store16(out + i, FUNCTION(load16(gate + i)) * load16(up + i));                  \
        if (i < count) {                                                                    \
            v16f v = FUNCTION(load_part(gate + i, count - i, 0)) *                          \
                     load_part(up + i, count - i, 0);                                       \
            memcpy(out + i, &v, (count - i) * sizeof(float));                               \
        }                                                                                   \
    }
ACTIVATION(silu, silu16)
ACTIVATION(gelu_tanh, gelu_tanh16)
ACTIVATION(gelu, gelu16)

static void rotate(float *x, const float *cosine, const float *sine, size_t half) {
    float *restrict low = x, *restrict high = x + half;
    for (size_t i = 0; i < half; i++) {
        float a = low[i], b = high[i];
        low[i] = a * cosine[i] - b * sine[i];
        high[i] = b * cosine[i] + a * sine[i];
    }
}

static float row_maximum(const float *x, size_t count) {
    // Four chains: one would wait for itself at every step.
    v16f maxima[4] = {(v16f){} - INFINITY, (v16f){} - INFINITY, (v16f){} - INFINITY,
                      (v16f){} - INFINITY};
    size_t i = 0;
    for (; i + 4 * LANES <= count; i += 4 * LANES)
        for (int chain = 0; chain < 4; chain++)
            maxima[chain] = max16(load16(x + i + chain * LANES), maxima[chain]);
    for (; i + LANES <= count; i += LANES) maxima[0] = max16(load16(x + i), maxima[0]);
    if (i < count) maxima[0] = max16(load_part(x + i, count - i, -INFINITY), maxima[0]);
    return max_lanes(max16(max16(maxima[0], maxima[1]), max16(maxima[2], maxima[3])));
}

static float softmax_block(float *scores, size_t count, float factor, float *maximum, float *sum) {
    // factor > 0, so the largest score stays the largest.
    float block = row_maximum(scores, count) * factor;
    float highest = block > *maximum ? block : *maximum;
    v16f sums = {};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        v16f e = exp_not_positive16(load16(scores + i) * factor - highest);
        store16(scores + i, e);
        sums += e;
    }
    if (i < count) {
        v16f e = exp_not_positive16(load_part(scores + i, count - i, 0) * factor - highest);
        e = (v16f)((v16i)e & (lane_numbers < (int32_t)(count - i)));
        memcpy(scores + i, &e, (count - i) * sizeof(float));
        sums += e;
    }
    float correction = 0;
    if (*maximum > -INFINITY) {
        v16f e = exp16((v16f){} + (*maximum - highest));
        correction = e[0];
    }
    *sum = *sum * correction + sum_lanes(sums);
    *maximum = highest;
    return correction;
}

static void exp_row(const float *x, float *out, size_t count) {
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) store16(out + i, exp16(load16(x + i)));
    if (i < count) {
        v16f e = exp16(load_part(x + i, count - i, 0));
        memcpy(out + i, &e, (count - i) * sizeof(float));
    }
}

static float max_abs(const float *x, size_t count) {
    const v16i magnitude = (v16i){} + 0x7FFFFFFF;
    // Bits without a sign order as their values do, and NaN beyond infinity.
    v16i largest = {};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        largest = __builtin_elementwise_max((v16i)load16(x + i) & magnitude, largest);
    if (i < count)
        largest = __builtin_elementwise_max((v16i)load_part(x + i, count - i, 0) & magnitude, largest);
    int32_t bits = __builtin_reduce_max(largest);
    float most;
    memcpy(&most, &bits, sizeof most);
    return most;
}

static int all_finite(const float *x, size_t count) {
    // x - x is 0 for finite values and NaN otherwise; a sum keeps the NaN.
    v16f sums = {};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        v16f v = load16(x + i);
        sums += v - v;
    }
    if (i < count) {
        v16f v = load_part(x + i, count - i, 0);
        sums += v - v;
    }
    return sum_lanes(sums) == 0;
}

static inline v8d load8d(const float *x) {
    v8f v;
    memcpy(&v, x, sizeof v);
    return __builtin_convertvector(v, v8d);
}

static inline double sum_lanes_f64(v8d v) {
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

static etd_pair_products_t pair_products(const float *h, const float *g, size_t d) {
    v8d hh = {}, gg = {}, hg = {}, uu = {}, uh = {};
    for (size_t i = 0; i < d; i += 8) {
        v8d a, b;
        if (i + 8 <= d) {
            a = load8d(h + i);
            b = load8d(g + i);
        } else {
            float rest[2][8] = {{0}};
            memcpy(rest[0], h + i, (d - i) * sizeof(float));
            memcpy(rest[1], g + i, (d - i) * sizeof(float));
            a = load8d(rest[0]);
            b = load8d(rest[1]);
        }
        v8d u = b - a;
        hh += a * a;
        gg += b * b;
        hg += a * b;
        uu += u * u;
        uh += u * a;
    }
    return (etd_pair_products_t){sum_lanes_f64(hh), sum_lanes_f64(gg), sum_lanes_f64(hg),
                                 sum_lanes_f64(uu), sum_lanes_f64(uh)};
}

static size_t argmax(const float *x, size_t count) {
    // The block of the first greatest value, then its place there.
    enum { BLOCK = 512 };
    size_t found = 0;
    float highest = -INFINITY;
    for (size_t start = 0; start < count; start += BLOCK) {
        float value = row_maximum(x + start, start + BLOCK < count ? BLOCK : count - start);
        if (value > highest) {
            highest = value;
            found = start;
        }
    }
    size_t end = found + BLOCK < count ? found + BLOCK : count;
    for (size_t i = found; i < end; i++)
        if (x[i] == highest) return i;
    return 0;
}

// Eight values of a row from place i; zeros beyond its end.
static inline v8d load8d_part(const float *x, size_t i, size_t d) {
    if (i + 8 <= d) return load8d(x + i);
    float rest[8] = {0};
    memcpy(rest, x + i, (d - i) * sizeof(float));
    return load8d(rest);
}

static etd_turn_products_t turn_products(const float *a, const float *b, const float *c, size_t d) {
    v8d vv = {}, ww = {}, vw = {};
    for (size_t i = 0; i < d; i += 8) {
        v8d middle = load8d_part(b, i, d);
        v8d v = middle - load8d_part(a, i, d), w = load8d_part(c, i, d) - middle;
        vv += v * v;
        ww += w * w;
        vw += v * w;
    }
    return (etd_turn_products_t){sum_lanes_f64(vv), sum_lanes_f64(ww), sum_lanes_f64(vw)};
}

static double sum_squares(const float *x, size_t count) {
    v8d sums = {};
    for (size_t i = 0; i < count; i += 8) {
        v8d v = load8d_part(x, i, count);
        sums += v * v;
    }
    return sum_lanes_f64(sums);
}

static void widen(const float *x, double *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = (double)x[i];
}

#include "exact_body.h"

static double log_sum_exp(const float *x, size_t count) {
    float highest = row_maximum(x, count);
    double total = 0;
    for (size_t start = 0; start < count; start += 1024) {
        size_t end = start + 1024 < count ? start + 1024 : count;
        v16f sums = {};
        size_t i = start;
        for (; i + LANES <= end; i += LANES) sums += exp16(load16(x + i) - highest);
        if (i < end) sums += exp16(load_part(x + i, end - i, -INFINITY) - highest);
        total += sum_lanes(sums);
    }
    return (double)highest + log(total);
}

#include "lens_body.h"

#include "decode_blocks.h"
#include "decode_grids.h"

// To nearest even; a NaN stays one.
static void round_bf16(const float *x, uint16_t *out, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
        uint32_t quiet = (bits >> 16) | 0x40;
        out[i] = (uint16_t)((bits & 0x7FFFFFFF) > 0x7F800000 ? quiet : rounded);
    }
}

// To nearest even, without branches. For results below half's smallest normal number, 2⁻¹⁴, adding 0.5
// leaves the rounded digits at the end of the sum's significand, since f32's last digit there is worth
// 2⁻²⁴, as half's is. Above, the exponents' biases differ by 112.
static void round_f16(const float *x, uint16_t *out, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        const uint32_t sign = bits >> 16 & 0x8000u;
        const uint32_t size = bits & 0x7FFFFFFFu;
        float small;
        memcpy(&small, &size, 4);
        small += 0.5f;
        uint32_t subnormal;
        memcpy(&subnormal, &small, 4);
        subnormal -= 0x3F000000u;
        const uint32_t normal = (size - (112u << 23) + 0xFFFu + (size >> 13 & 1u)) >> 13;
        uint32_t half = size < 0x38800000u ? subnormal : normal;
        half = size >= 0x477FF000u ? 0x7C00u : half;
        half = size > 0x7F800000u ? 0x7E00u : half;
        out[i] = (uint16_t)(sign | half);
    }
}

#include "product_body.h"
#include "dot_body.h"
#include "training_body.h"

const etd_kernel_table_t ETD_TABLE = {
#define ETD_KERNEL(result, name, parameters, arguments) .name = name,
#include "etd_kernel_list.h"
};
