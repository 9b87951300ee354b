"""The files of mfn-connect simulate, read by NumPy."""

import json
import pathlib
import subprocess
import tempfile
import unittest

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "bin" / "mfn-connect"


class Simulate(unittest.TestCase):
    def test_array(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "v.npy"
            flags = "--model gray_scott --grid-size 48 --steps 500 --seed 7".split()
            subprocess.run([PROGRAM, "simulate", *flags, "-o", path], check=True, capture_output=True, timeout=60)
            v = numpy.load(path)
            self.assertEqual((v.shape, v.dtype), ((48, 48), numpy.float64))
            result = json.loads(subprocess.run(
                [PROGRAM, "simulate", *flags], check=True, capture_output=True, timeout=60).stdout)
            self.assertEqual(v.min(), result["v_min"])
            self.assertEqual(v.max(), result["v_max"])
            self.assertAlmostEqual(v.mean(), result["v_mean"], places=12)
