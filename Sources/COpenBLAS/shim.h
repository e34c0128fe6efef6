// OpenBLAS puts its C interface in an include folder that pkg-config names on Debian.
#include <cblas.h>
#include <stddef.h>

// LAPACK's eigenvalues of a symmetric matrix, by its Fortran name: OpenBLAS holds it, Debian packs its C
// header apart. Strings pass their lengths at the end.
void dsyevd_(const char *job, const char *triangle, const blasint *n, double *a, const blasint *stride,
             double *eigenvalues, double *work, const blasint *work_length, blasint *integers,
             const blasint *integers_length, blasint *info, size_t job_length,
             size_t triangle_length);
// LAPACK's Cholesky factor and its solve, by their Fortran names: OpenBLAS holds them, Debian packs
// their C header apart. Strings pass their lengths at the end.
void dpotrf_(const char *triangle, const blasint *n, double *a, const blasint *stride, blasint *info,
             size_t triangle_length);
void dpotrs_(const char *triangle, const blasint *n, const blasint *columns, const double *a,
             const blasint *stride, double *b, const blasint *b_stride, blasint *info,
             size_t triangle_length);
