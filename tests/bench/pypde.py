"""Gray and Scott's model in py-pde, compiled by numba: each line on standard input is
"gray_scott <grid> <steps> <repetitions>", each line on standard output the nanoseconds that all
repetitions took, without the compilation."""
import sys
import time

import pde

equations = pde.PDE({
    "u": "0.2 * laplace(u) + 0.029 * (1 - u) - u * v**2",
    "v": "0.1 * laplace(v) + u * v**2 - 0.086 * v",
}, bc="periodic")

for line in sys.stdin:
    name, n, steps, repetitions = line.split()
    if name != "gray_scott":
        raise SystemExit(f"{name} is not described here")
    grid = pde.UnitGrid([int(n), int(n)], periodic=True)
    start = pde.FieldCollection([
        pde.ScalarField.random_uniform(grid, 0.9, 1), pde.ScalarField.random_uniform(grid, 0, 0.1)])
    step = pde.EulerSolver(equations, backend="numba").make_stepper(start, dt=1)
    step(start.copy(), 0, 1)
    began = time.perf_counter_ns()
    for _ in range(int(repetitions)):
        step(start.copy(), 0, int(steps))
    print(time.perf_counter_ns() - began, flush=True)
