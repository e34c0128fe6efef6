// The reference level: whatever the compiler's baseline target has.
#define ETD_TABLE etd_kernels_scalar
#define MR 6
#define NV 2
#define VL 4
#define ETD_FUSED 0
#include "kernels_body.h"
