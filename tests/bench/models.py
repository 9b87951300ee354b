"""The models of two species in NumPy: each line on standard input is "<model> <grid> <steps>
<repetitions>", each line on standard output the nanoseconds that all repetitions took."""
import sys
import time

import numpy as np


def lap(u):
    return ((np.roll(u, 1, 0) + np.roll(u, -1, 0)) + (np.roll(u, 1, 1) + np.roll(u, -1, 1))) - 4.0 * u


def gray_scott(u, v):
    uvv = u * v * v
    return 0.029 * (1.0 - u) - uvv, uvv - (0.029 + 0.057) * v


def schnakenberg(u, v):
    uuv = u * u * v
    return 0.1 - u + uuv, 0.9 - uuv


def brusselator(u, v):
    uuv = u * u * v
    return 4.5 - 8.5 * u + uuv, 7.5 * u - uuv


def gierer_meinhardt(u, v):
    return 0.1 - u + u * u / v, u * u - v


def fitzhugh_nagumo(u, v):
    return u - u * u * u - 0.005 - v, u - v


def barkley(u, v):
    return 50.0 * u * (1.0 - u) * (u - (v + 0.02) / 0.75), u - v


MODELS = {
    "gray_scott": (gray_scott, 1, 0.2, 0.2, 0.1, 1),
    "schnakenberg": (schnakenberg, 1, 0.9, 1, 10, 0.02),
    "brusselator": (brusselator, 4.5, 1.67, 2, 16, 0.01),
    "gierer_meinhardt": (gierer_meinhardt, 1.1, 1.21, 1, 40, 0.005),
    "fitzhugh_nagumo": (fitzhugh_nagumo, 0, 0, 0.256, 1.28, 0.05),
    "barkley": (barkley, 0, 0, 9, 0, 0.005),
}

for line in sys.stdin:
    name, n, steps, repetitions = line.split()
    kinetics, us, vs, du, dv, dt = MODELS[name]
    random = np.random.default_rng(1)
    n, start = int(n), time.perf_counter_ns()
    for _ in range(int(repetitions)):
        u, v = us + 0.01 * random.random((n, n)), vs + 0.01 * random.random((n, n))
        for _ in range(int(steps)):
            f, g = kinetics(u, v)
            u, v = u + dt * (du * lap(u) + f), v + dt * (dv * lap(v) + g)
    print(time.perf_counter_ns() - start, flush=True)
