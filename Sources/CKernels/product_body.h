// The register-blocked matrix product, part of the one source of the kernels (see kernels_body.h).
//
// Both sides are packed: the left one in strips of MR rows, [strip][depth][MR], the right one in strips
// of NR columns, [strip][depth][NR]. A tile of MR × NR sums lives in registers; at every step of the
// depth one vector row of the right strip meets MR broadcast values of the left (the shape of Goto and
// van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008).
//
// Accumulation: each value of `out` is one chain over the depth, from index 0 up. Neither the number of
// rows or columns nor any blocking changes its bytes. AVX2 and AVX-512 fuse multiply and add and give
// the same bytes; the scalar level rounds twice.

#define NR (NV * VL)
#define CONCATENATE_(a, b) a##b
#define CONCATENATE(a, b) CONCATENATE_(a, b)

static size_t left_strip(void) { return MR; }

static size_t right_strip(void) { return NR; }

typedef float vector_t __attribute__((vector_size(VL * 4)));

static inline vector_t load_vector(const float *x) {
    vector_t v;
    memcpy(&v, x, sizeof v);
    return v;
}

static inline vector_t splat(float x) {
    vector_t v;
#pragma clang loop unroll(full)
    for (int i = 0; i < VL; i++) v[i] = x;
    return v;
}

// out[MR, NR] (+)= left[depth][MR]ᵀ · right[depth][NR]
static void product_tile(const float *restrict left, const float *restrict right, size_t depth,
                         float *restrict out, size_t stride, int starts) {
    vector_t sums[MR][NV];
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NV; j++)
            sums[i][j] = starts ? (vector_t){} : load_vector(out + i * stride + j * VL);
    for (size_t p = 0; p < depth; p++) {
        vector_t columns[NV];
#pragma clang loop unroll(full)
        for (int j = 0; j < NV; j++) columns[j] = load_vector(right + p * NR + j * VL);
#pragma clang loop unroll(full)
        for (int i = 0; i < MR; i++) {
            vector_t row = splat(left[p * MR + i]);
#pragma clang loop unroll(full)
            for (int j = 0; j < NV; j++) sums[i][j] = MULTIPLY_ADD(row, columns[j], sums[i][j]);
        }
    }
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NV; j++) memcpy(out + i * stride + j * VL, &sums[i][j], VL * 4);
}

static void product(const float *left, size_t rows, const float *right, size_t columns,
                    size_t depth, float *out, size_t stride) {
    // Equal parts of the depth, such that a right strip stays in the first-level cache.
    size_t parts = (depth + 319) / 320;
    size_t part = parts ? (depth + parts - 1) / parts : 0;
    for (size_t p = 0; p == 0 || p < depth; p += part) {
        size_t length = p + part < depth ? part : depth - p;
        for (size_t j = 0; j < columns; j += NR) {
            for (size_t i = 0; i < rows; i += MR) {
                const float *l = left + i * depth, *r = right + j * depth;
                if (i + MR <= rows && j + NR <= columns) {
                    product_tile(l + p * MR, r + p * NR, length, out + i * stride + j, stride,
                                 p == 0);
                } else if (p == 0) {
                    // A tile that reaches beyond the edge, over the whole depth at once.
                    float tile[MR * NR];
                    product_tile(l, r, depth, tile, NR, 1);
                    size_t height = rows - i < MR ? rows - i : MR;
                    size_t width = columns - j < NR ? columns - j : NR;
                    for (size_t y = 0; y < height; y++)
                        memcpy(out + (i + y) * stride + j, tile + y * NR, width * sizeof(float));
                }
            }
        }
        if (!depth) break;
    }
}

static void pack_left(const float *x, size_t row, size_t depth, float *packed) {
    float *target = packed + row / MR * MR * depth + row % MR;
    for (size_t p = 0; p < depth; p++) target[p * MR] = x[p];
}

static void pack_right(const float *w, size_t count, size_t stride, size_t depth, float *packed) {
    for (size_t first = 0; first < count; first += NR) {
        float *strip = packed + first * depth;
        size_t width = count - first < NR ? count - first : NR;
        size_t p = 0;
        // Squares of 4 × 4, turned in registers.
        for (; p + 4 <= depth; p += 4) {
            for (size_t j = 0; j + 4 <= width; j += 4) {
                v4f a, b, c, d;
                const float *source = w + (first + j) * stride + p;
                memcpy(&a, source, 16);
                memcpy(&b, source + stride, 16);
                memcpy(&c, source + 2 * stride, 16);
                memcpy(&d, source + 3 * stride, 16);
                v4f ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
                v4f cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
                v4f ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
                v4f cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
                v4f turned[4] = {__builtin_shufflevector(ab, cd, 0, 1, 4, 5),
                                 __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
                                 __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5),
                                 __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7)};
                for (int q = 0; q < 4; q++) memcpy(strip + (p + q) * NR + j, &turned[q], 16);
            }
            for (size_t j = width / 4 * 4; j < width; j++)
                for (int q = 0; q < 4; q++)
                    strip[(p + q) * NR + j] = w[(first + j) * stride + p + q];
        }
        for (; p < depth; p++)
            for (size_t j = 0; j < width; j++) strip[p * NR + j] = w[(first + j) * stride + p];
        // Columns beyond the edge are computed and dropped; zeros keep them free of slow denormals.
        for (size_t q = 0; q < depth && width < NR; q++)
            memset(strip + q * NR + width, 0, (NR - width) * sizeof(float));
    }
}

static void pack_right_turned(const float *w, size_t count, size_t stride, size_t depth,
                              float *packed) {
    for (size_t first = 0; first < count; first += NR) {
        float *strip = packed + first * depth;
        size_t width = count - first < NR ? count - first : NR;
        for (size_t p = 0; p < depth; p++) {
            memcpy(strip + p * NR, w + p * stride + first, width * sizeof(float));
            memset(strip + p * NR + width, 0, (NR - width) * sizeof(float));
        }
    }
}
