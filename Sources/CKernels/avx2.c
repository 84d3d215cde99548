#include "sets.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))

// The sums of four accumulators, in order.
TARGET static inline __m128 sums_of_four(__m256 a, __m256 b, __m256 c, __m256 d) {
    __m256 pairs = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}

// Bits for the lanes below `count` of eight.
TARGET static inline __m256i lanes_below(size_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

TARGET void kernels_dot_rows_avx2(
    const float *query, const float *rows, size_t count, size_t dimension, float *scores) {
    size_t whole = dimension / 8 * 8;
    __m256i tail = lanes_below(dimension - whole);
    size_t row = 0;
    for (; row + 4 <= count; row += 4, rows += 4 * dimension) {
        const float *r0 = rows, *r1 = r0 + dimension, *r2 = r1 + dimension, *r3 = r2 + dimension;
        __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
        for (size_t i = 0; i < whole; i += 8) {
            __m256 q = _mm256_loadu_ps(query + i);
            s0 = _mm256_fmadd_ps(q, _mm256_loadu_ps(r0 + i), s0);
            s1 = _mm256_fmadd_ps(q, _mm256_loadu_ps(r1 + i), s1);
            s2 = _mm256_fmadd_ps(q, _mm256_loadu_ps(r2 + i), s2);
            s3 = _mm256_fmadd_ps(q, _mm256_loadu_ps(r3 + i), s3);
        }
        if (whole < dimension) {
            __m256 q = _mm256_maskload_ps(query + whole, tail);
            s0 = _mm256_fmadd_ps(q, _mm256_maskload_ps(r0 + whole, tail), s0);
            s1 = _mm256_fmadd_ps(q, _mm256_maskload_ps(r1 + whole, tail), s1);
            s2 = _mm256_fmadd_ps(q, _mm256_maskload_ps(r2 + whole, tail), s2);
            s3 = _mm256_fmadd_ps(q, _mm256_maskload_ps(r3 + whole, tail), s3);
        }
        _mm_storeu_ps(scores + row, sums_of_four(s0, s1, s2, s3));
    }
    for (; row < count; row++, rows += dimension) {
        __m256 s = _mm256_setzero_ps();
        for (size_t i = 0; i < whole; i += 8) {
            s = _mm256_fmadd_ps(_mm256_loadu_ps(query + i), _mm256_loadu_ps(rows + i), s);
        }
        if (whole < dimension) {
            s = _mm256_fmadd_ps(
                _mm256_maskload_ps(query + whole, tail), _mm256_maskload_ps(rows + whole, tail), s);
        }
        __m256 zero = _mm256_setzero_ps();
        scores[row] = _mm_cvtss_f32(sums_of_four(s, zero, zero, zero));
    }
}

TARGET size_t kernels_select_avx2(const float *scores, size_t count, float threshold, uint32_t *hits) {
    __m256 least = _mm256_set1_ps(threshold);
    size_t found = 0, i = 0;
    for (; i + 8 <= count; i += 8) {
        unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(scores + i), least, _CMP_GE_OQ));
        for (; mask; mask &= mask - 1) hits[found++] = (uint32_t)(i + (size_t)__builtin_ctz(mask));
    }
    for (; i < count; i++) {
        if (scores[i] >= threshold) hits[found++] = (uint32_t)i;
    }
    return found;
}
#endif
