// What the machine can do at most, for the roofline: the floating-point
// operations of a cell-step in the same mix but without neighbours or memory,
// and a copy of three planes to three others, which are the bytes of a cell-step.
//
// Each line on standard input is "mix <milliseconds>" or "copy <cells>
// <milliseconds>"; each line on standard output is cell-steps a second.

#define _POSIX_C_SOURCE 200809L

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#if defined(__AVX512F__)
#include <immintrin.h>
typedef __m512d vector;
#define SET(x) _mm512_set1_pd(x)
#define ADD(x, y) _mm512_add_pd(x, y)
#define MUL(x, y) _mm512_mul_pd(x, y)
#define MIN(x, y) _mm512_min_pd(x, y)
#define ORDER(x, y) _mm512_castsi512_pd(_mm512_min_epi64(_mm512_castpd_si512(x), _mm512_castpd_si512(y)))
#define REGISTER "+v"
#elif defined(__AVX__)
#include <immintrin.h>
typedef __m256d vector;
#define SET(x) _mm256_set1_pd(x)
#define ADD(x, y) _mm256_add_pd(x, y)
#define MUL(x, y) _mm256_mul_pd(x, y)
#define MIN(x, y) _mm256_min_pd(x, y)
#define REGISTER "+x"
#elif defined(__aarch64__)
#include <arm_neon.h>
typedef float64x2_t vector;
#define SET(x) vdupq_n_f64(x)
#define ADD(x, y) vaddq_f64(x, y)
#define MUL(x, y) vmulq_f64(x, y)
#define MIN(x, y) vminq_f64(x, y)
#define REGISTER "+w"
#else
typedef double vector;
#define SET(x) (x)
#define ADD(x, y) ((x) + (y))
#define MUL(x, y) ((x) * (y))
#define MIN(x, y) ((x) < (y) ? (x) : (y))
#define REGISTER "+m"
#endif
#ifndef ORDER
#define ORDER(x, y) MIN(x, y)
#endif

// The operations of a cell-step: additions and subtractions, multiplications,
// and comparisons, of which all but every fourth compare whole numbers or make a
// mask where the kernel's do; and chains of each that fit into sixteen registers
// and hide each other's latency.
enum { ADDS = 25, MULS = 11, MINS = 9, ADD_CHAINS = 7, MUL_CHAINS = 4, MIN_CHAINS = 2 };

static double peak_mix(double limit) {
	vector add[ADD_CHAINS], mul[MUL_CHAINS], min[MIN_CHAINS];
	for (int k = 0; k < ADD_CHAINS; k++) {
		add[k] = SET(k);
	}
	for (int k = 0; k < MUL_CHAINS; k++) {
		mul[k] = SET(1 + k);
	}
	for (int k = 0; k < MIN_CHAINS; k++) {
		min[k] = SET(k);
	}
	const vector one = SET(1.0 + 0x1p-40);
	long cells = 0;
	double start = seconds(), took;
	do {
		for (int repeat = 0; repeat < 10000; repeat++) {
#pragma GCC unroll 32
			for (int k = 0; k < ADDS; k++) {
				add[k % ADD_CHAINS] = ADD(add[k % ADD_CHAINS], one);
				if (k < MULS) {
					mul[k % MUL_CHAINS] = MUL(mul[k % MUL_CHAINS], one);
				}
				if (k < MINS) {
					min[k % MIN_CHAINS] = k % 4 == 1 ? MIN(min[k % MIN_CHAINS], one) : ORDER(min[k % MIN_CHAINS], one);
					__asm__ volatile("" : REGISTER(min[k % MIN_CHAINS])); // or one minimum would do
				}
			}
		}
		cells += 10000 * (long)(sizeof(vector) / sizeof(double));
		took = seconds() - start;
	} while (took < limit);
	volatile vector keep;
	for (int k = 0; k < ADD_CHAINS; k++) {
		keep = add[k];
	}
	for (int k = 0; k < MUL_CHAINS; k++) {
		keep = mul[k];
	}
	for (int k = 0; k < MIN_CHAINS; k++) {
		keep = min[k];
	}
	(void)keep;
	return (double)cells / took;
}

static void copy(double *restrict to, const double *restrict from, long cells) {
#pragma omp simd
	for (long c = 0; c < cells; c++) {
		to[c] = from[c] + 1.0; // not a call of memcpy, which may go round the caches
	}
}

static double peak_copy(long cells, double limit) {
	size_t bytes = (3 * (size_t)cells * sizeof(double) + 63) / 64 * 64;
	double *one = aligned_alloc(64, bytes), *two = aligned_alloc(64, bytes);
	if (!one || !two) {
		fputs("out of memory\n", stderr);
		exit(1);
	}
	memset(one, 0, bytes);
	memset(two, 0, bytes);
	long passes = 0;
	double start = seconds(), took;
	do {
		copy(two, one, 3 * cells);
		copy(one, two, 3 * cells);
		passes += 2;
		took = seconds() - start;
	} while (took < limit);
	double rate = one[0] < 0 ? 0 : (double)passes * (double)cells / took;
	free(one);
	free(two);
	return rate;
}

int main(void) {
	char what[8];
	while (scanf("%7s", what) == 1) {
		long cells = 0;
		double milliseconds;
		if (strcmp(what, "copy") == 0 && scanf("%ld", &cells) != 1) {
			return 1;
		}
		if (scanf("%lf", &milliseconds) != 1) {
			return 1;
		}
		printf("%.6g\n", cells ? peak_copy(cells, milliseconds / 1e3) : peak_mix(milliseconds / 1e3));
		fflush(stdout);
	}
	return 0;
}
