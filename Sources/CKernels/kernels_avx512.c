#if defined(__x86_64__)
// System headers stand before the pragma: only this module's functions may use the instruction set.
#include <float.h>
#include <math.h>
#include <string.h>

#include "decode_grid_tables.h"
#include "kernel_table.h"

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#define ETD_TABLE etd_kernels_avx512
#define ETD_SHUFFLE_BYTES
// 28 sums, 2 columns and a broadcast value fill the 32 registers.
#define MR 14
#define NV 2
#define VL 16
#define ETD_FUSED 1
#include "kernels_body.h"
#pragma clang attribute pop
#endif
