// The models of two species as a C compiler makes them: one pass over the rows a
// step, two buffers in turn, periodic. It takes no sums and extracts no feature,
// so it does less than the engine that is compared with it.
//
// Each line on standard input is "<model> <grid> <steps> <repetitions>"; each line
// on standard output is the nanoseconds that all repetitions took and a checksum.

#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAD = 8 }; // cells before and after each row, for the ghosts

typedef void row_of(const double *restrict u, const double *restrict v, double *restrict u_out, double *restrict v_out,
                    int n, int stride, double du, double dv, double dt);

static inline double laplacian(const double *restrict u, int c, int stride) {
	return ((u[c - stride] + u[c + stride]) + (u[c - 1] + u[c + 1])) - 4.0 * u[c];
}

#define MODEL(name, f, g)                                                                                              \
	static void name(const double *restrict u, const double *restrict v, double *restrict u_out,                       \
	                 double *restrict v_out, int n, int stride, double du, double dv, double dt) {                     \
		for (int c = 0; c < n; c++) {                                                                                  \
			double x = u[c], y = v[c], lap_u = laplacian(u, c, stride), lap_v = laplacian(v, c, stride);               \
			u_out[c] = x + dt * (du * lap_u + (f));                                                                    \
			v_out[c] = y + dt * (dv * lap_v + (g));                                                                    \
		}                                                                                                              \
	}

MODEL(gray_scott, 0.029 * (1.0 - x) - x * y * y, x * y * y - (0.029 + 0.057) * y)
MODEL(schnakenberg, 1.0 * (0.1 - x + x * x * y), 1.0 * (0.9 - x * x * y))
MODEL(brusselator, 4.5 - 8.5 * x + x * x * y, 7.5 * x - x * x * y)
MODEL(gierer_meinhardt, 0.1 - 1.0 * x + x * x / y, x * x - 1.0 * y)
MODEL(fitzhugh_nagumo, x - x * x * x - 0.005 - y, x - y)
MODEL(barkley, 50.0 * x * (1.0 - x) * (x - (y + 0.02) / 0.75), x - y)

static const struct {
	const char *name;
	row_of *row;
	double u, v, du, dv, dt;
} models[] = {
	{"gray_scott", gray_scott, 1, 0.2, 0.2, 0.1, 1},
	{"schnakenberg", schnakenberg, 1, 0.9, 1, 10, 0.02},
	{"brusselator", brusselator, 4.5, 1.67, 2, 16, 0.01},
	{"gierer_meinhardt", gierer_meinhardt, 1.1, 1.21, 1, 40, 0.005},
	{"fitzhugh_nagumo", fitzhugh_nagumo, 0, 0, 0.256, 1.28, 0.05},
	{"barkley", barkley, 0, 0, 9, 0, 0.005},
};

static int64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static double *allocate(size_t cells) {
	size_t bytes = (cells * sizeof(double) + 63) / 64 * 64;
	double *p = aligned_alloc(64, bytes);
	if (!p) {
		fputs("out of memory\n", stderr);
		exit(1);
	}
	memset(p, 0, bytes);
	return p;
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

int main(void) {
	char name[64];
	int n, steps, repetitions;
	while (scanf("%63s %d %d %d", name, &n, &steps, &repetitions) == 4) {
		size_t m = 0, all = sizeof models / sizeof *models;
		while (m < all && strcmp(models[m].name, name)) {
			m++;
		}
		if (m == all) {
			fprintf(stderr, "no model %s\n", name);
			return 1;
		}
		int stride = (n + 7) / 8 * 8 + 2 * PAD;
		size_t cells = (size_t)(n + 2) * stride;
		double *p[4];
		for (int k = 0; k < 4; k++) {
			p[k] = allocate(cells);
		}
		int64_t took = 0;
		double checksum = 0;
		for (int k = 0; k < repetitions; k++) {
			for (size_t at = 0; at < cells; at++) {
				p[0][at] = models[m].u + 0.01 * (double)(at * 37 % 101) / 101;
				p[1][at] = models[m].v + 0.01 * (double)(at * 61 % 103) / 103;
			}
			int64_t start = now();
			for (int t = 0; t < steps; t++) {
				wrap(p[0], n, stride);
				wrap(p[1], n, stride);
				for (int r = 1; r <= n; r++) {
					size_t at = (size_t)r * stride + PAD;
					models[m].row(p[0] + at, p[1] + at, p[2] + at, p[3] + at, n, stride, models[m].du, models[m].dv, models[m].dt);
				}
				for (int k2 = 0; k2 < 2; k2++) {
					double *swap = p[k2];
					p[k2] = p[k2 + 2];
					p[k2 + 2] = swap;
				}
			}
			took += now() - start;
			checksum += p[0][(size_t)stride + PAD] + p[1][(size_t)stride + PAD];
		}
		printf("%" PRId64 " %.17g\n", took, checksum);
		fflush(stdout);
		for (int k = 0; k < 4; k++) {
			free(p[k]);
		}
	}
	return 0;
}
