#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512vl,avx512bw,avx512vnni,avx2,fma")))
#define NAME kernels_score_codes_avx512_vnni
#define MULTIPLY_ADD(sums, a, b) _mm512_dpwssd_epi32(sums, a, b)
#include "avx512_codes.h"
#endif
