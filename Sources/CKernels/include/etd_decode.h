// Stored weights to f32. This header knows encodings, not files or shapes.
#ifndef ETD_DECODE_H
#define ETD_DECODE_H

#include <stddef.h>
#include <stdint.h>

// Decodes `count` elements at `source` (any alignment) into `out`. `type` is an ElementType raw value
// of the Swift module Tensors; `count` is a multiple of that type's block length.
// Bit for bit what the Python package `gguf` gives for the block types, NaN payloads aside; f64 rounds
// to nearest even, a value beyond f32's range to infinity.
// Returns 0, or -1 for an unknown type or a `count` that ends within a block (nothing is written then).
int etd_decode(int32_t type, const void *source, float *out, size_t count);

#endif
