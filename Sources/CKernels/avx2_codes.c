#include "sets.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))

TARGET static inline __m256i code_products(const int16_t *steps, const int8_t *code, size_t dimension) {
    __m256i sums = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 16 <= dimension; i += 16) {
        __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(code + i)));
        __m256i query = _mm256_loadu_si256((const __m256i *)(steps + i));
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(wide, query));
    }
    if (i < dimension) {
        int8_t code_end[16] = {0};
        int16_t steps_end[16] = {0};
        for (size_t j = 0; i + j < dimension; j++) {
            code_end[j] = code[i + j];
            steps_end[j] = steps[i + j];
        }
        __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)code_end));
        __m256i query = _mm256_loadu_si256((const __m256i *)steps_end);
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(wide, query));
    }
    return sums;
}

TARGET static inline int32_t sum_of(__m256i sums) {
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

TARGET void kernels_score_codes_avx2(
    const struct kernels_code_query *query, const int8_t *codes, const float *scales, const uint32_t *rows,
    size_t count, size_t dimension, float *scores) {
    for (size_t index = 0; index < count; index++) {
        size_t row = row_at(rows, index);
        __m256i sums = code_products(query->steps, codes + row * dimension, dimension);
        scores[index] = code_score(query, scales[row], sum_of(sums));
    }
}

// Both lanes added.
TARGET static inline __m128i lanes_added(__m256i a) {
    return _mm_add_epi16(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
}

// Takes what the odd rows carried into the even ones out again, and writes the sums of 16 rows in order.
TARGET static inline void store_sums(__m256i both, __m256i odd, uint16_t *sums) {
    __m128i odds = lanes_added(odd);
    __m128i evens = lanes_added(_mm256_sub_epi16(both, _mm256_slli_epi16(odd, 8)));
    _mm_storeu_si128((__m128i *)sums, _mm_unpacklo_epi16(evens, odds));
    _mm_storeu_si128((__m128i *)(sums + 8), _mm_unpackhi_epi16(evens, odds));
}

TARGET static inline void block_sums(
    const uint8_t *tables, const uint8_t *block, size_t groups, uint16_t *sums) {
    const __m256i halves = _mm256_set1_epi8(15);
    __m256i low = _mm256_setzero_si256(), low_odd = low, high = low, high_odd = low;
    for (size_t i = 0; i < KERNELS_GROUP_BYTES * groups; i += 32) {
        __m256i codes = _mm256_loadu_si256((const __m256i *)(block + i));
        __m256i table = _mm256_loadu_si256((const __m256i *)(tables + i));
        __m256i first = _mm256_shuffle_epi8(table, _mm256_and_si256(codes, halves));
        __m256i second = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(codes, 4), halves));
        low = _mm256_add_epi16(low, first);
        low_odd = _mm256_add_epi16(low_odd, _mm256_srli_epi16(first, 8));
        high = _mm256_add_epi16(high, second);
        high_odd = _mm256_add_epi16(high_odd, _mm256_srli_epi16(second, 8));
    }
    store_sums(low, low_odd, sums);
    store_sums(high, high_odd, sums + 16);
}

TARGET size_t kernels_look_up_avx2(
    const uint8_t *tables, const uint8_t *blocks, size_t count, size_t groups, uint16_t threshold, uint32_t *hits,
    uint16_t *sums) {
    size_t found = 0;
    for (size_t block = 0; block < count; block++, blocks += KERNELS_GROUP_BYTES * groups) {
        uint16_t all[KERNELS_BLOCK_ROWS];
        block_sums(tables, blocks, groups, all);
        for (size_t row = 0; row < KERNELS_BLOCK_ROWS; row++) {
            hits[found] = (uint32_t)(block * KERNELS_BLOCK_ROWS + row);
            sums[found] = all[row];
            found += all[row] >= threshold;
        }
    }
    return found;
}
#endif
