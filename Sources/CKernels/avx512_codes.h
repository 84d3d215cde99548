// The scores of 8-bit codes in AVX-512, for two instruction sets: whoever includes this defines TARGET, NAME and
// MULTIPLY_ADD(sums, a, b), which adds the products of neighbouring 16-bit pairs of a and b to 32-bit sums.
#include "sets.h"

#include <immintrin.h>

// For each of four vectors a sum in every 128-bit lane, which the lanes together are the vector's sum of.
TARGET static inline __m512i sums_of_four(__m512i a, __m512i b, __m512i c, __m512i d) {
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

// Adds the lanes of four times four vectors: element i of the result is the sum of vector i.
TARGET static inline __m512i sums_of_sixteen(const __m512i *fours) {
    __m512i low = _mm512_add_epi32(
        _mm512_shuffle_i32x4(fours[0], fours[1], 0x88), _mm512_shuffle_i32x4(fours[0], fours[1], 0xdd));
    __m512i high = _mm512_add_epi32(
        _mm512_shuffle_i32x4(fours[2], fours[3], 0x88), _mm512_shuffle_i32x4(fours[2], fours[3], 0xdd));
    return _mm512_add_epi32(_mm512_shuffle_i32x4(low, high, 0x88), _mm512_shuffle_i32x4(low, high, 0xdd));
}

TARGET static inline __m512i wide(const int8_t *code) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)code));
}

TARGET static inline __m512i wide_end(__mmask32 tail, const int8_t *code) {
    return _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(tail, code));
}

// The products of four rows with the steps, summed as sums_of_four does.
TARGET static inline __m512i products_of_four(
    const int16_t *steps, const int8_t *const *code, size_t whole, __mmask32 tail) {
    __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
    for (size_t i = 0; i < whole; i += 32) {
        __m512i query = _mm512_loadu_si512(steps + i);
        s0 = MULTIPLY_ADD(s0, wide(code[0] + i), query);
        s1 = MULTIPLY_ADD(s1, wide(code[1] + i), query);
        s2 = MULTIPLY_ADD(s2, wide(code[2] + i), query);
        s3 = MULTIPLY_ADD(s3, wide(code[3] + i), query);
    }
    if (tail) {
        __m512i query = _mm512_maskz_loadu_epi16(tail, steps + whole);
        s0 = MULTIPLY_ADD(s0, wide_end(tail, code[0] + whole), query);
        s1 = MULTIPLY_ADD(s1, wide_end(tail, code[1] + whole), query);
        s2 = MULTIPLY_ADD(s2, wide_end(tail, code[2] + whole), query);
        s3 = MULTIPLY_ADD(s3, wide_end(tail, code[3] + whole), query);
    }
    return sums_of_four(s0, s1, s2, s3);
}

TARGET static inline int32_t product_of_one(
    const int16_t *steps, const int8_t *code, size_t whole, __mmask32 tail) {
    __m512i sums = _mm512_setzero_si512();
    for (size_t i = 0; i < whole; i += 32) sums = MULTIPLY_ADD(sums, wide(code + i), _mm512_loadu_si512(steps + i));
    if (tail) {
        sums = MULTIPLY_ADD(sums, wide_end(tail, code + whole), _mm512_maskz_loadu_epi16(tail, steps + whole));
    }
    return _mm512_reduce_add_epi32(sums);
}

TARGET static inline __attribute__((always_inline)) void score_codes(
    const struct kernels_code_query *query, const int8_t *codes, const float *scales, const uint32_t *rows,
    size_t count, size_t dimension, float *scores) {
    size_t whole = dimension / 32 * 32;
    __mmask32 tail = (__mmask32)((1ull << (dimension - whole)) - 1);
    size_t index = 0;
    for (; index + 16 <= count; index += 16) {
        __m512i fours[4];
        for (size_t i = 0; i < 4; i++) {
            const int8_t *code[4];
            for (size_t j = 0; j < 4; j++) code[j] = codes + row_at(rows, index + 4 * i + j) * dimension;
            fours[i] = products_of_four(query->steps, code, whole, tail);
        }
        __m512 products = _mm512_cvtepi32_ps(sums_of_sixteen(fours));
        __m512 widened = _mm512_add_ps(
            _mm512_mul_ps(_mm512_set1_ps(query->step), products), _mm512_set1_ps(query->margin));
        __m512 scale = rows ? _mm512_i32gather_ps(_mm512_loadu_si512(rows + index), scales, 4)
                            : _mm512_loadu_ps(scales + index);
        _mm512_storeu_ps(scores + index, _mm512_mul_ps(scale, widened));
    }
    for (; index < count; index++) {
        size_t row = row_at(rows, index);
        int32_t product = product_of_one(query->steps, codes + row * dimension, whole, tail);
        scores[index] = code_score(query, scales[row], product);
    }
}

TARGET void NAME(
    const struct kernels_code_query *query, const int8_t *codes, const float *scales, const uint32_t *rows,
    size_t count, size_t dimension, float *scores) {
    if (rows) {
        score_codes(query, codes, scales, rows, count, dimension, scores);
    } else if (dimension == 64) {
        // The loops unroll: so short rows would spend a third of their time in them.
        score_codes(query, codes, scales, 0, count, 64, scores);
    } else {
        score_codes(query, codes, scales, 0, count, dimension, scores);
    }
}
