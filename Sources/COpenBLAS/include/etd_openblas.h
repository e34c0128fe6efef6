// OpenBLAS as far as this package uses it, by its own names.
//
// The library is loaded at the first call and not linked: linked, it starts a thread for each core before
// `main`, which this package never uses (it spreads its work itself). Where memory is short such a thread
// spins for ever and the process never ends, or the library ends it with a signal.
#ifndef ETD_OPENBLAS_H
#define ETD_OPENBLAS_H

#include <stddef.h>

// The library's usual interface: 32-bit dimensions.
typedef int blasint;

typedef enum CBLAS_ORDER { CblasRowMajor = 101, CblasColMajor = 102 } CBLAS_ORDER;
typedef enum CBLAS_TRANSPOSE { CblasNoTrans = 111, CblasTrans = 112 } CBLAS_TRANSPOSE;
typedef enum CBLAS_UPLO { CblasUpper = 121, CblasLower = 122 } CBLAS_UPLO;

#pragma GCC visibility push(hidden)

// The CPU whose kernels it chose, and how it was built.
char *openblas_get_corename(void);
char *openblas_get_config(void);
void openblas_set_num_threads(int threads);

// C ← alpha · op(A) · op(B) + beta · C.
void cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, blasint m,
                 blasint n, blasint k, float alpha, const float *a, blasint lda, const float *b,
                 blasint ldb, float beta, float *c, blasint ldc);
void cblas_dgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, blasint m,
                 blasint n, blasint k, double alpha, const double *a, blasint lda, const double *b,
                 blasint ldb, double beta, double *c, blasint ldc);
// One triangle of C ← alpha · A · Aᵀ + beta · C, or of Aᵀ · A.
void cblas_dsyrk(CBLAS_ORDER order, CBLAS_UPLO triangle, CBLAS_TRANSPOSE trans, blasint n, blasint k,
                 double alpha, const double *a, blasint lda, double beta, double *c, blasint ldc);
// One triangle of A ← alpha · x · xᵀ + A, and A ← alpha · x · yᵀ + A.
void cblas_dsyr(CBLAS_ORDER order, CBLAS_UPLO triangle, blasint n, double alpha, const double *x,
                blasint incx, double *a, blasint lda);
void cblas_dger(CBLAS_ORDER order, blasint m, blasint n, double alpha, const double *x, blasint incx,
                const double *y, blasint incy, double *a, blasint lda);

// LAPACK by its Fortran names. Strings pass their lengths at the end.
// Eigenvalues of a symmetric matrix.
void dsyevd_(const char *job, const char *triangle, const blasint *n, double *a, const blasint *stride,
             double *eigenvalues, double *work, const blasint *work_length, blasint *integers,
             const blasint *integers_length, blasint *info, size_t job_length, size_t triangle_length);
// Cholesky factor, and the solution of a system with it.
void dpotrf_(const char *triangle, const blasint *n, double *a, const blasint *stride, blasint *info,
             size_t triangle_length);
void dpotrs_(const char *triangle, const blasint *n, const blasint *columns, const double *a,
             const blasint *stride, double *b, const blasint *b_stride, blasint *info,
             size_t triangle_length);

#pragma GCC visibility pop

#endif
