#include "sets.h"

void kernels_dot_rows_portable(
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

void kernels_score_codes_portable(
    const struct kernels_code_query *query, const int8_t *codes, const float *scales, const uint32_t *rows,
    size_t count, size_t dimension, float *scores) {
    for (size_t index = 0; index < count; index++) {
        size_t row = row_at(rows, index);
        const int8_t *code = codes + row * dimension;
        // Partial sums may wrap; the whole one does not.
        uint32_t product = 0;
        for (size_t i = 0; i < dimension; i++) product += (uint32_t)(query->steps[i] * code[i]);
        scores[index] = code_score(query, scales[row], (int32_t)product);
    }
}

size_t kernels_look_up_portable(
    const uint8_t *tables, const uint8_t *blocks, size_t count, size_t groups, uint16_t threshold, uint32_t *hits,
    uint16_t *sums) {
    size_t found = 0;
    for (size_t block = 0; block < count; block++) {
        uint16_t all[KERNELS_BLOCK_ROWS] = {0};
        for (size_t code = 0; code < groups * KERNELS_GROUP_CODES; code++, blocks += 16) {
            const uint8_t *table = tables + 16 * code;
            for (size_t row = 0; row < 16; row++) {
                all[row] += table[blocks[row] & 15];
                all[row + 16] += table[blocks[row] >> 4];
            }
        }
        for (size_t row = 0; row < KERNELS_BLOCK_ROWS; row++) {
            if (all[row] < threshold) continue;
            hits[found] = (uint32_t)(block * KERNELS_BLOCK_ROWS + row);
            sums[found++] = all[row];
        }
    }
    return found;
}
