// The list of all kernels: what each computes, its name and its parameters. A kernel stands here once and
// its body once per instruction set or in the one source, kernels_body.h; declarations, tables and the
// functions that choose among the tables are made from this list (docs/adding-a-kernel.md).
//
// Each entry is (result, name, parameters, arguments); `name` is the body's, `etd_name` what callers use.
// Who includes this file says before what an entry becomes, once for each of the two kinds:
// ETD_KERNEL has a body at every level, ETD_BF16_KERNEL on a CPU that multiplies bf16 alone.
// There is no include guard: the file is read several times.

#ifndef ETD_KERNEL
#define ETD_KERNEL(result, name, parameters, arguments)
#endif
#ifndef ETD_BF16_KERNEL
#define ETD_BF16_KERNEL(result, name, parameters, arguments)
#endif

// MARK: Stored weights to f32

// Decodes `count` elements at `source` (any alignment) into `out`. `type` is an ElementType raw value
// of the Swift module Tensors; `count` is a multiple of that type's block length.
// Bit for bit what the Python package `gguf` gives for the block types, NaN payloads aside; f64 rounds
// to nearest even, a value beyond f32's range to infinity.
// Returns 0, or -1 for an unknown type or a `count` that ends within a block (nothing is written then).
ETD_KERNEL(int, decode, (int32_t type, const void *source, float *out, size_t count),
           (type, source, out, count))

// MARK: Rows

// out[i] = x[i] / sqrt(mean(x²) + epsilon) · (weight[i] + offset); weight NULL counts as ones.
ETD_KERNEL(void, rms_norm,
           (const float *x, const float *weight, float offset, float epsilon, float *out, size_t d),
           (x, weight, offset, epsilon, out, d))

// LayerNorm: out[i] = (x[i] - mean) / sqrt(variance + epsilon) · weight[i] + bias[i], with the variance
// over d (not d - 1). weight NULL counts as ones, bias NULL as zeros.
ETD_KERNEL(void, layer_norm,
           (const float *x, const float *weight, const float *bias, float epsilon, float *out,
            size_t d),
           (x, weight, bias, epsilon, out, d))

// x = min(max(x, -limit), limit), limit > 0. NaN stays NaN.
ETD_KERNEL(void, clamp, (float *x, float limit, size_t count), (x, limit, count))

// x += y
ETD_KERNEL(void, add, (float *x, const float *y, size_t count), (x, y, count))
// x *= factor
ETD_KERNEL(void, scale, (float *x, float factor, size_t count), (x, factor, count))

// out = activation(x). gelu is x·Φ(x) with the normal distribution Φ ("exact", by erf), gelu_tanh the
// usual approximation of it by tanh.
ETD_KERNEL(void, silu, (const float *x, float *out, size_t count), (x, out, count))
ETD_KERNEL(void, gelu_tanh, (const float *x, float *out, size_t count), (x, out, count))
ETD_KERNEL(void, gelu, (const float *x, float *out, size_t count), (x, out, count))

// out = activation(gate) · up.
ETD_KERNEL(void, silu_gate, (const float *gate, const float *up, float *out, size_t count),
           (gate, up, out, count))
ETD_KERNEL(void, gelu_tanh_gate, (const float *gate, const float *up, float *out, size_t count),
           (gate, up, out, count))
ETD_KERNEL(void, gelu_gate, (const float *gate, const float *up, float *out, size_t count),
           (gate, up, out, count))

// Rotary embedding of one head in the half-split convention: the pair (x[i], x[i + half]) turns by the
// angle whose cosine and sine are cosine[i], sine[i], i < half.
ETD_KERNEL(void, rotate, (float *x, const float *cosine, const float *sine, size_t half),
           (x, cosine, sine, half))

