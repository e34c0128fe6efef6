// The kernels of one instruction set. Private to this module.
#ifndef ETD_KERNEL_TABLE_H
#define ETD_KERNEL_TABLE_H

#include "etd_decode.h"
#include "etd_kernels.h"
#include "etd_training.h"

typedef struct {
    int (*decode)(int32_t, const void *, float *, size_t);
    void (*rms_norm)(const float *, const float *, float, float, float *, size_t);
    void (*layer_norm)(const float *, const float *, const float *, float, float *, size_t);
    void (*clamp)(float *, float, size_t);
    void (*add)(float *, const float *, size_t);
    void (*scale)(float *, float, size_t);
    void (*silu)(const float *, float *, size_t);
    void (*gelu_tanh)(const float *, float *, size_t);
    void (*gelu)(const float *, float *, size_t);
    void (*silu_gate)(const float *, const float *, float *, size_t);
    void (*gelu_tanh_gate)(const float *, const float *, float *, size_t);
    void (*gelu_gate)(const float *, const float *, float *, size_t);
    void (*rotate)(float *, const float *, const float *, size_t);
    float (*softmax_block)(float *, size_t, float, float *, float *);
    void (*exp_row)(const float *, float *, size_t);
    float (*max_abs)(const float *, size_t);
    int (*all_finite)(const float *, size_t);
    etd_pair_products_t (*pair_products)(const float *, const float *, size_t);
    etd_turn_products_t (*turn_products)(const float *, const float *, const float *, size_t);
    double (*sum_squares)(const float *, size_t);
    void (*widen)(const float *, double *, size_t);
    int (*exact_add)(const double *, int64_t *, int64_t *, size_t);
    double (*log_sum_exp)(const float *, size_t);
    size_t (*argmax)(const float *, size_t);
    void (*lens_panel)(etd_lens_row_t *, const float *, size_t, size_t, int32_t, size_t, int32_t,
                       float *);
    void (*round_bf16)(const float *, uint16_t *, size_t);
    void (*round_f16)(const float *, uint16_t *, size_t);
    size_t left_strip, right_strip;
    void (*pack_left)(const float *, size_t, size_t, float *);
    void (*pack_right)(const float *, size_t, size_t, size_t, float *);
    void (*pack_right_turned)(const float *, size_t, size_t, size_t, float *);
    void (*product)(const float *, size_t, const float *, size_t, size_t, float *, size_t);
    void (*rms_norm_backward)(const float *, const float *, float, float, const float *, float *,
                              size_t);
    void (*layer_norm_backward)(const float *, const float *, float, const float *, float *, size_t);
    void (*adamw)(float *, float *, float *, const float *, etd_adamw_t, size_t);
    void (*pack_left_turned)(const float *, size_t, size_t, size_t, float *);
    void (*product_add)(const float *, size_t, const float *, size_t, size_t, float *, size_t);
    void (*turn_bf16)(const float *, size_t, size_t, uint16_t *);
} etd_kernel_table_t;

// What a CPU that multiplies bf16 has beside them.
typedef struct {
    size_t right_strip;
    size_t (*left_stride)(size_t);
    void (*pack_right)(const uint16_t *, size_t, size_t, size_t, uint16_t *);
    void (*pack_right_turned)(const float *, size_t, size_t, size_t, uint16_t *);
    void (*product)(const uint16_t *, size_t, const uint16_t *, size_t, size_t, float *, size_t, int);
} etd_bf16_kernels_t;

extern const etd_kernel_table_t etd_kernels_scalar;
#if defined(__x86_64__)
extern const etd_kernel_table_t etd_kernels_avx2;
extern const etd_kernel_table_t etd_kernels_avx512;
extern const etd_bf16_kernels_t etd_kernels_avx512_bf16;
#endif

#endif
