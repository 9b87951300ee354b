#!/usr/bin/env python3
"""MyceliumFractalNet 4.1 in NumPy, as a second opinion on the engine.

It is written from the model's definition and not from the engine: whole arrays
in float64, the whole history in memory, NumPy's own random generator. Each line
on standard input is a JSON object

    {"params": {"grid_size": 64, "seed": 42, ...}, "feature_config": {...}}

whose members have the model's names and defaults. Each line on standard output
holds the figures of that run, and the seconds that it took:

    {"field_sha256": ..., "growth_events": ..., "features": {...}, "seconds": ...}

or {"error": ...}. Given a history in volts instead, {"history": [[[...]]]}, it
answers with its features alone.
"""

import hashlib
import json
import sys
import time

import numpy as np

PARAMS = {
    "grid_size": 64,
    "steps": 64,
    "alpha": 0.18,
    "spike_probability": 0.25,
    "turing_enabled": True,
    "turing_threshold": 0.75,
    "quantum_jitter": False,
    "jitter_var": 0.0005,
    "seed": 0,
    "d_activator": 0.1,
    "d_inhibitor": 0.05,
    "r_activator": 0.01,
    "r_inhibitor": 0.02,
    "boundary": "periodic",
    "initial_field": None,
}

FEATURE_CONFIG = {
    "min_box_size": 2,
    "max_box_size": None,
    "num_scales": 5,
    "threshold_low_mv": -60.0,
    "threshold_med_mv": -50.0,
    "threshold_high_mv": -40.0,
    "stability_threshold_mv": 0.001,
    "stability_window": 10,
    "connectivity": 4,
}


def laplacian(u, boundary):
    """((up + down) + left) + right − 4u, in this order."""
    if boundary == "periodic":
        up, down = np.roll(u, 1, axis=0), np.roll(u, -1, axis=0)
        left, right = np.roll(u, 1, axis=1), np.roll(u, -1, axis=1)
    else:
        mode = {"neumann": "edge", "dirichlet": "constant"}[boundary]
        padded = np.pad(u, 1, mode=mode)
        up, down = padded[:-2, 1:-1], padded[2:, 1:-1]
        left, right = padded[1:-1, :-2], padded[1:-1, 2:]
    return up + down + left + right - 4.0 * u


def simulate(p):
    """Return the history of V, the last a and i, and the three counters."""
    n = p["grid_size"]
    random = np.random.default_rng(p["seed"])
    v = random.normal(-0.070, 0.005, size=(n, n))
    a = random.uniform(0, 0.1, size=(n, n))
    i = random.uniform(0, 0.1, size=(n, n))
    if p["initial_field"] is not None:
        v = np.array(p["initial_field"], dtype=np.float64)
    history = np.empty((p["steps"], n, n))
    growth_events = turing_activations = clamping_events = 0

    for step in range(p["steps"]):
        if random.random() < p["spike_probability"]:
            row, column = random.integers(0, n), random.integers(0, n)
            v[row, column] += random.normal(0.02, 0.005)
            growth_events += 1

        v = v + p["alpha"] * laplacian(v, p["boundary"])

        if p["turing_enabled"]:
            da = p["d_activator"] * laplacian(a, p["boundary"])
            da = da + p["r_activator"] * (a * (1 - a) - i)
            di = p["d_inhibitor"] * laplacian(i, p["boundary"])
            di = di + p["r_inhibitor"] * (a - i)
            a, i = a + da, i + di
            active = a > p["turing_threshold"]
            v[active] += 0.005
            turing_activations += int(np.count_nonzero(active))
            a, i = np.clip(a, 0, 1), np.clip(i, 0, 1)

        if p["quantum_jitter"]:
            v = v + np.sqrt(p["jitter_var"]) * random.standard_normal((n, n))

        clamped = np.clip(v, -0.095, 0.040)
        clamping_events += int(np.count_nonzero(clamped != v))
        v = clamped

        for name, field in (("potential", v), ("activator", a), ("inhibitor", i)):
            if not np.isfinite(field).all():
                raise ValueError(f"the {name} is not finite after step {step + 1}")
        history[step] = v

    return history, a, i, growth_events, turing_activations, clamping_events