// One row of blocked softmax attention. Scores become exp(factor·score - new maximum); *maximum and
// *sum (start: -inf, 0) take the block in. Returns the factor by which what was accumulated before
// this block is to be scaled. count > 0. An exponential below the smallest normal number, 1.2e-38, is that.
ETD_KERNEL(float, softmax_block,
           (float *scores, size_t count, float factor, float *maximum, float *sum),
           (scores, count, factor, maximum, sum))

// out[i] = exp(x[i]); results below the smallest normal number are 0, above 88.02 the input is clamped.
ETD_KERNEL(void, exp_row, (const float *x, float *out, size_t count), (x, out, count))

// The largest |x|, 0 for none; NaN where a value is.
ETD_KERNEL(float, max_abs, (const float *x, size_t count), (x, count))

// 1 when every value is finite, else 0.
ETD_KERNEL(int, all_finite, (const float *x, size_t count), (x, count))

// f64 products of a state h and the next one g: h·h, g·g, h·g, u·u, u·h with u = g - h.
ETD_KERNEL(etd_pair_products_t, pair_products, (const float *h, const float *g, size_t d), (h, g, d))

// f64 products of the two steps v = b - a and w = c - b between three states: v·v, w·w, v·w.
ETD_KERNEL(etd_turn_products_t, turn_products,
           (const float *a, const float *b, const float *c, size_t d), (a, b, c, d))

// Σ x² in f64.
ETD_KERNEL(double, sum_squares, (const float *x, size_t count), (x, count))
// out[i] = x[i] as f64.
ETD_KERNEL(void, widen, (const float *x, double *out, size_t count), (x, out, count))

// log Σ exp(x) over a row, in f64 across blocks.
ETD_KERNEL(double, log_sum_exp, (const float *x, size_t count), (x, count))

// The index of the greatest value, the lowest one of equals; NaN is passed over; 0 if all are NaN or -inf.
ETD_KERNEL(size_t, argmax, (const float *x, size_t count), (x, count))

// Takes in one panel for one position: `rows` rows of logits (row stride `stride` floats), the last of
// which is the final state's. The panel covers vocabulary ids first_id ..< first_id + count. `scratch`
// holds `count` floats. `target` is the id whose logit is kept, or -1.
ETD_KERNEL(void, lens_panel,
           (etd_lens_row_t *states, const float *logits, size_t rows, size_t stride,
            int32_t first_id, size_t count, int32_t target, float *scratch),
           (states, logits, rows, stride, first_id, count, target, scratch))

// Adds x to sums whose bytes do not depend on their order (etd_kernels.h): sum[i] += x[i]. Returns 1, or 0
// where a value is NaN or beyond ETD_EXACT_LARGEST; the sums are then worthless.
ETD_KERNEL(int, exact_add, (const double *x, int64_t *high, int64_t *low, size_t count),
           (x, high, low, count))

// bfloat16, rounded to nearest even; a NaN stays one.
ETD_KERNEL(void, round_bf16, (const float *x, uint16_t *out, size_t count), (x, out, count))

// IEEE half, rounded to nearest even: from 65,520 on infinity; a NaN stays one.
ETD_KERNEL(void, round_f16, (const float *x, uint16_t *out, size_t count), (x, out, count))

// MARK: Matrix products, one tile at a time on the calling thread

// Rows of a strip of the left side and columns of a strip of the right side, at the level in use.
// Packed memory belongs to the level it was packed at.
ETD_KERNEL(size_t, left_strip, (void), ())
ETD_KERNEL(size_t, right_strip, (void), ())

// Puts row `row` of the left side in its place: packed[strips][depth][etd_left_strip()].
ETD_KERNEL(void, pack_left, (const float *x, size_t row, size_t depth, float *packed),
           (x, row, depth, packed))

// Packs `count` rows of the left side, given turned as x[depth, count] of row stride `stride`, into whole
// strips: packed[strips][depth][etd_left_strip()]; places beyond `count` become 0.
ETD_KERNEL(void, pack_left_turned,
           (const float *x, size_t depth, size_t stride, size_t count, float *packed),
           (x, depth, stride, count, packed))

