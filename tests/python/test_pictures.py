"""The pictures of mfn_render and mfn-connect simulate, read by Pillow."""

import pathlib
import subprocess
import tempfile
import unittest

import numpy
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "bin" / "mfn-connect"

STREAM = """
http: { enabled: false }
input:
  generate:
    count: 1
    interval: ''
    mapping: |
      root = [
        {"params": {"F": 1}, "v": [[0, 1], [2, 4]]},
        {"params": {"F": 2}, "v": [[8, 4], [2, 0]]},
        {"params": {"F": 3}, "v": [[4, 4], [4, 4]]}
      ]
  processors:
    - unarchive: { format: json_array }
pipeline:
  processors:
    - mfn_render: { layout: sheet, columns: 2, colormap: gray, scale: 3 }
output: { mfn_file: { directory: ., filename_pattern: 'sheet${! counter() }.png' } }
"""


class Pictures(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = pathlib.Path(temporary.name)

    def run_program(self, *arguments):
        return subprocess.run([PROGRAM, *arguments], cwd=self.directory, check=True, capture_output=True, timeout=120)

    def simulate(self, name, *more):
        flags = "simulate --model gray_scott --grid-size 64 --steps 200 --seed 7 -o".split()
        self.run_program(*flags, name, *more)
        return self.directory / name

    def test_picture(self):
        v = numpy.load(self.simulate("v.npy"))
        with Image.open(self.simulate("v.png")) as picture:
            self.assertEqual((picture.format, picture.size), ("PNG", (512, 512)))
            palette = numpy.array(picture.getpalette()).reshape(-1, 3)
            self.assertEqual(palette[0].tolist(), [0x44, 0x01, 0x54], "viridis begins with violet")
            shades = numpy.asarray(picture)
        want = numpy.minimum(255, ((v - v.min()) / (v.max() - v.min()) * 256).astype(int))
        numpy.testing.assert_array_equal(shades, want.repeat(8, axis=0).repeat(8, axis=1))

    def test_animation(self):
        with Image.open(self.simulate("v.png")) as picture:
            end = numpy.asarray(picture.convert("RGB"))
        with Image.open(self.simulate("v.gif", "--snapshots-every", "20")) as animation:
            self.assertEqual((animation.format, animation.size, animation.n_frames), ("GIF", (512, 512), 11))
            self.assertEqual((animation.info["loop"], animation.info["duration"]), (0, 100))
            first = numpy.asarray(animation.convert("RGB"))
            animation.seek(10)
            last = numpy.asarray(animation.convert("RGB"))
        numpy.testing.assert_array_equal(last, end)
        self.assertTrue((first != last).any())

    def test_sheet(self):
        (self.directory / "sheet.yaml").write_text(STREAM)
        self.run_program("-c", "sheet.yaml")
        with Image.open(self.directory / "sheet1.png") as sheet:
            pixels = numpy.asarray(sheet.convert("L")).astype(int)
        # Planes are 6 pixels wide, captions (F = 1) 35 and 13 high, and gaps 8.
        self.assertEqual(pixels.shape, (2 * (6 + 13 + 8) + 8, 2 * (35 + 8) + 8))
        for top, left, cells in ((8, 8, [[0, 1], [2, 4]]), (8, 51, [[8, 4], [2, 0]]), (35, 8, [[4, 4], [4, 4]])):
            plane = pixels[top:top + 6, left:left + 6]
            shown = numpy.array(cells).repeat(3, axis=0).repeat(3, axis=1) * 255 / 8
            self.assertLessEqual(abs(plane - shown).max(), 2)
            caption = pixels[top + 6:top + 19, left:left + 35]
            self.assertEqual({0, 255}, set(caption.ravel().tolist()), "black on white")
        self.assertTrue((pixels[35:, 51:] == 255).all(), "no fourth plane")


if __name__ == "__main__":
    unittest.main()
