#include "CKernels.h"

void kernels_fill_tables(
    const float *query, const float *codebooks, const float *bounds, size_t codes, float reciprocal, uint8_t *tables) {
    for (size_t code = 0; code < codes; code++, query += 2, codebooks += 32, tables += 16) {
        for (size_t i = 0; i < 16; i++) {
            float product = query[0] * codebooks[i] + query[1] * codebooks[16 + i];
            float steps = (product + bounds[code]) * reciprocal + 0.5f;
            // In range already, but for rounding.
            steps = steps < 0 ? 0 : steps;
            steps = steps > 255 ? 255 : steps;
            tables[i] = (uint8_t)(int32_t)steps;
        }
    }
}
