"""The files of config/dataset.yaml, read by pyarrow and pandas."""

import decimal
import json
import os
import pathlib
import subprocess
import tempfile
import unittest
import uuid

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


TYPES = """
http: { enabled: false }
input:
  generate:
    count: 3
    interval: ''
    batch_size: 3
    mapping: |
      let n = counter()
      root = {
        "n": $n,
        "j": {"n": $n, "list": [1, 2.5]},
        "b": "BQAAAAA=".decode("base64"),
        "id": "123e4567-e89b-12d3-a456-42661417400" + $n.string(),
        "price": "-1234567.8" + $n.string(),
        "large": "12345678901234567" + $n.string(),
        "l": if $n == 2 { null } else { [[$n, null], []] },
        "m": {"b": $n, "a": null},
        "at": "2026-11-25T14:00:00.123456789Z"
      }
pipeline:
  processors:
    - parquet_encode:
        default_compression: zstd
        default_timestamp_unit: MICROSECOND
        schema:
          - { name: j, type: JSON }
          - { name: b, type: BSON }
          - { name: id, type: UUID }
          - { name: price, type: DECIMAL, decimal_precision: 9, decimal_scale: 2 }
          - { name: large, type: DECIMAL64, decimal_precision: 18 }
          - { name: l, type: LIST, optional: true, fields: [ { name: element, type: LIST, fields: [ { name: element, type: INT32, optional: true } ] } ] }
          - { name: m, type: MAP, fields: [ { name: key, type: UTF8 }, { name: value, type: DOUBLE, optional: true } ] }
          - { name: at, type: TIMESTAMP }
output: { mfn_file: { directory: results, filename_pattern: "types${! counter() }.parquet" } }
"""


class Types(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        directory = pathlib.Path(temporary.name)
        (directory / "types.yaml").write_text(TYPES)
        subprocess.run([ROOT / "bin" / "mfn-connect", "-c", "types.yaml"], cwd=directory, check=True, capture_output=True, timeout=60)
        cls.path = directory / "results" / "types1.parquet"

    def test_pyarrow(self):
        table = pyarrow.parquet.read_table(self.path)
        self.assertEqual(table.schema.field("price").type, pyarrow.decimal128(9, 2))
        self.assertEqual(table.schema.field("large").type, pyarrow.decimal128(18, 0))
        self.assertEqual(table.schema.field("at").type, pyarrow.timestamp("us", tz="UTC"))
        self.assertEqual(table.schema.field("m").type, pyarrow.map_(pyarrow.string(), pyarrow.float64()))
        self.assertEqual(str(table.schema.field("l").type), "list<element: list<element: int32> not null>")
        for k, row in enumerate(table.to_pylist(), start=1):
            document = row["j"] if isinstance(row["j"], str) else row["j"].decode()
            self.assertEqual(json.loads(document), {"n": k, "list": [1, 2.5]})
            self.assertEqual(row["b"], b"\5\0\0\0\0")
            identity = row["id"] if isinstance(row["id"], uuid.UUID) else uuid.UUID(bytes=row["id"])
            self.assertEqual(str(identity), f"123e4567-e89b-12d3-a456-42661417400{k}")
            self.assertEqual(row["price"], decimal.Decimal(f"-1234567.8{k}"))
            self.assertEqual(row["large"], decimal.Decimal(f"12345678901234567{k}"))
            self.assertEqual(row["l"], None if k == 2 else [[k, None], []])
            self.assertEqual(row["m"], [("a", None), ("b", float(k))])
            self.assertEqual(row["at"].isoformat(), "2026-11-25T14:00:00.123456+00:00")

    def test_pandas(self):
        table = pandas.read_parquet(self.path)
        self.assertEqual(list(table.price), [decimal.Decimal(f"-1234567.8{k}") for k in (1, 2, 3)])
        self.assertEqual(dict(table.m[2]), {"a": None, "b": 3.0})
        self.assertEqual([list(inner) for inner in table.l[0]][1], [])
        self.assertIsNone(table.l[1])


if __name__ == "__main__":
    unittest.main()
