// Chooses the kernels for this CPU once, at the first call.
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_table.h"

static _Atomic(const etd_kernel_table_t *) active;
static atomic_int active_level;

static const etd_kernel_table_t *table_of(int level) {
    switch (level) {
    case ETD_CPU_SCALAR: return &etd_kernels_scalar;
#if defined(__x86_64__)
    case ETD_CPU_AVX2: return &etd_kernels_avx2;
    case ETD_CPU_AVX512: return &etd_kernels_avx512;
#endif
    default: return NULL;
    }
}

int etd_cpu_best_level(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__builtin_cpu_supports("f16c"))
        return ETD_CPU_SCALAR;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return ETD_CPU_AVX512;
    return ETD_CPU_AVX2;
#else
    return ETD_CPU_SCALAR;
#endif
}

// What etd_cpu_set_level chose for this thread: packed matrices belong to a level, so no thread may have
// its level changed by another.
static _Thread_local const etd_kernel_table_t *own;
static _Thread_local int own_level;

int etd_cpu_set_level(int level) {
    if (level < ETD_CPU_SCALAR || level > etd_cpu_best_level()) return -1;
    own_level = level;
    own = table_of(level);
    return 0;
}

static const char *const level_names[] = {"scalar", "avx2", "avx512"};

const char *etd_cpu_level_name(int level) {
    return level < ETD_CPU_SCALAR || level > ETD_CPU_AVX512 ? NULL : level_names[level];
}

// ETD_CPU names a level; a level that cannot be had ends the process, since work asked for at one level
// must not run at another.
static int level_of_environment(void) {
    const char *asked = getenv("ETD_CPU");
    int best = etd_cpu_best_level();
    if (!asked || !*asked) return best;
    for (int level = ETD_CPU_SCALAR; level <= ETD_CPU_AVX512; level++) {
        if (strcmp(asked, level_names[level]) != 0) continue;
        if (level <= best) return level;
        fprintf(stderr, "Error: ETD_CPU=%s: this CPU has %s at most; unset ETD_CPU\n", asked,
                level_names[best]);
        exit(1);
    }
    fprintf(stderr, "Error: ETD_CPU=%s: unknown level; use scalar, avx2 or avx512\n", asked);
    exit(1);
}

static const etd_kernel_table_t *table(void) {
    if (own) return own;
    const etd_kernel_table_t *chosen = atomic_load_explicit(&active, memory_order_acquire);
    if (chosen) return chosen;
    int level = level_of_environment();
    atomic_store(&active_level, level);
    atomic_store(&active, table_of(level));
    return table_of(level);
}

int etd_cpu_level(void) {
    table();
    return own ? own_level : atomic_load(&active_level);
}

int etd_decode(int32_t type, const void *source, float *out, size_t count) {
    return table()->decode(type, source, out, count);
}

void etd_rms_norm(const float *x, const float *weight, float offset, float epsilon, float *out,
                  size_t d) {
    table()->rms_norm(x, weight, offset, epsilon, out, d);
}

void etd_layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                    float *out, size_t d) {
    table()->layer_norm(x, weight, bias, epsilon, out, d);
}

void etd_clamp(float *x, float limit, size_t count) { table()->clamp(x, limit, count); }

void etd_add(float *x, const float *y, size_t count) { table()->add(x, y, count); }

void etd_scale(float *x, float factor, size_t count) { table()->scale(x, factor, count); }

void etd_silu(const float *x, float *out, size_t count) { table()->silu(x, out, count); }

void etd_gelu_tanh(const float *x, float *out, size_t count) { table()->gelu_tanh(x, out, count); }

void etd_gelu(const float *x, float *out, size_t count) { table()->gelu(x, out, count); }

void etd_silu_gate(const float *gate, const float *up, float *out, size_t count) {
    table()->silu_gate(gate, up, out, count);
}

void etd_gelu_tanh_gate(const float *gate, const float *up, float *out, size_t count) {
    table()->gelu_tanh_gate(gate, up, out, count);
}

void etd_gelu_gate(const float *gate, const float *up, float *out, size_t count) {
    table()->gelu_gate(gate, up, out, count);
}

void etd_rotate(float *x, const float *cosine, const float *sine, size_t half) {
    table()->rotate(x, cosine, sine, half);
}

float etd_softmax_block(float *scores, size_t count, float factor, float *maximum, float *sum) {
    return table()->softmax_block(scores, count, factor, maximum, sum);
}

void etd_exp(const float *x, float *out, size_t count) { table()->exp_row(x, out, count); }

float etd_max_abs(const float *x, size_t count) { return table()->max_abs(x, count); }

int etd_all_finite(const float *x, size_t count) { return table()->all_finite(x, count); }

etd_pair_products_t etd_pair_products(const float *h, const float *g, size_t d) {
    return table()->pair_products(h, g, d);
}

etd_turn_products_t etd_turn_products(const float *a, const float *b, const float *c, size_t d) {
    return table()->turn_products(a, b, c, d);
}

double etd_sum_squares(const float *x, size_t count) { return table()->sum_squares(x, count); }

void etd_widen(const float *x, double *out, size_t count) { table()->widen(x, out, count); }

int etd_exact_add(const double *x, int64_t *high, int64_t *low, size_t count) {
    return table()->exact_add(x, high, low, count);
}

double etd_log_sum_exp(const float *x, size_t count) { return table()->log_sum_exp(x, count); }

