// The shortest exact scan: random rows in 8 bits of one scale, a product and a comparison for each, and the best ten.
// It answers with the scores of the codes, which an exact search must not: what memory and arithmetic cost alone.
// Prints microseconds of CPU time, the best of 15 rounds.
//
//     cc -O3 -march=native plain_scan.c -o plain_scan && ./plain_scan ROWS DIMENSION
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { KEPT = 10, ROUNDS = 15 };

struct row {
    int score;
    size_t number;
};

static void keep(struct row *best, int score, size_t number) {
    int place = KEPT - 1;
    for (; place > 0 && best[place - 1].score < score; place--) best[place] = best[place - 1];
    best[place] = (struct row){score, number};
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec * 1e-3;
}

int main(int count, char **arguments) {
    if (count != 3) return 1;
    size_t rows = strtoull(arguments[1], 0, 10), dimension = strtoull(arguments[2], 0, 10);
    if (dimension % 64 || dimension > 4096) return 1;
    int8_t *codes = mmap(0, rows * dimension, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (codes == MAP_FAILED) return 1;
    uint32_t state = 1;
    for (size_t i = 0; i < rows * dimension; i++) {
        state = state * 1664525u + 1013904223u;
        codes[i] = (int8_t)(state >> 24);
    }
    uint8_t query[4096];
    for (size_t i = 0; i < dimension; i++) query[i] = (uint8_t)(codes[7 * i + 3] + 128);
    double least = 1e18;
    volatile size_t seen = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct row best[KEPT];
        for (int i = 0; i < KEPT; i++) best[i].score = INT32_MIN;
        double start = now();
        for (size_t row = 0; row < rows; row++) {
            __m512i sums = _mm512_setzero_si512();
            for (size_t i = 0; i < dimension; i += 64) {
                sums = _mm512_dpbusd_epi32(
                    sums, _mm512_loadu_si512(query + i), _mm512_loadu_si512(codes + row * dimension + i));
            }
            int score = _mm512_reduce_add_epi32(sums);
            if (score > best[KEPT - 1].score) keep(best, score, row);
        }
        double time = now() - start;
        if (time < least) least = time;
        seen += best[0].number;
    }
    printf("%.1f\n", least);
    return 0;
}
