#ifndef FLETCH_CKERNELS_H
#define FLETCH_CKERNELS_H

#include <stddef.h>
#include <stdint.h>

// Kernels for top-k over vectors and their codes. Nothing here allocates, and no pointer needs more alignment than its
// elements do.

// Writes the inner product of `query` and each of `count` consecutive rows of `dimension` floats to `scores`.
//
// Sums are in single precision, in an order that depends on the processor: |score - truth| is at most
// dimension * 2^-24 * |query| * |row|, to first order.
typedef void (*kernels_dot_rows_function)(
    const float *query, const float *rows, size_t count, size_t dimension, float *scores);

// Writes the indices of all scores that are at least `threshold` to `hits`, in order, and returns how many there are.
// `hits` must have room for `count`.
typedef size_t (*kernels_select_function)(const float *scores, size_t count, float threshold, uint32_t *hits);

// A query in whole steps: 16 bits against the rows' 8, so that it adds next to nothing to their rounding.
struct kernels_code_query {
    // `dimension` of them.
    const int16_t *steps;
    float step;
    float margin;
};

// Writes scales[row] * (step * p + margin), p the inner product of the query's steps and the row's codes, for `count`
// rows: those that `rows` lists, or the first ones where it is null.
//
// p must fit 32 bits and is exact; the three operations on it round to single precision.
typedef void (*kernels_score_codes_function)(
    const struct kernels_code_query *query, const int8_t *codes, const float *scales, const uint32_t *rows,
    size_t count, size_t dimension, float *scores);

enum {
    // Rows of a block of 4-bit codes.
    KERNELS_BLOCK_ROWS = 32,
    // Codes that are looked up together, and the bytes that they take in a block and their tables.
    KERNELS_GROUP_CODES = 4,
    KERNELS_GROUP_BYTES = 64,
};

// Sums a table entry for each 4-bit code of the rows in `blocks` blocks; writes the places of all sums that are at
// least `threshold` to `hits`, in order, the sums beside them, and returns how many there are.
//
// A block holds 32 rows, group after group of four codes. Byte 16 c + r of a group has code c of row r in its low half
// and that of row r + 16 in its high half; `tables` holds 16 entries for each code. Sums must stay below 2^16. `hits`
// and `sums` must have room for all rows.
// (André, Kermarrec, Le Scouarnec: Cache locality is not enough, VLDB 2015; layout as in Faiss' fast scan.)
typedef size_t (*kernels_look_up_function)(
    const uint8_t *tables, const uint8_t *blocks, size_t count, size_t groups, uint16_t threshold, uint32_t *hits,
    uint16_t *sums);

// The instruction sets that a processor may offer, each with kernels of its own.
enum kernels_set {
    KERNELS_PORTABLE,
    KERNELS_NEON,
    KERNELS_AVX2,
    KERNELS_AVX512,
    KERNELS_AVX512_VNNI,
};

struct kernels {
    kernels_dot_rows_function dot_rows;
    kernels_select_function select;
    kernels_score_codes_function score_codes;
    kernels_look_up_function look_up;
};

// The kernels of one instruction set; null pointers where this processor does not offer it.
struct kernels kernels_of_set(enum kernels_set set);

// The fastest kernels that this processor offers.
struct kernels kernels_best(void);

// The inner product in double precision. Products of floats are exact there and the order of the sum is fixed, so the
// result is the same on every processor.
double kernels_dot(const float *left, const float *right, size_t dimension);

// Fills the tables of `codes` 4-bit codes of two coordinates each: round((p + bound) * reciprocal), p the inner product
// of a centre and the query's part, which is at most `bound` either way; the result must be at most 255.
//
// A codebook holds the first coordinates of 16 centres, then their second ones.
void kernels_fill_tables(
    const float *query, const float *codebooks, const float *bounds, size_t codes, float reciprocal, uint8_t *tables);

// Asks for a row's memory before it is read.
static inline void kernels_prefetch(const void *address, size_t size) {
    for (size_t offset = 0; offset < size; offset += 64) __builtin_prefetch((const char *)address + offset);
}

#endif
