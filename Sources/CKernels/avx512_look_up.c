#include "sets.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512vl,avx512bw,avx2,fma")))

// The sums of 32 rows, in order.
TARGET static inline __m512i block_sums(const uint8_t *tables, const uint8_t *block, size_t groups) {
    const __m512i halves = _mm512_set1_epi8(15);
    // Bytes are added in pairs as 16 bits: `low` and `high` have what the odd rows carry into the even ones, too.
    __m512i low = _mm512_setzero_si512(), low_odd = low, high = low, high_odd = low;
    for (size_t group = 0; group < groups; group++) {
        __m512i codes = _mm512_loadu_si512(block + KERNELS_GROUP_BYTES * group);
        __m512i table = _mm512_loadu_si512(tables + KERNELS_GROUP_BYTES * group);
        __m512i first = _mm512_shuffle_epi8(table, _mm512_and_si512(codes, halves));
        __m512i second = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(codes, 4), halves));
        low = _mm512_add_epi16(low, first);
        low_odd = _mm512_add_epi16(low_odd, _mm512_srli_epi16(first, 8));
        high = _mm512_add_epi16(high, second);
        high_odd = _mm512_add_epi16(high_odd, _mm512_srli_epi16(second, 8));
    }
    low = _mm512_sub_epi16(low, _mm512_slli_epi16(low_odd, 8));
    high = _mm512_sub_epi16(high, _mm512_slli_epi16(high_odd, 8));
    // Add the four lanes of each, so that lane i belongs to sum i: low, low_odd, high, high_odd.
    __m512i a = _mm512_add_epi16(_mm512_shuffle_i32x4(low, low_odd, 0x88), _mm512_shuffle_i32x4(low, low_odd, 0xdd));
    __m512i b = _mm512_add_epi16(
        _mm512_shuffle_i32x4(high, high_odd, 0x88), _mm512_shuffle_i32x4(high, high_odd, 0xdd));
    __m512i all = _mm512_add_epi16(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
    const __m512i order = _mm512_set_epi16(
        31, 23, 30, 22, 29, 21, 28, 20, 27, 19, 26, 18, 25, 17, 24, 16, 15, 7, 14, 6, 13, 5, 12, 4, 11, 3, 10, 2, 9, 1,
        8, 0);
    return _mm512_permutexvar_epi16(order, all);
}

TARGET size_t kernels_look_up_avx512(
    const uint8_t *tables, const uint8_t *blocks, size_t count, size_t groups, uint16_t threshold, uint32_t *hits,
    uint16_t *sums) {
    __m512i least = _mm512_set1_epi16((short)threshold);
    size_t found = 0;
    for (size_t block = 0; block < count; block++, blocks += KERNELS_GROUP_BYTES * groups) {
        __m512i all = block_sums(tables, blocks, groups);
        uint32_t mask = _mm512_cmpge_epu16_mask(all, least);
        if (mask == 0) continue;
        uint16_t stored[KERNELS_BLOCK_ROWS];
        _mm512_storeu_si512(stored, all);
        for (; mask; mask &= mask - 1) {
            size_t row = (size_t)__builtin_ctz(mask);
            hits[found] = (uint32_t)(block * KERNELS_BLOCK_ROWS + row);
            sums[found++] = stored[row];
        }
    }
    return found;
}
#endif
