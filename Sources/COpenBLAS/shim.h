// OpenBLAS puts its C interface in an include folder that pkg-config names on Debian.
#include <cblas.h>
