#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512vl,avx512bw,avx2,fma")))
#define NAME kernels_score_codes_avx512
#define MULTIPLY_ADD(sums, a, b) _mm512_add_epi32(sums, _mm512_madd_epi16(a, b))
#include "avx512_codes.h"
#endif
