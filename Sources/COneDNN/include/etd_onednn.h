// bf16 matrix products by oneDNN, one tile at a time on the calling thread. Knows pointers and strides,
// not layers or models; the v2 and v3 C interfaces of oneDNN are told apart in the source file only.
#ifndef ETD_ONEDNN_H
#define ETD_ONEDNN_H

#include <stddef.h>
#include <stdint.h>

enum etd_onednn_type { ETD_ONEDNN_F32 = 0, ETD_ONEDNN_BF16 = 1 };

// oneDNN's version such as "2.6.3", or NULL in a build without it (package trait OneDNN).
const char *etd_onednn_version(void);

// What this build's oneDNN multiplies bf16 with on this CPU.
enum etd_onednn_bf16 { ETD_ONEDNN_NONE = 0, ETD_ONEDNN_AVX512 = 1, ETD_ONEDNN_AMX = 2 };
int etd_onednn_multiplies_bf16(void);

// out[rows, columns] f32 = left[rows, depth] · right[columns, depth]ᵀ, both of `type`, sums in f32.
// Strides count elements from one row to the next; no alignment beyond the element's own is needed.
// Safe to call from several threads. Returns 0, or oneDNN's status (-1 in a build without it), and then
// `out` holds nothing of use.
int etd_onednn_multiply(int type, const void *left, size_t rows, size_t left_stride,
                        const void *right, size_t columns, size_t right_stride, size_t depth,
                        float *out, size_t out_stride);

#endif
