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

// MARK: What callers use of the list

#define ETD_KERNEL(result, name, parameters, arguments) \
    result etd_##name parameters { return table()->name arguments; }
#define ETD_BF16_KERNEL(result, name, parameters, arguments) \
    result etd_##name parameters { return bf16()->name arguments; }
#include "etd_kernel_list.h"

// MARK: What is the same at every level

size_t etd_right_size_bf16(size_t columns, size_t depth) {
    size_t strip = etd_right_strip_bf16();
    return (columns + strip - 1) / strip * strip * ((depth + 1) / 2 * 2);
}

void etd_lens_row_begin(etd_lens_row_t *row) {
    *row = (etd_lens_row_t){.maximum = -INFINITY, .target_logit = NAN, .non_finite_id = -1};
    for (int i = 0; i < ETD_LENS_TOP; i++) {
        row->top_value[i] = -INFINITY;
        row->top_id[i] = -1;
    }
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
