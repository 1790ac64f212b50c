"""Decodes split after split into the arrays of a store, and remembers what was kept, how it looked and what was bad."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from mlops_cls.data.facts import Looks, look_at
from mlops_cls.data.manifest import Geometry
from mlops_cls.data.source import Sample, Source
from mlops_cls.data.split import SPLITS
from mlops_cls.data.store import ArrayWriter
from mlops_cls.errors import DataError, first_few
from mlops_cls.pictures import PictureError, Pixels, load_picture

AHEAD = 256  # pictures decoded before they are written, at most
Decoded = tuple[Pixels, Looks]


class Builder:
    """Fills a folder with one array per split.

    `kept`, `rows` and `looks` run in parallel: each sample, its row in its split's array, and how it looked; `bad` maps
    the ids of the others to the reason.
    """

    def __init__(self, source: Source, geometry: Geometry, folder: Path) -> None:
        self.source, self.geometry, self.folder = source, geometry, folder
        self.kept: list[Sample] = []
        self.rows: list[int] = []
        self.looks: list[Looks] = []
        self.bad: dict[str, str] = {}
        self.digests: list[str] = []
        self.mean: tuple[float, ...] = ()
        self.std: tuple[float, ...] = ()

    def write_all(self, chosen: Sequence[Sample]) -> None:
        """Decode and write the chosen samples, each in its split."""
        with tqdm(total=len(chosen), desc=f"preparing {self.source.name}", unit=" pictures", disable=None) as progress:
            for split in SPLITS:
                self._write(split, [s for s in chosen if s.split == split], progress)

    def _write(self, split: str, samples: Sequence[Sample], progress: "tqdm[None]") -> None:
        with ArrayWriter(self.folder / f"{split}.npy", self.geometry) as writer:
            for sample, decoded in zip(samples, self._decoded(samples), strict=True):
                self._take(sample, decoded, writer)
                progress.update()
        self.digests.append(writer.hexdigest())
        if split == "train" and writer.length:
            self.mean, self.std = writer.statistics()

    def _decoded(self, samples: Sequence[Sample]) -> Iterator[Decoded | PictureError]:
        """Yield each sample decoded, in order; while one is being written, threads decode those ahead of it.

        Threads suffice: Pillow decodes, converts and resizes without holding Python's lock.
        """
        waiting: deque[Future[Decoded | PictureError]] = deque()
        with ThreadPoolExecutor() as pool:
            for sample in samples:
                if len(waiting) == AHEAD:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(self._decode, sample))
            while waiting:
                yield waiting.popleft().result()

    def _decode(self, sample: Sample) -> Decoded | PictureError:
        try:
            picture, pixels = load_picture(self.source.picture(sample), **asdict(self.geometry))
        except PictureError as reason:
            return reason
        return pixels, look_at(picture, pixels)

    def _take(self, sample: Sample, decoded: Decoded | PictureError, writer: ArrayWriter) -> None:
        if isinstance(decoded, PictureError):
            self.bad[sample.id] = str(decoded)
            return
        pixels, looks = decoded
        self.kept.append(sample)
        self.rows.append(writer.length)
        self.looks.append(looks)
        writer.append(pixels)

    def refuse_losses(self, chosen: Sequence[Sample]) -> None:
        """Raise `DataError` if bad files took a whole class from train, or a whole split."""
        lost = {s.label for s in chosen} - {s.label for s in self.kept if s.split == "train"}
        if lost:
            raise DataError(f"no readable training picture is left of {first_few(sorted(lost))}")
        empty = [split for split in SPLITS if split not in {s.split for s in self.kept}]
        if empty:
            raise DataError(f"no readable picture is left in {', '.join(empty)}")

    def counts(self, classes: Sequence[str]) -> Mapping[str, dict[str, int]]:
        """Return the number of kept pictures per split and class."""
        counts = {split: dict.fromkeys(classes, 0) for split in SPLITS}
        for sample in self.kept:
            counts[sample.split or ""][sample.label] += 1
        return counts
