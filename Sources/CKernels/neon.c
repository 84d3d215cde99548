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
#endif
