// The arithmetic between the matrix products, one row at a time. These functions know pointers and
// counts, not layers or models, and start no threads.
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

// out[i] = x[i] / sqrt(mean(x²) + epsilon) · (weight[i] + offset); weight NULL counts as ones.
void etd_rms_norm(const float *x, const float *weight, float offset, float epsilon, float *out,
                  size_t d);

// LayerNorm: out[i] = (x[i] - mean) / sqrt(variance + epsilon) · weight[i] + bias[i], with the variance
// over d (not d - 1). weight NULL counts as ones, bias NULL as zeros.
void etd_layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                    float *out, size_t d);

// x = min(max(x, -limit), limit), limit > 0. NaN stays NaN.
void etd_clamp(float *x, float limit, size_t count);

// x += y
void etd_add(float *x, const float *y, size_t count);
// x *= factor
void etd_scale(float *x, float factor, size_t count);

// out = activation(x). gelu is x·Φ(x) with the normal distribution Φ ("exact", by erf), gelu_tanh the
// usual approximation of it by tanh.
void etd_silu(const float *x, float *out, size_t count);
void etd_gelu_tanh(const float *x, float *out, size_t count);
void etd_gelu(const float *x, float *out, size_t count);

// out = activation(gate) · up.
void etd_silu_gate(const float *gate, const float *up, float *out, size_t count);
void etd_gelu_tanh_gate(const float *gate, const float *up, float *out, size_t count);
void etd_gelu_gate(const float *gate, const float *up, float *out, size_t count);

// Rotary embedding of one head in the half-split convention: the pair (x[i], x[i + half]) turns by the
// angle whose cosine and sine are cosine[i], sine[i], i < half.
void etd_rotate(float *x, const float *cosine, const float *sine, size_t half);

// One row of blocked softmax attention. Scores become exp(scale·score - new maximum); *maximum and
// *sum (start: -inf, 0) take the block in. Returns the factor by which what was accumulated before
// this block is to be scaled. count > 0. An exponential below the smallest normal number, 1.2e-38, is that.
float etd_softmax_block(float *scores, size_t count, float scale, float *maximum, float *sum);

// out[i] = exp(x[i]); results below the smallest normal number are 0, above 88.02 the input is clamped.
void etd_exp(const float *x, float *out, size_t count);

// The largest |x|, 0 for none; NaN where a value is.
float etd_max_abs(const float *x, size_t count);

// 1 when every value is finite, else 0.
int etd_all_finite(const float *x, size_t count);

// f64 products of a state h and the next one g: h·h, g·g, h·g, u·u, u·h with u = g - h.
typedef struct {
    double hh, gg, hg, uu, uh;
} etd_pair_products_t;
etd_pair_products_t etd_pair_products(const float *h, const float *g, size_t d);

// f64 products of the two steps v = b - a and w = c - b between three states: v·v, w·w, v·w.
typedef struct {
    double vv, ww, vw;
} etd_turn_products_t;
etd_turn_products_t etd_turn_products(const float *a, const float *b, const float *c, size_t d);

// Σ x² in f64.
double etd_sum_squares(const float *x, size_t count);
// out[i] = x[i] as f64.
void etd_widen(const float *x, double *out, size_t count);

// log Σ exp(x) over a row, in f64 across blocks.
double etd_log_sum_exp(const float *x, size_t count);

// The index of the greatest value, the lowest one of equals; NaN is passed over; 0 if all are NaN or -inf.
size_t etd_argmax(const float *x, size_t count);

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

// Takes in one panel for one position: `rows` rows of logits (row stride `stride` floats), the last of
// which is the final state's. The panel covers vocabulary ids first_id ..< first_id + count. `scratch`
// holds `count` floats. `target` is the id whose logit is kept, or -1.
void etd_lens_panel(etd_lens_row_t *states, const float *logits, size_t rows, size_t stride,
                    int32_t first_id, size_t count, int32_t target, float *scratch);

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

// sum[i] += x[i]. Returns 1, or 0 where a value is NaN or beyond ETD_EXACT_LARGEST; the sums are then
// worthless.
int etd_exact_add(const double *x, int64_t *high, int64_t *low, size_t count);
// sum[i] += other[i], both carried; the result is carried. Returns as etd_exact_carry.
int etd_exact_merge(int64_t *high, int64_t *low, const int64_t *other_high,
                    const int64_t *other_low, size_t count);
// Returns 1, or 0 where a sum has left the range.
int etd_exact_carry(int64_t *high, int64_t *low, size_t count);

// MARK: Matrix products, one tile at a time on the calling thread

// bfloat16, rounded to nearest even; a NaN stays one.
void etd_round_bf16(const float *x, uint16_t *out, size_t count);

// IEEE half, rounded to nearest even: from 65,520 on infinity; a NaN stays one.
void etd_round_f16(const float *x, uint16_t *out, size_t count);

// Rows of a strip of the left side and columns of a strip of the right side, at the level in use.
// Packed memory belongs to the level it was packed at.
size_t etd_left_strip(void);
size_t etd_right_strip(void);

// Puts row `row` of the left side in its place: packed[strips][depth][etd_left_strip()].
void etd_pack_left(const float *x, size_t row, size_t depth, float *packed);
// Packs `count` columns, given as rows w[count, depth] of row stride `stride`, into whole strips:
// packed[strips][depth][etd_right_strip()]; places beyond `count` become 0.
void etd_pack_right(const float *w, size_t count, size_t stride, size_t depth, float *packed);

// The same of columns given turned: w[depth, count] of row stride `stride`.
void etd_pack_right_turned(const float *w, size_t count, size_t stride, size_t depth, float *packed);

// out[rows, columns] = left · right from packed sides. A value is one chain of (fused, but at the scalar
// level) multiply-adds over the depth, so its bytes do not depend on `rows` or `columns`.
void etd_product(const float *left, size_t rows, const float *right, size_t columns, size_t depth,
                 float *out, size_t stride);

// MARK: bf16 products, one tile at a time on the calling thread

// 1 if the level in use multiplies bf16 itself (AVX-512 on a CPU with AVX512-BF16); the functions below
// are for that case only, and end the process in any other.
int etd_multiplies_bf16(void);

// Values from one row of a left side of `depth` values to the next: at least `depth`, and even. A left
// side is rows of bf16; where the depth is odd, the value after each row's last must be 0.
size_t etd_left_stride_bf16(size_t depth);

// Values that a packed right side takes.
size_t etd_right_size_bf16(size_t columns, size_t depth);

// Columns of a strip of the right side.
size_t etd_right_strip_bf16(void);

// As etd_pack_right and etd_pack_right_turned, of columns in bf16 and of columns that are rounded to it.
void etd_pack_right_bf16(const uint16_t *w, size_t count, size_t stride, size_t depth,
                         uint16_t *packed);
void etd_pack_right_turned_bf16(const float *w, size_t count, size_t stride, size_t depth,
                                uint16_t *packed);

// out[rows, columns] = left · right, or with `adds` += in place of =, from a left side in rows and a packed
// right one. Sums are f32; a value is one chain over the depth, so its bytes do not depend on `rows` or
// `columns`.
void etd_product_bf16(const uint16_t *left, size_t rows, const uint16_t *right, size_t columns,
                      size_t depth, float *out, size_t stride, int adds);

#endif
