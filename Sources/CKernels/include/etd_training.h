// Backward passes, the optimizer's step and the products that they need. As in etd_kernels.h: one row or
// one tile at a time, no threads, the same bytes at every level but for the products.
#ifndef ETD_TRAINING_H
#define ETD_TRAINING_H

#include <stddef.h>
#include <stdint.h>

// Gradients of the norms with respect to x [d], from the gradients of their output [d]. `out` may be
// `gradient`. Weight, offset and epsilon as in etd_rms_norm and etd_layer_norm.
void etd_rms_norm_backward(const float *x, const float *weight, float offset, float epsilon,
                           const float *gradient, float *out, size_t d);
void etd_layer_norm_backward(const float *x, const float *weight, float epsilon,
                             const float *gradient, float *out, size_t d);

// One step of AdamW (Loshchilov and Hutter, arXiv 1711.05101). correction1 and correction2 are 1 - betaᵗ
// at step t, from 1. Decay is taken off before the step, as torch.optim.AdamW does it:
// θ ← θ·(1 - rate·decay) - rate · (m/correction1) / (√(s/correction2) + epsilon).
typedef struct {
    float rate, beta1, beta2, epsilon, decay, correction1, correction2;
} etd_adamw_t;
void etd_adamw(float *parameters, float *mean, float *square, const float *gradient,
               etd_adamw_t step, size_t count);

// Packs `count` rows of the left side, given turned as x[depth, count] of row stride `stride`, into whole
// strips: packed[strips][depth][etd_left_strip()]; places beyond `count` become 0.
void etd_pack_left_turned(const float *x, size_t depth, size_t stride, size_t count, float *packed);

// out[rows, columns] += left · right from packed sides, as etd_product. A value is one chain that starts
// at what `out` holds.
void etd_product_add(const float *left, size_t rows, const float *right, size_t columns,
                     size_t depth, float *out, size_t stride);

// out[columns, rows] = wᵀ for w[rows, columns], rounded to bfloat16.
void etd_turn_bf16(const float *w, size_t rows, size_t columns, uint16_t *out);

#endif
