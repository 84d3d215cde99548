#ifndef FLETCH_CKERNELS_SETS_H
#define FLETCH_CKERNELS_SETS_H

#include <stddef.h>
#include <stdint.h>

size_t kernels_select_portable(const float *scores, size_t count, float threshold, uint32_t *hits);

#if defined(__x86_64__)
void kernels_dot_rows_avx2(const float *query, const float *rows, size_t count, size_t dimension, float *scores);
size_t kernels_select_avx2(const float *scores, size_t count, float threshold, uint32_t *hits);
void kernels_dot_rows_avx512(const float *query, const float *rows, size_t count, size_t dimension, float *scores);
size_t kernels_select_avx512(const float *scores, size_t count, float threshold, uint32_t *hits);
#endif

#if defined(__aarch64__)
void kernels_dot_rows_neon(const float *query, const float *rows, size_t count, size_t dimension, float *scores);
size_t kernels_select_neon(const float *scores, size_t count, float threshold, uint32_t *hits);
#endif

#endif
