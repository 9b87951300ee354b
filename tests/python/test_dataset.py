"""The files of config/dataset.yaml, read by pyarrow and pandas."""

import os
import pathlib
import subprocess
import tempfile
import unittest

import pandas
import pyarrow
import pyarrow.parquet

ROOT = pathlib.Path(__file__).resolve().parents[2]

INTEGERS = ["sim_id", "grid_size", "steps", "random_seed", "growth_events", "turing_activations", "clamping_events"]
FEATURES = """D_box D_r2 V_min V_max V_mean V_std V_skew V_kurt dV_mean dV_max T_stable E_trend f_active
N_clusters_low N_clusters_med N_clusters_high max_cluster_size cluster_size_std""".split()
COLUMNS = [
    "sim_id", "scenario_name", "grid_size", "steps", "alpha", "turing_enabled", "random_seed", *FEATURES,
    "growth_events", "turing_activations", "clamping_events",
]


def run(directory, **variables):
    subprocess.run(
        [ROOT / "bin" / "mfn-connect", "-c", ROOT / "config" / "dataset.yaml"],
        cwd=directory, env=os.environ | variables, check=True, capture_output=True, timeout=300,
    )
    return sorted((pathlib.Path(directory) / "results").glob("*"))


class Dataset(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def test_presets(self):
        for preset, grid, steps, samples, alphas in [
            ("small", 32, 50, 10, [0.15]),
            ("medium", 64, 100, 100, [0.10, 0.15, 0.20]),
            ("benchmark", 32, 32, 5, [0.15]),
        ]:
            with self.subTest(preset):
                files = [f for f in run(self.directory, PRESET=preset) if f.name.startswith(preset)]
                self.assertEqual([f.name for f in files], [f"{preset}-0000.parquet"])
                table = pandas.read_parquet(files[0])
                self.assertEqual(list(table.columns), COLUMNS)
                self.assertEqual(len(table), samples)
                self.assertEqual(set(table.scenario_name), {preset})
                self.assertEqual(set(table.grid_size), {grid})
                self.assertEqual(set(table.steps), {steps})
                self.assertEqual(list(table.sim_id), list(range(samples)))
                self.assertEqual(list(table.random_seed), [42 + k for k in range(samples)])
                self.assertEqual(list(table.alpha), [alphas[k % len(alphas)] for k in range(samples)])
                self.assertTrue(table.turing_enabled.all())
                self.assertFalse(table.isna().any().any())

    def test_types(self):
        schema = pyarrow.parquet.read_schema(run(self.directory)[0])
        for name in COLUMNS:
            want = pyarrow.int64() if name in INTEGERS else pyarrow.float64()
            want = {"scenario_name": pyarrow.string(), "turing_enabled": pyarrow.bool_()}.get(name, want)
            self.assertEqual(schema.field(name).type, want, name)
            self.assertFalse(schema.field(name).nullable, name)

    def test_a_directory_of_files_is_a_table(self):
        files = run(self.directory, PRESET="small", ROWS="4")
        self.assertEqual([f.name for f in files], ["small-0000.parquet", "small-0004.parquet", "small-0008.parquet"])
        before = [f.read_bytes() for f in files]
        table = pandas.read_parquet(pathlib.Path(self.directory) / "results")
        self.assertEqual(list(table.sim_id), list(range(10)))
        self.assertEqual([f.read_bytes() for f in run(self.directory, PRESET="small", ROWS="4")], before)


if __name__ == "__main__":
    unittest.main()
