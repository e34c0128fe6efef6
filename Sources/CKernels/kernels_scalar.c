// The reference level: whatever the compiler's baseline target has.
#define ETD_TABLE etd_kernels_scalar
#include "kernels_body.h"
