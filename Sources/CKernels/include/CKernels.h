#ifndef FLETCH_CKERNELS_H
#define FLETCH_CKERNELS_H

#include <stddef.h>
#include <stdint.h>

// Kernels for top-k over float vectors. Nothing here allocates, and no pointer needs more than a float's alignment.

// Writes the inner product of `query` and each of `count` consecutive rows of `dimension` floats to `scores`.
//
// Sums are in single precision, in an order that depends on the processor: |score - truth| is at most
// dimension * 2^-24 * |query| * |row|, to first order.
typedef void (*kernels_dot_rows_function)(
    const float *query, const float *rows, size_t count, size_t dimension, float *scores);

// Writes the indices of all scores that are at least `threshold` to `hits`, in order, and returns how many there are.
// `hits` must have room for `count`.
typedef size_t (*kernels_select_function)(const float *scores, size_t count, float threshold, uint32_t *hits);

// The instruction sets that a processor may offer, each with kernels of its own.
enum kernels_set {
    KERNELS_PORTABLE,
    KERNELS_NEON,
    KERNELS_AVX2,
    KERNELS_AVX512,
};

struct kernels {
    kernels_dot_rows_function dot_rows;
    kernels_select_function select;
};

// The kernels of one instruction set; null pointers where this processor does not offer it.
struct kernels kernels_of_set(enum kernels_set set);

// The fastest kernels that this processor offers.
struct kernels kernels_best(void);

// The inner product in double precision. Products of floats are exact there and the order of the sum is fixed, so the
// result is the same on every processor.
double kernels_dot(const float *left, const float *right, size_t dimension);

#endif
