// The kernels of one instruction set, as the list has them. Private to this module.
#ifndef ETD_KERNEL_TABLE_H
#define ETD_KERNEL_TABLE_H

#include "etd_kernels.h"

typedef struct {
#define ETD_KERNEL(result, name, parameters, arguments) result(*name) parameters;
#include "etd_kernel_list.h"
} etd_kernel_table_t;

// What a CPU that multiplies bf16 has beside them.
typedef struct {
#define ETD_BF16_KERNEL(result, name, parameters, arguments) result(*name) parameters;
#include "etd_kernel_list.h"
} etd_bf16_kernels_t;

extern const etd_kernel_table_t etd_kernels_scalar;
#if defined(__x86_64__)
extern const etd_kernel_table_t etd_kernels_avx2;
extern const etd_kernel_table_t etd_kernels_avx512;
extern const etd_bf16_kernels_t etd_kernels_avx512_bf16;
#endif

#endif
