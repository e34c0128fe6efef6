#include "etd_openblas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

// Every function that is used, once: a new one is a line here, one in the header, and its call below.
#define ETD_OPENBLAS(use) \
    use(openblas_get_corename) use(openblas_get_config) use(openblas_set_num_threads) \
    use(cblas_sgemm) use(cblas_dgemm) use(cblas_dsyrk) use(cblas_dsyr) use(cblas_dger) \
    use(dsyevd_) use(dpotrf_) use(dpotrs_)

static struct {
#define ETD_MEMBER(name) __typeof__(&name) name;
    ETD_OPENBLAS(ETD_MEMBER)
} library;

// An entry of the environment that `choose_core` rewrites in place: `setenv` beside threads that read the
// environment could free what they read.
static char core_type[40] = "ETD_OPENBLAS_CORETYPE=";

// Before other threads run, which might be reading the environment: the library starts no threads then.
__attribute__((constructor)) static void prepare_environment(void) {
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    if (getenv("OPENBLAS_CORETYPE") == NULL) putenv(core_type);
}

// A library older than the CPU takes it for the oldest that it knows, and runs without AVX: version 0.3.21 takes
// an Emerald Rapids for a Prescott, at a fifth of the speed. The kernels it should run then, or NULL.
static const char *better_core(const char *chosen) {
#if defined(__x86_64__)
    static const char *const old[] = {
        "Prescott", "Core2", "Penryn", "Dunnington", "Nehalem", "Sandybridge", "Atom", "Nano", "Katmai",
        "Coppermine", "Northwood", "Banias", "Athlon", "Opteron", "Opteron_SSE3", "Barcelona", "Bobcat",
        "Generic",
    };
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        if (strcasecmp(chosen, old[i]) != 0) continue;
        __builtin_cpu_init();
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
            return "SkylakeX";
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
    }
#endif
    (void)chosen;
    return NULL;
}

static void fail(void) {
    const char *reason = dlerror();
    fprintf(stderr,
            "Error: %s; install OpenBLAS (Debian: apt-get install libopenblas0), or name its folder in "
            "LD_LIBRARY_PATH\n",
            reason ? reason : "libopenblas.so.0: cannot load");
    // Not `exit`: this may be one of several threads, and the others still compute.
    _exit(1);
}

static void *open_library(void) {
    void *handle = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) fail();
    return handle;
}

static void load(void) {
    void *handle = open_library();
    // Not where the user has chosen: then the environment holds their entry and not ours.
    if (getenv("OPENBLAS_CORETYPE") == NULL) {
        char *(*chosen)(void) = (char *(*)(void))dlsym(handle, "openblas_get_corename");
        const char *better = chosen == NULL ? NULL : better_core(chosen());
        if (better != NULL && dlclose(handle) == 0) {
            snprintf(core_type, sizeof core_type, "OPENBLAS_CORETYPE=%s", better);
            handle = open_library();
        }
    }
#define ETD_FIND(name) \
    if ((library.name = (__typeof__(&name))dlsym(handle, #name)) == NULL) fail();
    ETD_OPENBLAS(ETD_FIND)
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
#define ETD_LOADED (pthread_once(&once, load), library)

char *openblas_get_corename(void) { return ETD_LOADED.openblas_get_corename(); }

char *openblas_get_config(void) { return ETD_LOADED.openblas_get_config(); }

void openblas_set_num_threads(int threads) { ETD_LOADED.openblas_set_num_threads(threads); }

void cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, blasint m,
                 blasint n, blasint k, float alpha, const float *a, blasint lda, const float *b,
                 blasint ldb, float beta, float *c, blasint ldc) {
    ETD_LOADED.cblas_sgemm(order, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void cblas_dgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, blasint m,
                 blasint n, blasint k, double alpha, const double *a, blasint lda, const double *b,
                 blasint ldb, double beta, double *c, blasint ldc) {
    ETD_LOADED.cblas_dgemm(order, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void cblas_dsyrk(CBLAS_ORDER order, CBLAS_UPLO triangle, CBLAS_TRANSPOSE trans, blasint n, blasint k,
                 double alpha, const double *a, blasint lda, double beta, double *c, blasint ldc) {
    ETD_LOADED.cblas_dsyrk(order, triangle, trans, n, k, alpha, a, lda, beta, c, ldc);
}

void cblas_dsyr(CBLAS_ORDER order, CBLAS_UPLO triangle, blasint n, double alpha, const double *x,
                blasint incx, double *a, blasint lda) {
    ETD_LOADED.cblas_dsyr(order, triangle, n, alpha, x, incx, a, lda);
}

void cblas_dger(CBLAS_ORDER order, blasint m, blasint n, double alpha, const double *x, blasint incx,
                const double *y, blasint incy, double *a, blasint lda) {
    ETD_LOADED.cblas_dger(order, m, n, alpha, x, incx, y, incy, a, lda);
}

void dsyevd_(const char *job, const char *triangle, const blasint *n, double *a, const blasint *stride,
             double *eigenvalues, double *work, const blasint *work_length, blasint *integers,
             const blasint *integers_length, blasint *info, size_t job_length,
             size_t triangle_length) {
    ETD_LOADED.dsyevd_(job, triangle, n, a, stride, eigenvalues, work, work_length, integers,
                       integers_length, info, job_length, triangle_length);
}

void dpotrf_(const char *triangle, const blasint *n, double *a, const blasint *stride, blasint *info,
             size_t triangle_length) {
    ETD_LOADED.dpotrf_(triangle, n, a, stride, info, triangle_length);
}

void dpotrs_(const char *triangle, const blasint *n, const blasint *columns, const double *a,
             const blasint *stride, double *b, const blasint *b_stride, blasint *info,
             size_t triangle_length) {
    ETD_LOADED.dpotrs_(triangle, n, columns, a, stride, b, b_stride, info, triangle_length);
}
