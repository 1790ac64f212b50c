"""Time preparing and examining many pictures: ``python benchmarks/check_speed.py --pictures 10000 --size 600 450``.

Writes JPEGs of smooth random colours with noise, in two folders (classes), into a temporary folder, prepares them, and
prints the seconds of scanning and decoding, and those of the doctor's checks alone.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from mlops_cls.data import prepare as preparing
from mlops_cls.data.doctor.findings import Report, Subject
from mlops_cls.data.manifest import Plan
from mlops_cls.data.sources.folder import FolderSource


def write_pictures(root: Path, number: int, size: tuple[int, int]) -> None:
    """Write `number` pictures of `size` (width, height) pixels."""
    generator = np.random.default_rng(0)
    grain = generator.normal(0, 12, (size[1], size[0], 1))
    for i in range(number):
        folder = root / ("even", "odd")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        colours = generator.integers(0, 256, (5, 6, 3)).astype(np.uint8)
        smooth = np.asarray(Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC), np.float32)
        pixels = np.clip(smooth + np.roll(grain, i, axis=1), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:06d}.jpg", quality=90)


def main() -> None:
    """Write, prepare, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--size", type=int, nargs=2, default=(600, 450), metavar=("WIDTH", "HEIGHT"))
    options = parser.parse_args()
    seconds: list[float] = []
    examine = preparing.examine

    def timed(subject: Subject) -> Report:
        start = time.perf_counter()
        report = examine(subject)
        seconds.append(time.perf_counter() - start)
        return report

    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder) / "raw", options.pictures, tuple(options.size))
        preparing.examine = timed
        start = time.perf_counter()
        prepared = preparing.prepare(FolderSource(Path(folder) / "raw"), Plan(size=224), Path(folder) / "store")
        total = time.perf_counter() - start
    print(
        f"{options.pictures} pictures: {total:.1f} s in all, checks alone {seconds[0]:.1f} s, {prepared.manifest.check}"
    )


if __name__ == "__main__":
    main()