// Packs `count` columns, given as rows w[count, depth] of row stride `stride`, into whole strips:
// packed[strips][depth][etd_right_strip()]; places beyond `count` become 0.
ETD_KERNEL(void, pack_right,
           (const float *w, size_t count, size_t stride, size_t depth, float *packed),
           (w, count, stride, depth, packed))

// The same of columns given turned: w[depth, count] of row stride `stride`.
ETD_KERNEL(void, pack_right_turned,
           (const float *w, size_t count, size_t stride, size_t depth, float *packed),
           (w, count, stride, depth, packed))

// out[rows, columns] = left · right from packed sides. A value is one chain of (fused, but at the scalar
// level) multiply-adds over the depth, so its bytes do not depend on `rows` or `columns`.
ETD_KERNEL(void, product,
           (const float *left, size_t rows, const float *right, size_t columns, size_t depth,
            float *out, size_t stride),
           (left, rows, right, columns, depth, out, stride))

// out[rows, columns] += left · right from packed sides, as etd_product. A value is one chain that starts
// at what `out` holds.
ETD_KERNEL(void, product_add,
           (const float *left, size_t rows, const float *right, size_t columns, size_t depth,
            float *out, size_t stride),
           (left, rows, right, columns, depth, out, stride))

// out[rows, count] = x · wᵀ for 1 to ETD_DOT_ROWS rows x[rows, depth] (row stride `x_stride` floats) and
// `count` stored rows, at most ETD_DOT_STRIP, that begin at w[0], w[1], …: each of `row_bytes` bytes at
// any alignment, in the encoding `type` as in etd_decode. `out` has the row stride `stride`.
// Reads each stored value once and packs nothing; the bytes are etd_product's.
// Returns 0, or -1 as etd_decode does.
ETD_KERNEL(int, dot_rows,
           (int32_t type, const float *x, size_t rows, size_t x_stride, const void *const *w,
            size_t count, size_t row_bytes, size_t depth, float *out, size_t stride),
           (type, x, rows, x_stride, w, count, row_bytes, depth, out, stride))

// out[columns, rows] = wᵀ for w[rows, columns], rounded to bfloat16.
ETD_KERNEL(void, turn_bf16, (const float *w, size_t rows, size_t columns, uint16_t *out),
           (w, rows, columns, out))

// MARK: Training

// Gradients of the norms with respect to x [d], from the gradients of their output [d]. `out` may be
// `gradient`. Weight, offset and epsilon as in etd_rms_norm and etd_layer_norm.
ETD_KERNEL(void, rms_norm_backward,
           (const float *x, const float *weight, float offset, float epsilon,
            const float *gradient, float *out, size_t d),
           (x, weight, offset, epsilon, gradient, out, d))
ETD_KERNEL(void, layer_norm_backward,
           (const float *x, const float *weight, float epsilon, const float *gradient, float *out,
            size_t d),
           (x, weight, epsilon, gradient, out, d))

// Adds the gradients of the norms' weight and bias [d] from one row: out may not overlap the inputs. Weight
// and bias of layer_norm may be NULL.
ETD_KERNEL(void, rms_norm_weight_backward,
           (const float *x, float epsilon, const float *gradient, float *out, size_t d),
           (x, epsilon, gradient, out, d))
ETD_KERNEL(void, layer_norm_weight_backward,
           (const float *x, float epsilon, const float *gradient, float *weight_out,
            float *bias_out, size_t d),
           (x, epsilon, gradient, weight_out, bias_out, d))

// Gradients of the activations, out = gradient · activation'(x), and of activation(gate) · up with respect
// to both. Outputs may be inputs.
ETD_KERNEL(void, silu_backward,
           (const float *x, const float *gradient, float *out, size_t count),
           (x, gradient, out, count))
