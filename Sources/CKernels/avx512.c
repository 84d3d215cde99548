#include "sets.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512vl,avx2,fma")))

TARGET static inline __m256 halves_added(__m512 a) {
    return _mm256_add_ps(
        _mm512_castps512_ps256(a), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1)));
}

// The sums of four accumulators, in order.
TARGET static inline __m128 sums_of_four(__m512 a, __m512 b, __m512 c, __m512 d) {
    __m256 ab = _mm256_hadd_ps(halves_added(a), halves_added(b));
    __m256 cd = _mm256_hadd_ps(halves_added(c), halves_added(d));
    __m256 pairs = _mm256_hadd_ps(ab, cd);
    return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}

TARGET void kernels_dot_rows_avx512(
    const float *query, const float *rows, size_t count, size_t dimension, float *scores) {
    size_t whole = dimension / 16 * 16;
    __mmask16 tail = (__mmask16)((1u << (dimension - whole)) - 1);
    size_t row = 0;
    for (; row + 4 <= count; row += 4, rows += 4 * dimension) {
        const float *r0 = rows, *r1 = r0 + dimension, *r2 = r1 + dimension, *r3 = r2 + dimension;
        __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
        for (size_t i = 0; i < whole; i += 16) {
            __m512 q = _mm512_loadu_ps(query + i);
            s0 = _mm512_fmadd_ps(q, _mm512_loadu_ps(r0 + i), s0);
            s1 = _mm512_fmadd_ps(q, _mm512_loadu_ps(r1 + i), s1);
            s2 = _mm512_fmadd_ps(q, _mm512_loadu_ps(r2 + i), s2);
            s3 = _mm512_fmadd_ps(q, _mm512_loadu_ps(r3 + i), s3);
        }
        if (tail) {
            __m512 q = _mm512_maskz_loadu_ps(tail, query + whole);
            s0 = _mm512_fmadd_ps(q, _mm512_maskz_loadu_ps(tail, r0 + whole), s0);
            s1 = _mm512_fmadd_ps(q, _mm512_maskz_loadu_ps(tail, r1 + whole), s1);
            s2 = _mm512_fmadd_ps(q, _mm512_maskz_loadu_ps(tail, r2 + whole), s2);
            s3 = _mm512_fmadd_ps(q, _mm512_maskz_loadu_ps(tail, r3 + whole), s3);
        }
        _mm_storeu_ps(scores + row, sums_of_four(s0, s1, s2, s3));
    }
    for (; row < count; row++, rows += dimension) {
        __m512 s = _mm512_setzero_ps();
        for (size_t i = 0; i < whole; i += 16) {
            s = _mm512_fmadd_ps(_mm512_loadu_ps(query + i), _mm512_loadu_ps(rows + i), s);
        }
        if (tail) {
            s = _mm512_fmadd_ps(
                _mm512_maskz_loadu_ps(tail, query + whole), _mm512_maskz_loadu_ps(tail, rows + whole), s);
        }
        scores[row] = _mm512_reduce_add_ps(s);
    }
}

TARGET size_t kernels_select_avx512(const float *scores, size_t count, float threshold, uint32_t *hits) {
    __m512 least = _mm512_set1_ps(threshold);
    size_t found = 0;
    for (size_t i = 0; i < count; i += 16) {
        __mmask16 lanes = count - i >= 16 ? 0xffff : (__mmask16)((1u << (count - i)) - 1);
        __m512 block = _mm512_maskz_loadu_ps(lanes, scores + i);
        unsigned mask = _mm512_mask_cmp_ps_mask(lanes, block, least, _CMP_GE_OQ);
        for (; mask; mask &= mask - 1) hits[found++] = (uint32_t)(i + (size_t)__builtin_ctz(mask));
    }
    return found;
}
#endif
