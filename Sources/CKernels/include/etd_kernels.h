// The arithmetic between the matrix products, one row at a time, and the products, one tile at a time.
// These functions know pointers and counts, not layers or models, and start no threads.
//
// This file has the levels, the types and the few functions that are the same at every level; the kernels
// themselves, with what each computes, are in etd_kernel_list.h.
//
// Shape letters: T positions, d hidden size, V vocabulary.
// Accumulation: every sum runs over 16 lanes (8 for f64) that are joined in a fixed order, without
// fused multiply-add, so scalar, AVX2 and AVX-512 builds of one source give the same bytes. Only the
// matrix products, the softmax of attention and the lens differ: they fuse, but at the scalar level.
// Pointers need no alignment; `out` may equal an input of the same shape unless said otherwise.
#ifndef ETD_KERNELS_H
#define ETD_KERNELS_H

#include <stddef.h>
#include <stdint.h>

// MARK: Levels

// The instruction sets that the kernels are built for.
enum etd_cpu_level { ETD_CPU_SCALAR = 0, ETD_CPU_AVX2 = 1, ETD_CPU_AVX512 = 2 };

// The best level of this CPU.
int etd_cpu_best_level(void);
// "scalar", "avx2" or "avx512"; NULL for what is no level.
const char *etd_cpu_level_name(int level);
// The level in use: the one last set, else the environment's ETD_CPU (one that is unknown or that the CPU
// lacks ends the process with an error), else the best one.
int etd_cpu_level(void);
// Chooses a level for the calling thread, whatever the others use. Returns -1, changing nothing, if the CPU
// lacks it.
int etd_cpu_set_level(int level);

// 1 if the level in use multiplies bf16 itself (AVX-512 on a CPU with AVX512-BF16), 0 if not.
int etd_multiplies_bf16(void);

// Values that a packed right side of a bf16 product takes, where the level multiplies bf16.
size_t etd_right_size_bf16(size_t columns, size_t depth);

// MARK: What kernels take and give

// Products of a state h and the next one g, u = g - h.
typedef struct {
    double hh, gg, hg, uu, uh;
} etd_pair_products_t;

// Products of the steps v and w between three states.
typedef struct {
    double vv, ww, vw;
} etd_turn_products_t;

// What the lens keeps of one row of logits while the unembedding goes by panel by panel.
// Postcondition after all panels, with p = softmax of the row and q of the final state's row:
// log Σ exp z = maximum + log(sum); Σ p·(z - maximum) = sum_shifted / sum;
// Σ p·(z - z_final) = sum_difference / sum; Σ q·(z_final - z) = final_difference / (sum of the final
// row). top_value descends; equal values keep the lower id first.
#define ETD_LENS_TOP 5
// Below this size no difference of two logits and no sum of such overflows f32.
#define ETD_LENS_LARGEST 0x1p100f
typedef struct {
    float maximum;
    double sum, sum_shifted, sum_difference, final_difference;
    float top_value[ETD_LENS_TOP];
    int32_t top_id[ETD_LENS_TOP];
    float target_logit;
    // The first id of a panel whose sums are not finite, as its logit is NaN or beyond ETD_LENS_LARGEST;
    // -1 for none. Where a row has one its sums and maxima mean nothing.
    int32_t non_finite_id;
} etd_lens_row_t;

void etd_lens_row_begin(etd_lens_row_t *row);

// One step of AdamW (Loshchilov and Hutter, arXiv 1711.05101). correction1 and correction2 are 1 - betaᵗ
// at step t, from 1. Decay is taken off before the step, as torch.optim.AdamW does it:
// θ ← θ·(1 - rate·decay) - rate · (m/correction1) / (√(s/correction2) + epsilon).
typedef struct {
    float rate, beta1, beta2, epsilon, decay, correction1, correction2;
} etd_adamw_t;

// The most rows of x that etd_dot_rows takes, those that etd_dot_rows_bf16 takes, and the most stored rows.
#define ETD_DOT_ROWS 16
#define ETD_DOT_ROWS_BF16 4
#define ETD_DOT_STRIP 32

// Says to the CPU that this thread spins.
static inline void etd_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// MARK: Sums whose bytes do not depend on their order
//
// A sum is a fixed-point number in two words, (high·2^ETD_EXACT_RADIX + low)·2^-ETD_EXACT_FRACTION. A
// value is rounded once, to the nearest multiple of 2^-ETD_EXACT_FRACTION; every addition after that is
// one of integers, so it is associative. etd_exact_add leaves carries in `low`: after at most
// ETD_EXACT_ADDITIONS calls etd_exact_carry has to bring it back to 0 ..< 2^ETD_EXACT_RADIX, the form in
// which equal sums are equal words.
#define ETD_EXACT_FRACTION 48
#define ETD_EXACT_RADIX 52
#define ETD_EXACT_ADDITIONS 1024
// The largest |x| that may be added, and the smallest |high| that a sum may not have: sums reach 2^66.
#define ETD_EXACT_LARGEST 0x1p54
#define ETD_EXACT_HIGH (INT64_C(1) << 62)

// sum[i] += other[i], both carried; the result is carried. Returns as etd_exact_carry.
int etd_exact_merge(int64_t *high, int64_t *low, const int64_t *other_high,
                    const int64_t *other_low, size_t count);
// Returns 1, or 0 where a sum has left the range.
int etd_exact_carry(int64_t *high, int64_t *low, size_t count);

// MARK: The kernels

#define ETD_KERNEL(result, name, parameters, arguments) result etd_##name parameters;
#define ETD_BF16_KERNEL(result, name, parameters, arguments) result etd_##name parameters;
#include "etd_kernel_list.h"

#endif
