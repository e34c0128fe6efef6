// OpenBLAS puts its C interface in an include folder that pkg-config names on Debian.
#include <cblas.h>
#include <stddef.h>

// LAPACK's eigenvalues of a symmetric matrix, by its Fortran name: OpenBLAS holds it, Debian packs its C
// header apart. Strings pass their lengths at the end.
void dsyevd_(const char *job, const char *triangle, const blasint *n, double *a, const blasint *stride,
             double *eigenvalues, double *work, const blasint *work_length, blasint *integers,
             const blasint *integers_length, blasint *info, size_t job_length,
             size_t triangle_length);
