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

#define KERNELS(set) {kernels_dot_rows_##set, kernels_select_##set, kernels_score_codes_##set, kernels_look_up_##set}

struct kernels kernels_of_set(enum kernels_set set) {
    struct kernels none = {0};
    switch (set) {
    case KERNELS_PORTABLE: {
        struct kernels portable = KERNELS(portable);
        return portable;
    }
#if defined(__aarch64__)
    case KERNELS_NEON: {
        struct kernels neon = KERNELS(neon);
        return neon;
    }
#endif
#if defined(__x86_64__)
    case KERNELS_AVX2: {
        struct kernels avx2 = KERNELS(avx2);
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? avx2 : none;
    }
    case KERNELS_AVX512: {
        struct kernels avx512 = KERNELS(avx512);
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")
                && __builtin_cpu_supports("avx512bw")
            ? avx512
            : none;
    }
    case KERNELS_AVX512_VNNI: {
        struct kernels vnni = kernels_of_set(KERNELS_AVX512);
        vnni.score_codes = kernels_score_codes_avx512_vnni;
        return vnni.dot_rows && __builtin_cpu_supports("avx512vnni") ? vnni : none;
    }
#endif
    default:
        return none;
    }
}

struct kernels kernels_best(void) {
    for (int set = KERNELS_AVX512_VNNI; set > KERNELS_PORTABLE; set--) {
        struct kernels kernels = kernels_of_set((enum kernels_set)set);
        if (kernels.dot_rows) return kernels;
    }
    return kernels_of_set(KERNELS_PORTABLE);
}
