#ifndef ETD_KERNELS_H
#define ETD_KERNELS_H
#endif
