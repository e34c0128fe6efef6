// How fast products of few rows read stored weights, as a share of what the machine reads at all.
// Built and run by scripts/bench-kernels.
//
// Every thread has its own weights, together far larger than the caches, and walks them in strips of
// ETD_DOT_STRIP rows as MatrixProduct does. A reading of the same bytes, which only adds them up, is
// the bound. Passes of reading and of products take turns; medians are printed.

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "etd_kernels.h"

typedef struct {
    const char *name;
    int32_t type;
    size_t block, bytes;
} encoding_t;

static const encoding_t encodings[] = {
    {"f32", 0, 1, 4},        {"bf16", 2, 1, 2},       {"f16", 1, 1, 2},
    {"q8_0", 14, 32, 34},    {"q4_0", 10, 32, 18},    {"q4_1", 11, 32, 20},
    {"q5_0", 12, 32, 22},    {"q5_1", 13, 32, 24},    {"iq4_nl", 15, 32, 18},
    {"q4_K", 22, 256, 144},  {"q5_K", 23, 256, 176},  {"q6_K", 24, 256, 210},
};

enum { MOST_THREADS = 64, MOST_ROWS = 16 };

static size_t depth = 1536;
static int threads = 2;
static size_t megabytes = 96;

typedef struct {
    const encoding_t *encoding;
    size_t rows, count;
    uint8_t *weights;
    float *x, *out;
    uint64_t sum;
} work_t;

static work_t works[MOST_THREADS];
static pthread_barrier_t barrier;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t row_bytes(const encoding_t *e) { return depth / e->block * e->bytes; }

static void read_all(work_t *w) {
    typedef uint64_t v8u __attribute__((vector_size(64)));
    v8u sums[4] = {{0}};
    size_t size = w->count * row_bytes(w->encoding) / 256 * 256;
    for (size_t i = 0; i < size; i += 256)
        for (int j = 0; j < 4; j++) {
            v8u v;
            memcpy(&v, w->weights + i + 64 * j, 64);
            sums[j] ^= v;
        }
    for (int j = 0; j < 4; j++)
        for (int l = 0; l < 8; l++) w->sum ^= sums[j][l];
}

static void multiply_all(work_t *w) {
    const size_t bytes = row_bytes(w->encoding);
    const void *rows[ETD_DOT_STRIP];
    for (size_t first = 0; first < w->count; first += ETD_DOT_STRIP) {
        for (size_t i = 0; i < ETD_DOT_STRIP; i++) rows[i] = w->weights + (first + i) * bytes;
        if (etd_dot_rows(w->encoding->type, w->x, w->rows, depth, rows, ETD_DOT_STRIP, bytes, depth,
                         w->out, ETD_DOT_STRIP) != 0) {
            fprintf(stderr, "no kernel for %s\n", w->encoding->name);
            exit(1);
        }
    }
}

typedef struct {
    int index;
    void (*body)(work_t *);
    double seconds;
} run_t;

static void *run(void *argument) {
    run_t *r = argument;
    pthread_barrier_wait(&barrier);
    double start = now();
    r->body(&works[r->index]);
    r->seconds = now() - start;
    return NULL;
}

// Seconds of the slowest thread.
static double timed(void (*body)(work_t *)) {
    pthread_t ids[MOST_THREADS];
    run_t runs[MOST_THREADS];
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        runs[i] = (run_t){i, body, 0};
        pthread_create(&ids[i], NULL, run, &runs[i]);
    }
    double most = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        if (runs[i].seconds > most) most = runs[i].seconds;
    }
    pthread_barrier_destroy(&barrier);
    return most;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    const char *only = argc > 4 ? argv[4] : "";
    if (argc > 1) threads = atoi(argv[1]);
    if (argc > 2) megabytes = (size_t)atoi(argv[2]);
    if (argc > 3) depth = (size_t)atoi(argv[3]);
    if (threads < 1 || threads > MOST_THREADS || megabytes < 1 || depth == 0 || depth % 256) {
        fprintf(stderr, "1 to %d threads, at least 1 MB each, a depth of whole 256s\n", MOST_THREADS);
        return 64;
    }
    // Room for a strip beyond the last whole one; filled once, so that every page is there.
    const size_t size = megabytes << 20;
    for (int i = 0; i < threads; i++) {
        work_t *w = &works[i];
        if (posix_memalign((void **)&w->weights, 4096, size)) return 1;
        // Small scales wherever a block has one: products of other bits may be slow for being denormal.
        for (size_t j = 0; j < size; j++) w->weights[j] = (uint8_t)(0x28 + (j * 2654435761u >> 28));
        w->x = calloc(MOST_ROWS * depth, sizeof(float));
        w->out = calloc(MOST_ROWS * ETD_DOT_STRIP, sizeof(float));
        for (size_t j = 0; j < MOST_ROWS * depth; j++) w->x[j] = (float)(j % 17) - 8;
    }
    printf("%s, %d threads, %zu MB each, depth %zu\n", etd_cpu_level_name(etd_cpu_level()), threads,
           megabytes, depth);
    printf("%-7s %4s %10s %8s %7s %9s\n", "type", "rows", "read GB/s", "GB/s", "share", "GFLOP/s");
    static const size_t rows[] = {1, 2, 4, 8, 16};
    for (size_t e = 0; e < sizeof encodings / sizeof *encodings; e++) {
        if (*only && strcmp(only, encodings[e].name) != 0) continue;
        for (size_t k = 0; k < sizeof rows / sizeof *rows && rows[k] <= ETD_DOT_ROWS; k++) {
            double reads[5], products[5];
            size_t count = size / row_bytes(&encodings[e]) / ETD_DOT_STRIP * ETD_DOT_STRIP;
            for (int i = 0; i < threads; i++) {
                works[i].encoding = &encodings[e];
                works[i].rows = rows[k];
                works[i].count = count;
            }
            for (int turn = 0; turn < 5; turn++) {
                reads[turn] = timed(read_all);
                products[turn] = timed(multiply_all);
            }
            qsort(reads, 5, sizeof *reads, ascending);
            qsort(products, 5, sizeof *products, ascending);
            double gigabytes = 1e-9 * (double)(count * row_bytes(&encodings[e])) * threads;
            double operations = 2e-9 * (double)(count * depth * rows[k]) * threads;
            printf("%-7s %4zu %10.1f %8.2f %6.0f%% %9.1f\n", encodings[e].name, rows[k],
                   gigabytes / reads[2], gigabytes / products[2], 100 * reads[2] / products[2],
                   operations / products[2]);
            fflush(stdout);
        }
    }
    return 0;
}