ETD_KERNEL(void, gelu_tanh_backward,
           (const float *x, const float *gradient, float *out, size_t count),
           (x, gradient, out, count))
ETD_KERNEL(void, gelu_backward,
           (const float *x, const float *gradient, float *out, size_t count),
           (x, gradient, out, count))
ETD_KERNEL(void, silu_gate_backward,
           (const float *gate, const float *up, const float *gradient, float *gate_out,
            float *up_out, size_t count),
           (gate, up, gradient, gate_out, up_out, count))
ETD_KERNEL(void, gelu_tanh_gate_backward,
           (const float *gate, const float *up, const float *gradient, float *gate_out,
            float *up_out, size_t count),
           (gate, up, gradient, gate_out, up_out, count))
ETD_KERNEL(void, gelu_gate_backward,
           (const float *gate, const float *up, const float *gradient, float *gate_out,
            float *up_out, size_t count),
           (gate, up, gradient, gate_out, up_out, count))

// x[i] = exp(factor·x[i] - shift)·scale: a softmax again from its log Σ exp.
ETD_KERNEL(void, scaled_exp, (float *x, float factor, float shift, float scale, size_t count),
           (x, factor, shift, scale, count))

// gradient[i] = weights[i]·(gradient[i] - mean)·factor: that of a softmax's scores from that of its
// weights, mean = Σ weights·gradient.
ETD_KERNEL(void, softmax_backward,
           (const float *weights, float *gradient, float mean, float factor, size_t count),
           (weights, gradient, mean, factor, count))

// Σ x·y in 16 lanes.
ETD_KERNEL(float, dot, (const float *x, const float *y, size_t count), (x, y, count))

// One step of AdamW, as etd_adamw_t says.
ETD_KERNEL(void, adamw,
           (float *parameters, float *mean, float *square, const float *gradient, etd_adamw_t step,
            size_t count),
           (parameters, mean, square, gradient, step, count))

// MARK: bf16 products, one tile at a time on the calling thread
//
// For a level that multiplies bf16 itself (etd_multiplies_bf16); in any other they end the process.

// Values from one row of a left side of `depth` values to the next: at least `depth`, and even. A left
// side is rows of bf16; where the depth is odd, the value after each row's last must be 0.
ETD_BF16_KERNEL(size_t, left_stride_bf16, (size_t depth), (depth))

// Columns of a strip of the right side.
ETD_BF16_KERNEL(size_t, right_strip_bf16, (void), ())

// As etd_pack_right and etd_pack_right_turned, of columns in bf16 and of columns that are rounded to it.
ETD_BF16_KERNEL(void, pack_right_bf16,
                (const uint16_t *w, size_t count, size_t stride, size_t depth, uint16_t *packed),
                (w, count, stride, depth, packed))
ETD_BF16_KERNEL(void, pack_right_turned_bf16,
                (const float *w, size_t count, size_t stride, size_t depth, uint16_t *packed),
                (w, count, stride, depth, packed))

// out[rows, columns] = left · right, or with `adds` += in place of =, from a left side in rows and a packed
// right one. Sums are f32; a value is one chain over the depth, so its bytes do not depend on `rows` or
// `columns`.
ETD_BF16_KERNEL(void, product_bf16,
                (const uint16_t *left, size_t rows, const uint16_t *right, size_t columns,
                 size_t depth, float *out, size_t stride, int adds),
                (left, rows, right, columns, depth, out, stride, adds))

// As etd_dot_rows, for at most ETD_DOT_ROWS_BF16 rows, from a left side in rows of etd_left_stride_bf16 values and stored rows in bf16. The
// bytes are etd_product_bf16's.
ETD_BF16_KERNEL(void, dot_rows_bf16,
                (const uint16_t *left, size_t rows, const void *const *w, size_t count,
                 size_t depth, float *out, size_t stride),
                (left, rows, w, count, depth, out, stride))

#undef ETD_KERNEL
#undef ETD_BF16_KERNEL
