// What training adds to the kernels, part of the one source of them (see kernels_body.h): backward passes
// of the norms, the optimizer's step, and products that add to what is there.

// With x̂ = x·f, f = 1/√(mean x² + ε), the norm is out = x̂·w, so for gradients g of out
// dx = f·(w·g - x̂·mean(w·g·x̂)).
static void rms_norm_backward(const float *x, const float *weight, float offset, float epsilon,
                              const float *gradient, float *out, size_t d) {
    v16f squares = {}, products = {};
    for (size_t i = 0; i < d; i += LANES) {
        size_t rest = d - i < LANES ? d - i : LANES;
        v16f v = load_part(x + i, rest, 0), g = load_part(gradient + i, rest, 0);
        if (weight) g *= load_part(weight + i, rest, 0) + offset;
        squares += v * v;
        products += v * g;
    }
    float factor = 1.0f / sqrtf(sum_lanes(squares) / (float)d + epsilon);
    float pull = sum_lanes(products) / (float)d * factor * factor;
    for (size_t i = 0; i < d; i++) {
        float g = weight ? gradient[i] * (weight[i] + offset) : gradient[i];
        out[i] = factor * (g - x[i] * pull);
    }
}

// With x̂ = (x - mean)·f, f = 1/√(variance + ε), the norm is out = x̂·w + b, so
// dx = f·(w·g - mean(w·g) - x̂·mean(w·g·x̂)).
static void layer_norm_backward(const float *x, const float *weight, float epsilon,
                                const float *gradient, float *out, size_t d) {
    v16f sums = {}, gradients = {};
    for (size_t i = 0; i < d; i += LANES) {
        size_t rest = d - i < LANES ? d - i : LANES;
        v16f g = load_part(gradient + i, rest, 0);
        if (weight) g *= load_part(weight + i, rest, 0);
        sums += load_part(x + i, rest, 0);
        gradients += g;
    }
    float mean = sum_lanes(sums) / (float)d;
    float level = sum_lanes(gradients) / (float)d;
    v16f squares = {}, products = {};
    for (size_t i = 0; i < d; i += LANES) {
        size_t rest = d - i < LANES ? d - i : LANES;
        v16f v = load_part(x + i, rest, mean) - mean, g = load_part(gradient + i, rest, 0);
        if (weight) g *= load_part(weight + i, rest, 0);
        squares += v * v;
        products += v * g;
    }
    float factor = 1.0f / sqrtf(sum_lanes(squares) / (float)d + epsilon);
    float pull = sum_lanes(products) / (float)d * factor * factor;
    for (size_t i = 0; i < d; i++) {
        float g = weight ? gradient[i] * weight[i] : gradient[i];
        out[i] = factor * (g - level - (x[i] - mean) * pull);
    }
}

static void adamw(float *parameters, float *mean, float *square, const float *gradient,
                  etd_adamw_t step, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float g = gradient[i];
        float m = step.beta1 * mean[i] + (1.0f - step.beta1) * g;
        float s = step.beta2 * square[i] + (1.0f - step.beta2) * (g * g);
        mean[i] = m;
        square[i] = s;
        float decayed = parameters[i] * (1.0f - step.rate * step.decay);
        parameters[i] = decayed - step.rate * (m / step.correction1) /
                                      (sqrtf(s / step.correction2) + step.epsilon);
    }
}

// Rows of the left side are the columns of x, which stand side by side there as they do in a strip.
static void pack_left_turned(const float *x, size_t depth, size_t stride, size_t count,
                             float *packed) {
    for (size_t first = 0; first < count; first += MR) {
        float *strip = packed + first * depth;
        size_t width = count - first < MR ? count - first : MR;
        for (size_t p = 0; p < depth; p++) {
            memcpy(strip + p * MR, x + p * stride + first, width * sizeof(float));
            memset(strip + p * MR + width, 0, (MR - width) * sizeof(float));
        }
    }
}

// As product, but starting from what `out` holds, over the whole depth at once.
static void product_add(const float *left, size_t rows, const float *right, size_t columns,
                        size_t depth, float *out, size_t stride) {
    for (size_t j = 0; j < columns; j += NR) {
        for (size_t i = 0; i < rows; i += MR) {
            const float *l = left + i * depth, *r = right + j * depth;
            size_t height = rows - i < MR ? rows - i : MR;
            size_t width = columns - j < NR ? columns - j : NR;
            if (height == MR && width == NR) {
                product_tile(l, r, depth, out + i * stride + j, stride, 0);
                continue;
            }
            float tile[MR * NR] = {0};
            for (size_t y = 0; y < height; y++)
                memcpy(tile + y * NR, out + (i + y) * stride + j, width * sizeof(float));
            product_tile(l, r, depth, tile, NR, 0);
            for (size_t y = 0; y < height; y++)
                memcpy(out + (i + y) * stride + j, tile + y * NR, width * sizeof(float));
        }
    }
}

// In squares that the first-level cache holds.
static void turn_bf16(const float *w, size_t rows, size_t columns, uint16_t *out) {
    enum { SIDE = 32 };
    uint16_t square[SIDE * SIDE];
    for (size_t r = 0; r < rows; r += SIDE) {
        size_t height = rows - r < SIDE ? rows - r : SIDE;
        for (size_t c = 0; c < columns; c += SIDE) {
            size_t width = columns - c < SIDE ? columns - c : SIDE;
            for (size_t y = 0; y < height; y++)
                round_bf16(w + (r + y) * columns + c, square + y * SIDE, width);
            for (size_t x = 0; x < width; x++)
                for (size_t y = 0; y < height; y++)
                    out[(c + x) * rows + r + y] = square[y * SIDE + x];
        }
    }
}
