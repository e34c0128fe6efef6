// Additions to fixed-point sums of two words; etd_kernels.h says what they hold. Part of kernels_body.h.

typedef int64_t v4l __attribute__((vector_size(32)));
typedef double v4d __attribute__((vector_size(32)));

// Adding 1.5·2^52 to a value of at most 2^51 rounds it to a whole number, ties to even, and leaves that
// number in the low bits: there is no conversion of f64 to 64-bit integers below AVX-512.
#define EXACT_SHIFT 0x1.8p52

static int exact_add(const double *x, int64_t *high, int64_t *low, size_t count) {
    const v4l shift_bits = (v4l)((v4d){} + EXACT_SHIFT);
    v4l good = (v4l){} - 1;
    for (size_t i = 0; i < count; i += 4) {
        size_t width = count - i < 4 ? count - i : 4;
        v4d v = {};
        v4l h = {}, l = {};
        if (width == 4) {
            memcpy(&v, x + i, sizeof v);
            memcpy(&h, high + i, sizeof h);
            memcpy(&l, low + i, sizeof l);
        } else {
            memcpy(&v, x + i, width * sizeof(double));
            memcpy(&h, high + i, width * sizeof(int64_t));
            memcpy(&l, low + i, width * sizeof(int64_t));
        }
        // False for NaN.
        good &= (v <= ETD_EXACT_LARGEST) & (v >= -ETD_EXACT_LARGEST);
        v4d scaled = v * 0x1p48;
        v4d upper = scaled * 0x1p-52 + EXACT_SHIFT;
        // Exact: what is left is at most half a unit of the upper word.
        v4d rest = scaled - (upper - EXACT_SHIFT) * 0x1p52;
        v4d lower = rest + EXACT_SHIFT;
        h += (v4l)upper - shift_bits;
        l += (v4l)lower - shift_bits;
        memcpy(high + i, &h, width * sizeof(int64_t));
        memcpy(low + i, &l, width * sizeof(int64_t));
    }
    return (good[0] & good[1] & good[2] & good[3]) != 0;
}
