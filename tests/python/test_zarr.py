"""Zarr groups of mfn_zarr, read by zarr and xarray, and the snippets of docs/datasets.md."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest
import warnings

import h5py
import numpy
import xarray
import zarr

ROOT = pathlib.Path(__file__).resolve().parents[2]

STREAM = """
http: { enabled: false }
input:
  mfn_sweep:
    name: s
    count: 300
    parameters: { F: { min: 0.02, max: 0.06 } }
    fixed: { model: gray_scott, k: 0.06, grid_size: 16, steps: 20, seed: 18446744073709551615 }
pipeline:
  processors:
    - mfn_simulate:
        include: [ u, v ]
        snapshots: { every: 5, planes: [ v ] }
        feature_config: { extra: [ fit, spectrum, shape, components, dynamics, correlation, topology, entropy, scaling ] }
    - mapping: root = if this.simulation_id == "s-3" { deleted() }
output:
  broker:
    pattern: fan_out
    outputs:
      - mfn_zarr: { directory: s.zarr, data_type: float64 }
      - mfn_file: { directory: ., filename_pattern: s.jsonl, append_mode: true }
"""


def run(directory, config, **variables):
    subprocess.run(
        [ROOT / "bin" / "mfn-connect", "-c", config],
        cwd=directory, env=os.environ | variables, check=True, capture_output=True, timeout=900,
    )


class Zarr(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.directory = pathlib.Path(temporary.name)
        (cls.directory / "s.yaml").write_text(STREAM)
        run(cls.directory, "s.yaml")
        lines = (cls.directory / "s.jsonl").read_text().splitlines()
        cls.results = {int(r["simulation_id"].removeprefix("s-")): r for r in map(json.loads, lines)}

    def setUp(self):
        caught = warnings.catch_warnings()
        caught.__enter__()
        self.addCleanup(caught.__exit__, None, None, None)
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)

    def test_xarray(self):
        for consolidated in (None, True, False):
            ds = xarray.open_zarr(self.directory / "s.zarr", consolidated=consolidated).load()
            self.assertEqual(ds.sizes["sim"], 300)
            self.assertEqual(ds.v.dims, ("sim", "x", "y"))
            self.assertEqual((ds.v.dtype, ds.F.dtype, ds.seed.dtype), ("float64", "float64", "uint64"))
            self.assertEqual(ds.attrs["model"], "gray_scott")
            self.assertRegex(ds.attrs["sweep"], "^sweep-[0-9a-f]{8}$")
            self.assertIn("version", ds.attrs)
            for name in ("F", "k", "seed", "simulation_id", "boundary"):
                self.assertIn(name, ds.coords)
            self.assertEqual(len(self.results), 299)
            for i, r in self.results.items():
                numpy.testing.assert_array_equal(ds.v[i], r["v"])
                self.assertEqual(ds.F[i], r["params"]["F"])
                self.assertEqual(int(ds.seed[i]), 2**64 - 1)
                self.assertEqual(ds.simulation_id[i], r["simulation_id"])
                self.assertEqual(ds.D_box[i], r["features"]["D_box"])
                self.assertEqual(ds.dynamics_state[i], r["pattern"]["dynamics"]["state"])
                numpy.testing.assert_array_equal(ds.topology_betti[i], r["pattern"]["topology"]["betti"])
                wavelength = r["pattern"]["spectrum"]["wavelength"]
                numpy.testing.assert_equal(float(ds.spectrum_wavelength[i]), numpy.nan if wavelength is None else wavelength)

    def test_snapshots(self):
        for consolidated in (True, False):
            ds = xarray.open_zarr(self.directory / "s.zarr", consolidated=consolidated).load()
            self.assertEqual(ds.snapshots_v.dims, ("sim", "time", "x", "y"))
            self.assertIn("time", ds.coords)
            self.assertIn("time", ds.indexes)
            self.assertEqual(ds.time.values.tolist(), [0, 5, 10, 15, 20])
            self.assertEqual(ds.snapshots_times.dims, ("sim", "time"))
            for i, r in self.results.items():
                numpy.testing.assert_array_equal(ds.snapshots_v[i], r["snapshots"]["v"])
                numpy.testing.assert_array_equal(ds.snapshots_times[i], r["snapshots"]["times"])
                numpy.testing.assert_array_equal(ds.snapshots_v[i].sel(time=20), ds.v[i])

    def test_what_is_missing(self):
        ds = xarray.open_zarr(self.directory / "s.zarr").load()
        self.assertTrue(numpy.isnan(ds.v[3]).all())
        self.assertTrue(numpy.isnan(ds.F[3]))
        self.assertEqual((ds.simulation_id[3].item(), int(ds.seed[3])), ("", 0))

    def test_chunks(self):
        group = zarr.open_group(self.directory / "s.zarr", mode="r")
        self.assertEqual(group["v"].chunks, (1, 16, 16))
        self.assertEqual(group["F"].chunks, (256,))
        self.assertTrue(numpy.isnan(group["F"].fill_value))


class Datasets(unittest.TestCase):
    """The snippets read a map of few and small simulations."""

    def test_snippets(self):
        page = (ROOT / "docs" / "datasets.md").read_text()
        snippets = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        self.assertEqual(len(snippets), 6)
        with tempfile.TemporaryDirectory() as directory:
            small = (ROOT / "config" / "map.yaml").read_text()
            for old, new in (("grid_size: 96, steps: 10000", "grid_size: 16, steps: 100"), ("steps: 16", "steps: 4"), ("count: 256", "count: 16")):
                self.assertIn(old, small)
                small = small.replace(old, new)
            pathlib.Path(directory, "map.yaml").write_text(small)
            run(directory, "map.yaml")
            back = os.getcwd()
            os.chdir(directory)
            self.addCleanup(os.chdir, back)
            for snippet in snippets:
                with self.subTest(snippet.splitlines()[0]):
                    exec(compile(snippet, "docs/datasets.md", "exec"), {})
            with h5py.File("results/map.hdf5") as file:
                self.assertEqual(file["t0_fields/v"].shape, (16, 1, 16, 16))
                ds = xarray.open_zarr("results/map.zarr")
                numpy.testing.assert_array_equal(file["t0_fields/v"][:, 0], ds.v)
                numpy.testing.assert_array_equal(file["scalars/k"], ds.k)
            os.chdir(back)


if __name__ == "__main__":
    unittest.main()
