#include "sets.h"

#if defined(__aarch64__)
#include <arm_neon.h>

void kernels_dot_rows_neon(
    const float *query, const float *rows, size_t count, size_t dimension, float *scores) {
    size_t whole = dimension / 8 * 8;
    for (size_t row = 0; row < count; row++, rows += dimension) {
        float32x4_t s0 = vdupq_n_f32(0), s1 = s0;
        for (size_t i = 0; i < whole; i += 8) {
            s0 = vfmaq_f32(s0, vld1q_f32(query + i), vld1q_f32(rows + i));
            s1 = vfmaq_f32(s1, vld1q_f32(query + i + 4), vld1q_f32(rows + i + 4));
        }
        float sum = vaddvq_f32(vaddq_f32(s0, s1));
        for (size_t i = whole; i < dimension; i++) sum += query[i] * rows[i];
        scores[row] = sum;
    }
}

size_t kernels_select_neon(const float *scores, size_t count, float threshold, uint32_t *hits) {
    float32x4_t least = vdupq_n_f32(threshold);
    size_t found = 0, i = 0;
    for (; i + 4 <= count; i += 4) {
        if (vmaxvq_u32(vcgeq_f32(vld1q_f32(scores + i), least)) == 0) continue;
        for (size_t lane = i; lane < i + 4; lane++) {
            if (scores[lane] >= threshold) hits[found++] = (uint32_t)lane;
        }
    }
    for (; i < count; i++) {
        if (scores[i] >= threshold) hits[found++] = (uint32_t)i;
    }
    return found;
}

void kernels_score_codes_neon(
    const struct kernels_code_query *query, const int8_t *codes, const float *scales, const uint32_t *rows,
    size_t count, size_t dimension, float *scores) {
    size_t whole = dimension / 8 * 8;
    for (size_t index = 0; index < count; index++) {
        size_t row = row_at(rows, index);
        const int8_t *code = codes + row * dimension;
        int32x4_t s0 = vdupq_n_s32(0), s1 = s0;
        for (size_t i = 0; i < whole; i += 8) {
            int16x8_t wide = vmovl_s8(vld1_s8(code + i)), steps = vld1q_s16(query->steps + i);
            s0 = vmlal_s16(s0, vget_low_s16(wide), vget_low_s16(steps));
            s1 = vmlal_high_s16(s1, wide, steps);
        }
        uint32_t product = (uint32_t)vaddvq_s32(vaddq_s32(s0, s1));
        for (size_t i = whole; i < dimension; i++) product += (uint32_t)(query->steps[i] * code[i]);
        scores[index] = code_score(query, scales[row], (int32_t)product);
    }
}

size_t kernels_look_up_neon(
    const uint8_t *tables, const uint8_t *blocks, size_t count, size_t groups, uint16_t threshold, uint32_t *hits,
    uint16_t *sums) {
    const uint8x16_t half = vdupq_n_u8(15);
    size_t found = 0;
    for (size_t block = 0; block < count; block++) {
        uint16x8_t s0 = vdupq_n_u16(0), s1 = s0, s2 = s0, s3 = s0;
        for (size_t code = 0; code < groups * KERNELS_GROUP_CODES; code++, blocks += 16) {
            uint8x16_t codes = vld1q_u8(blocks), table = vld1q_u8(tables + 16 * code);
            uint8x16_t first = vqtbl1q_u8(table, vandq_u8(codes, half)), second = vqtbl1q_u8(table, vshrq_n_u8(codes, 4));
            s0 = vaddw_u8(s0, vget_low_u8(first));
            s1 = vaddw_high_u8(s1, first);
            s2 = vaddw_u8(s2, vget_low_u8(second));
            s3 = vaddw_high_u8(s3, second);
        }
        uint16x8_t largest = vmaxq_u16(vmaxq_u16(s0, s1), vmaxq_u16(s2, s3));
        if (vmaxvq_u16(largest) < threshold) continue;
        uint16_t all[KERNELS_BLOCK_ROWS];
        vst1q_u16(all, s0);
        vst1q_u16(all + 8, s1);
        vst1q_u16(all + 16, s2);
        vst1q_u16(all + 24, s3);
        for (size_t row = 0; row < KERNELS_BLOCK_ROWS; row++) {
            if (all[row] < threshold) continue;
            hits[found] = (uint32_t)(block * KERNELS_BLOCK_ROWS + row);
            sums[found++] = all[row];
        }
    }
    return found;
}
#endif
