// The scores of 8-bit codes in AVX-512, for two instruction sets: whoever includes this defines TARGET, NAME and
// MULTIPLY_ADD(sums, a, b), which adds the products of neighbouring 16-bit pairs of a and b to 32-bit sums.
#include "sets.h"

#include <immintrin.h>

// Adds the lanes of sixteen vectors: lane i of the result is the sum of vector i.
TARGET static inline __m512i sums_of_sixteen(const __m512i *s) {
    __m512i quarters[4];
    for (int i = 0; i < 4; i++) {
        const __m512i *v = s + 4 * i;
        __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
        __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
        quarters[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    }
    // Each 128-bit lane of a quarter holds partial sums of its four vectors: add the four lanes.
    __m512i low = _mm512_add_epi32(
        _mm512_shuffle_i32x4(quarters[0], quarters[1], 0x88), _mm512_shuffle_i32x4(quarters[0], quarters[1], 0xdd));
    __m512i high = _mm512_add_epi32(
        _mm512_shuffle_i32x4(quarters[2], quarters[3], 0x88), _mm512_shuffle_i32x4(quarters[2], quarters[3], 0xdd));
    return _mm512_add_epi32(_mm512_shuffle_i32x4(low, high, 0x88), _mm512_shuffle_i32x4(low, high, 0xdd));
}

TARGET static inline __m512i code_products(
    const int16_t *steps, const int8_t *code, size_t whole, __mmask32 tail) {
    __m512i sums = _mm512_setzero_si512();
    for (size_t i = 0; i < whole; i += 32) {
        __m512i wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(code + i)));
        sums = MULTIPLY_ADD(sums, wide, _mm512_loadu_si512(steps + i));
    }
    if (tail) {
        __m512i wide = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(tail, code + whole));
        sums = MULTIPLY_ADD(sums, wide, _mm512_maskz_loadu_epi16(tail, steps + whole));
    }
    return sums;
}

TARGET static inline __attribute__((always_inline)) void score_codes(
    const struct kernels_code_query *query, const int8_t *codes, const float *scales, const uint32_t *rows,
    size_t count, size_t dimension, float *scores) {
    size_t whole = dimension / 32 * 32;
    __mmask32 tail = (__mmask32)((1ull << (dimension - whole)) - 1);
    size_t index = 0;
    for (; index + 16 <= count; index += 16) {
        __m512i sums[16];
        for (size_t i = 0; i < 16; i++) {
            sums[i] = code_products(query->steps, codes + row_at(rows, index + i) * dimension, whole, tail);
        }
        __m512 products = _mm512_cvtepi32_ps(sums_of_sixteen(sums));
        __m512 widened = _mm512_add_ps(
            _mm512_mul_ps(_mm512_set1_ps(query->step), products), _mm512_set1_ps(query->margin));
        __m512 scale = rows ? _mm512_i32gather_ps(_mm512_loadu_si512(rows + index), scales, 4)
                            : _mm512_loadu_ps(scales + index);
        _mm512_storeu_ps(scores + index, _mm512_mul_ps(scale, widened));
    }
    for (; index < count; index++) {
        size_t row = row_at(rows, index);
        __m512i sums = code_products(query->steps, codes + row * dimension, whole, tail);
        scores[index] = code_score(query, scales[row], _mm512_reduce_add_epi32(sums));
    }
}

TARGET void NAME(
    const struct kernels_code_query *query, const int8_t *codes, const float *scales, const uint32_t *rows,
    size_t count, size_t dimension, float *scores) {
    if (rows) {
        score_codes(query, codes, scales, rows, count, dimension, scores);
    } else {
        score_codes(query, codes, scales, 0, count, dimension, scores);
    }
}