def box_sizes(n, c):
    smallest, scales = c["min_box_size"], c["num_scales"]
    largest = c["max_box_size"]
    if largest is None:
        largest = min(smallest * 2 ** (scales - 1), n // 2)
    largest = max(largest, smallest)
    return np.unique(np.geomspace(smallest, largest, scales).astype(int))


def box_dimension(active, c):
    """Return the slope and the R² of ln(occupied boxes) over ln(1/size)."""
    n = len(active)
    x, y = [], []
    for size in box_sizes(n, c):
        boxes = n // size
        tiled = active[: boxes * size, : boxes * size].reshape(boxes, size, boxes, size)
        occupied = np.count_nonzero(tiled.any(axis=(1, 3)))
        if occupied > 0:
            x.append(np.log(1.0 / size))
            y.append(np.log(occupied))
    if len(x) < 2:
        return 0.0, 0.0
    x, y = np.array(x), np.array(y)
    line = np.polyfit(x, y, 1)
    if (y == y[0]).all():
        return line[0], 0.0
    residual = np.sum((y - np.polyval(line, x)) ** 2)
    return line[0], np.clip(1.0 - residual / np.sum((y - y.mean()) ** 2), 0.0, 1.0)


def cluster_sizes(active, connectivity):
    """Flood each connected component; nothing wraps around."""
    around = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    if connectivity == 8:
        around += [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    cells = set(zip(*(index.tolist() for index in np.nonzero(active))))
    sizes = []
    while cells:
        flood, size = [cells.pop()], 0
        while flood:
            row, column = flood.pop()
            size += 1
            for down, right in around:
                next_cell = (row + down, column + right)
                if next_cell in cells:
                    cells.remove(next_cell)
                    flood.append(next_cell)
        sizes.append(size)
    return sizes


def stable_since(deviations, c):
    """Return T_stable; deviations are those of the T−1 differences, in mV."""
    steps, window = len(deviations) + 1, c["stability_window"]
    in_a_row = 0
    for t, deviation in enumerate(deviations):
        in_a_row = in_a_row + 1 if deviation < c["stability_threshold_mv"] else 0
        if in_a_row == window:
            return t - window + 2
    return steps


def features(history, c):
    field = history[-1]
    mv = field * 1000.0
    mean, std = np.mean(mv), np.std(mv)
    skew = kurt = 0.0
    if std > 1e-10:
        deviation = mv - mean
        skew = np.mean(deviation**3) / std**3
        kurt = np.mean(deviation**4) / std**4 - 3.0

    dv_mean = dv_max = t_stable = e_trend = 0.0
    steps = len(history)
    if steps > 1:
        history_mv = history * 1000.0
        differences = np.abs(history_mv[1:] - history_mv[:-1])
        dv_mean, dv_max = np.mean(differences), np.max(differences)
        t_stable = stable_since([np.std(difference) for difference in differences], c)
        energies = [np.sum(frame**2) for frame in history_mv]
        e_trend = np.polyfit(np.arange(steps), energies, 1)[0]

    low, med, high = (field > c[f"threshold_{level}_mv"] / 1000.0 for level in ("low", "med", "high"))
    dimension, r2 = box_dimension(low, c)
    sizes = cluster_sizes(low, c["connectivity"])
    named = {
        "D_box": dimension,
        "D_r2": r2,
        "V_min": np.min(mv),
        "V_max": np.max(mv),
        "V_mean": mean,
        "V_std": std,
        "V_skew": skew,
        "V_kurt": kurt,
        "dV_mean": dv_mean,
        "dV_max": dv_max,
        "T_stable": t_stable,
        "E_trend": e_trend,
        "f_active": np.mean(low),
        "N_clusters_low": len(sizes),
        "N_clusters_med": len(cluster_sizes(med, c["connectivity"])),
        "N_clusters_high": len(cluster_sizes(high, c["connectivity"])),
        "max_cluster_size": max(sizes, default=0),
        "cluster_size_std": np.std(sizes) if len(sizes) > 1 else 0.0,
    }
    return {name: float(value) for name, value in named.items()}


def answer(request):
    config = FEATURE_CONFIG | request.get("feature_config", {})
    if "history" in request:
        return {"features": features(np.array(request["history"], dtype=np.float64), config)}
    start = time.perf_counter()
    history, a, i, growth, activations, clamps = simulate(PARAMS | request.get("params", {}))
    extracted = features(history, config)
    seconds = time.perf_counter() - start
    return {
        "field_sha256": hashlib.sha256(history[-1].astype("<f8").tobytes()).hexdigest(),
        "growth_events": growth,
        "turing_activations": activations,
        "clamping_events": clamps,
        "activator_mean": float(np.mean(a)),
        "inhibitor_mean": float(np.mean(i)),
        "features": extracted,
        "seconds": seconds,
    }


def main():
    for line in sys.stdin:
        try:
            result = answer(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            result = {"error": str(error)}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