size_t etd_argmax(const float *x, size_t count) { return table()->argmax(x, count); }

void etd_lens_row_begin(etd_lens_row_t *row) {
    *row = (etd_lens_row_t){.maximum = -INFINITY, .target_logit = NAN, .non_finite_id = -1};
    for (int i = 0; i < ETD_LENS_TOP; i++) {
        row->top_value[i] = -INFINITY;
        row->top_id[i] = -1;
    }
}

void etd_lens_panel(etd_lens_row_t *states, const float *logits, size_t rows, size_t stride,
                    int32_t first_id, size_t count, int32_t target, float *scratch) {
    table()->lens_panel(states, logits, rows, stride, first_id, count, target, scratch);
}

void etd_round_bf16(const float *x, uint16_t *out, size_t count) {
    table()->round_bf16(x, out, count);
}

void etd_round_f16(const float *x, uint16_t *out, size_t count) {
    table()->round_f16(x, out, count);
}

size_t etd_left_strip(void) { return table()->left_strip; }

size_t etd_right_strip(void) { return table()->right_strip; }

void etd_pack_left(const float *x, size_t row, size_t depth, float *packed) {
    table()->pack_left(x, row, depth, packed);
}

void etd_pack_right(const float *w, size_t count, size_t stride, size_t depth, float *packed) {
    table()->pack_right(w, count, stride, depth, packed);
}

void etd_pack_right_turned(const float *w, size_t count, size_t stride, size_t depth,
                           float *packed) {
    table()->pack_right_turned(w, count, stride, depth, packed);
}

void etd_product(const float *left, size_t rows, const float *right, size_t columns, size_t depth,
                 float *out, size_t stride) {
    table()->product(left, rows, right, columns, depth, out, stride);
}

static const etd_bf16_kernels_t *bf16_table(void) {
#if defined(__x86_64__)
    if (etd_cpu_level() == ETD_CPU_AVX512 && __builtin_cpu_supports("avx512bf16"))
        return &etd_kernels_avx512_bf16;
#endif
    return NULL;
}

static const etd_bf16_kernels_t *bf16(void) {
    const etd_bf16_kernels_t *kernels = bf16_table();
    if (!kernels) abort();
    return kernels;
}

int etd_multiplies_bf16(void) { return bf16_table() != NULL; }

size_t etd_left_stride_bf16(size_t depth) { return bf16()->left_stride(depth); }

size_t etd_right_strip_bf16(void) { return bf16()->right_strip; }

size_t etd_right_size_bf16(size_t columns, size_t depth) {
    size_t strip = bf16()->right_strip;
    return (columns + strip - 1) / strip * strip * ((depth + 1) / 2 * 2);
}

void etd_pack_right_bf16(const uint16_t *w, size_t count, size_t stride, size_t depth,
                         uint16_t *packed) {
    bf16()->pack_right(w, count, stride, depth, packed);
}

void etd_pack_right_turned_bf16(const float *w, size_t count, size_t stride, size_t depth,
                                uint16_t *packed) {
    bf16()->pack_right_turned(w, count, stride, depth, packed);
}

void etd_product_bf16(const uint16_t *left, size_t rows, const uint16_t *right, size_t columns,
                      size_t depth, float *out, size_t stride, int adds) {
    bf16()->product(left, rows, right, columns, depth, out, stride, adds);
}

void etd_rms_norm_backward(const float *x, const float *weight, float offset, float epsilon,
                           const float *gradient, float *out, size_t d) {
    table()->rms_norm_backward(x, weight, offset, epsilon, gradient, out, d);
}

void etd_layer_norm_backward(const float *x, const float *weight, float epsilon,
                             const float *gradient, float *out, size_t d) {
    table()->layer_norm_backward(x, weight, epsilon, gradient, out, d);
}

void etd_adamw(float *parameters, float *mean, float *square, const float *gradient,
               etd_adamw_t step, size_t count) {
    table()->adamw(parameters, mean, square, gradient, step, count);
}

void etd_pack_left_turned(const float *x, size_t depth, size_t stride, size_t count,
                          float *packed) {
    table()->pack_left_turned(x, depth, stride, count, packed);
}

void etd_product_add(const float *left, size_t rows, const float *right, size_t columns,
                     size_t depth, float *out, size_t stride) {
    table()->product_add(left, rows, right, columns, depth, out, stride);
}

void etd_turn_bf16(const float *w, size_t rows, size_t columns, uint16_t *out) {
    table()->turn_bf16(w, rows, columns, out);
}

int etd_exact_carry(int64_t *high, int64_t *low, size_t count) {
    int good = 1;
    for (size_t i = 0; i < count; i++) {
        // An arithmetic shift: a negative word borrows from the upper one.
        high[i] += low[i] >> ETD_EXACT_RADIX;
        low[i] &= (INT64_C(1) << ETD_EXACT_RADIX) - 1;
        good &= high[i] < ETD_EXACT_HIGH && high[i] > -ETD_EXACT_HIGH;
    }
    return good;
}

int etd_exact_merge(int64_t *high, int64_t *low, const int64_t *other_high,
                    const int64_t *other_low, size_t count) {
    for (size_t i = 0; i < count; i++) {
        high[i] += other_high[i];
        low[i] += other_low[i];
    }
    return etd_exact_carry(high, low, count);
}
