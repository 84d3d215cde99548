#ifndef KERNELS_H
#define KERNELS_H
int kernels_placeholder(void);
#endif
