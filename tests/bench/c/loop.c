// The model's arithmetic as a C compiler makes it: one pass over the rows a
// step, with the activator, the inhibitor, clamping, the counters and the sums
// of the temporal features in it. Two buffers in turn, each with a border of
// ghost cells. It draws no normal and extracts no feature but these sums, so it
// does less than the engine that is compared with it, and only the steps are
// timed. Compile with -fopenmp-simd, which lets the sums be taken in vectors, and
// -fno-trapping-math, without which gcc leaves the loop scalar for AVX2.
//
// Each line on standard input is "<grid> <steps> <repetitions>"; each line on
// standard output is the nanoseconds that all repetitions took and a checksum.

#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAD = 8 }; // cells before and after each row, for the ghosts

typedef struct {
	double *v, *a, *i;
} planes;

typedef struct {
	double abs_diff, sq_diff, max_diff, energy;
	int64_t activations, clamps;
} sums;

static const double alpha = 0.18, d_a = 0.1, d_i = 0.05, r_a = 0.01, r_i = 0.02, threshold = 0.75;
static const double v_min = -0.095, v_max = 0.040;

static int64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint64_t state = 42;

static double uniform(void) { // splitmix64
	uint64_t z = state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static planes allocate(size_t cells) {
	size_t bytes = (cells * sizeof(double) + 63) / 64 * 64;
	planes p = {aligned_alloc(64, bytes), aligned_alloc(64, bytes), aligned_alloc(64, bytes)};
	if (!p.v || !p.a || !p.i) {
		fputs("out of memory\n", stderr);
		exit(1);
	}
	memset(p.v, 0, bytes);
	memset(p.a, 0, bytes);
	memset(p.i, 0, bytes);
	return p;
}

static void release(planes p) {
	free(p.v);
	free(p.a);
	free(p.i);
}

// wrap copies the opposite edges into the ghosts.
static void wrap(double *u, int n, int stride) {
	for (int r = 1; r <= n; r++) {
		double *row = u + (size_t)r * stride + PAD;
		row[-1] = row[n - 1];
		row[n] = row[0];
	}
	memcpy(u, u + (size_t)n * stride, stride * sizeof(double));
	memcpy(u + (size_t)(n + 1) * stride, u + stride, stride * sizeof(double));
}

static inline double laplacian(const double *restrict u, int c, int stride) {
	return (((u[c - stride] + u[c + stride]) + u[c - 1]) + u[c + 1]) - 4.0 * u[c];
}

// step_row computes one row; all pointers are to its first cell.
static void step_row(const double *restrict v, const double *restrict a, const double *restrict i,
                     double *restrict v_out, double *restrict a_out, double *restrict i_out,
                     int n, int stride, sums *restrict s) {
	double abs_diff = 0, sq_diff = 0, max_diff = 0, energy = 0;
	int64_t activations = 0, clamps = 0;
#pragma omp simd reduction(+ : abs_diff, sq_diff, energy, activations, clamps) reduction(max : max_diff)
	for (int c = 0; c < n; c++) {
		double a0 = a[c], i0 = i[c], v0 = v[c];
		double a1 = a0 + (d_a * laplacian(a, c, stride) + r_a * (a0 * (1.0 - a0) - i0));
		double i1 = i0 + (d_i * laplacian(i, c, stride) + r_i * (a0 - i0));
		double v1 = v0 + alpha * laplacian(v, c, stride);
		int64_t active = a1 > threshold;
		v1 += active ? 0.005 : 0.0;
		activations += active;
		a1 = a1 < 0.0 ? 0.0 : a1;
		a1 = a1 > 1.0 ? 1.0 : a1;
		i1 = i1 < 0.0 ? 0.0 : i1;
		i1 = i1 > 1.0 ? 1.0 : i1;
		double clamped = v1 < v_min ? v_min : v1;
		clamped = clamped > v_max ? v_max : clamped;
		clamps += clamped != v1;
		double d = fabs(clamped - v0);
		abs_diff += d;
		sq_diff += d * d;
		max_diff = d > max_diff ? d : max_diff;
		energy += clamped * clamped;
		v_out[c] = clamped;
		a_out[c] = a1;
		i_out[c] = i1;
	}
	s->abs_diff += abs_diff;
	s->sq_diff += sq_diff;
	s->max_diff = max_diff > s->max_diff ? max_diff : s->max_diff;
	s->energy += energy;
	s->activations += activations;
	s->clamps += clamps;
}

// simulate returns the time of the steps, without that of the drawing.
static int64_t simulate(int n, int steps, planes now_p, planes next_p, double *checksum) {
	int stride = (n + 7) / 8 * 8 + 2 * PAD;
	for (int r = 1; r <= n; r++) {
		for (int c = PAD; c < PAD + n; c++) {
			size_t at = (size_t)r * stride + c;
			now_p.v[at] = -0.075 + 0.01 * uniform();
			now_p.a[at] = 0.1 * uniform();
			now_p.i[at] = 0.1 * uniform();
		}
	}
	sums total = {0};
	int64_t start = now();
	for (int t = 0; t < steps; t++) {
		if (uniform() < 0.25) {
			int row = 1 + (int)(uniform() * n), column = PAD + (int)(uniform() * n);
			now_p.v[(size_t)row * stride + column] += 0.02;
		}
		wrap(now_p.v, n, stride);
		wrap(now_p.a, n, stride);
		wrap(now_p.i, n, stride);
		for (int r = 1; r <= n; r++) {
			size_t at = (size_t)r * stride + PAD;
			step_row(now_p.v + at, now_p.a + at, now_p.i + at, next_p.v + at, next_p.a + at, next_p.i + at, n, stride, &total);
		}
		planes swap = now_p;
		now_p = next_p;
		next_p = swap;
	}
	int64_t took = now() - start;
	*checksum += total.abs_diff + total.sq_diff + total.max_diff + total.energy + (double)(total.activations + total.clamps) +
	             now_p.v[(size_t)stride + PAD];
	return took;
}

int main(void) {
	int n, steps, repetitions;
	while (scanf("%d %d %d", &n, &steps, &repetitions) == 3) {
		size_t cells = (size_t)(n + 2) * ((n + 7) / 8 * 8 + 2 * PAD);
		planes one = allocate(cells), two = allocate(cells);
		int64_t took = 0;
		double checksum = 0;
		for (int k = 0; k < repetitions; k++) {
			took += simulate(n, steps, one, two, &checksum);
		}
		printf("%" PRId64 " %.17g\n", took, checksum);
		fflush(stdout);
		release(one);
		release(two);
	}
	return 0;
}
