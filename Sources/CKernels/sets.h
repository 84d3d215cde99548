#ifndef FLETCH_CKERNELS_SETS_H
#define FLETCH_CKERNELS_SETS_H

#include "CKernels.h"

// What every instruction set implements, by the names of their kinds in CKernels.h.
#define DECLARE_KERNELS(set)                                                                                           \
    void kernels_dot_rows_##set(                                                                                       \
        const float *query, const float *rows, size_t count, size_t dimension, float *scores);                         \
    size_t kernels_select_##set(const float *scores, size_t count, float threshold, uint32_t *hits);                   \
    void kernels_score_codes_##set(                                                                                    \
        const struct kernels_code_query *query, const int8_t *codes, const float *scales, const uint32_t *rows,        \
        size_t count, size_t dimension, float *scores);                                                                \
    size_t kernels_look_up_##set(                                                                                      \
        const uint8_t *tables, const uint8_t *blocks, size_t count, size_t groups, uint16_t threshold, uint32_t *hits, \
        uint16_t *sums);

DECLARE_KERNELS(portable)

#if defined(__x86_64__)
DECLARE_KERNELS(avx2)
DECLARE_KERNELS(avx512)
// Differs from avx512 in this alone.
void kernels_score_codes_avx512_vnni(
    const struct kernels_code_query *query, const int8_t *codes, const float *scales, const uint32_t *rows,
    size_t count, size_t dimension, float *scores);
#endif

#if defined(__aarch64__)
DECLARE_KERNELS(neon)
#endif

// The number of the `index`-th row asked for.
static inline size_t row_at(const uint32_t *rows, size_t index) { return rows ? rows[index] : index; }

// What is published of a product of codes; not contracted, so that it is the same everywhere.
static inline float code_score(const struct kernels_code_query *query, float scale, int32_t product) {
    float scaled = query->step * (float)product;
    float widened = scaled + query->margin;
    return scale * widened;
}

#endif
