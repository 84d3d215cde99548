#include "CKernels.h"

#include "sets.h"

double kernels_dot(const float *left, const float *right, size_t dimension) {
    // Eight partial sums: independent, so that they overlap, and in one order everywhere.
    double sums[8] = {0};
    size_t i = 0;
    for (; i + 8 <= dimension; i += 8) {
        for (size_t lane = 0; lane < 8; lane++) {
            sums[lane] += (double)left[i + lane] * (double)right[i + lane];
        }
    }
    for (size_t lane = 0; i < dimension; i++, lane++) {
        sums[lane] += (double)left[i] * (double)right[i];
    }
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

static void dot_rows_portable(
    const float *query, const float *rows, size_t count, size_t dimension, float *scores) {
    for (size_t row = 0; row < count; row++, rows += dimension) {
        float sums[8] = {0};
        size_t i = 0;
        for (; i + 8 <= dimension; i += 8) {
            for (size_t lane = 0; lane < 8; lane++) {
                sums[lane] += query[i + lane] * rows[i + lane];
            }
        }
        for (size_t lane = 0; i < dimension; i++, lane++) {
            sums[lane] += query[i] * rows[i];
        }
        scores[row] = ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
    }
}

size_t kernels_select_portable(const float *scores, size_t count, float threshold, uint32_t *hits) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        hits[found] = (uint32_t)i;
        found += scores[i] >= threshold;
    }
    return found;
}

struct kernels kernels_of_set(enum kernels_set set) {
    struct kernels none = {0};
    switch (set) {
    case KERNELS_PORTABLE: {
        struct kernels portable = {dot_rows_portable, kernels_select_portable};
        return portable;
    }
#if defined(__aarch64__)
    case KERNELS_NEON: {
        struct kernels neon = {kernels_dot_rows_neon, kernels_select_neon};
        return neon;
    }
#endif
#if defined(__x86_64__)
    case KERNELS_AVX2: {
        struct kernels avx2 = {kernels_dot_rows_avx2, kernels_select_avx2};
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? avx2 : none;
    }
    case KERNELS_AVX512: {
        struct kernels avx512 = {kernels_dot_rows_avx512, kernels_select_avx512};
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") ? avx512 : none;
    }
#endif
    default:
        return none;
    }
}

struct kernels kernels_best(void) {
    for (int set = KERNELS_AVX512; set > KERNELS_PORTABLE; set--) {
        struct kernels kernels = kernels_of_set((enum kernels_set)set);
        if (kernels.dot_rows) return kernels;
    }
    return kernels_of_set(KERNELS_PORTABLE);
}
