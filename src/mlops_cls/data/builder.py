"""Decodes split after split into the arrays of a store, and remembers what was kept, how it looked and what was bad."""

from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
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

RUN = 8  # pictures handed to a thread at once: singly, tiny ones would cost more to hand over than to decode
AHEAD = 40  # runs in memory, decoded or being decoded: more than the 32 threads that a pool has at most
Results = list[tuple[Pixels, Looks] | PictureError]


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
        runs = [samples[start : start + RUN] for start in range(0, len(samples), RUN)]
        path = self.folder / f"{split}.npy"
        with ArrayWriter(path, self.geometry) as writer, closing(self._decoded(runs)) as decoded:
            for run, results in zip(runs, decoded, strict=True):
                self._take(run, results, writer)
                progress.update(len(run))
        self.digests.append(writer.hexdigest())
        if split == "train" and writer.length:
            self.mean, self.std = writer.statistics()

    def _decoded(self, runs: Sequence[Sequence[Sample]]) -> Generator[Results, None, None]:
        """Yield each run decoded, in order; while one is being written, threads decode those ahead of it."""
        waiting: deque[Future[Results]] = deque()
        # Threads suffice: Pillow decodes, converts and resizes without holding Python's lock.
        pool = ThreadPoolExecutor()
        try:
            for run in runs:
                if len(waiting) == AHEAD:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(self._decode_run, run))
            while waiting:
                yield waiting.popleft().result()
        finally:
            # After an error or Ctrl+C nobody wants the rest.
            pool.shutdown(cancel_futures=True)

    def _decode_run(self, run: Sequence[Sample]) -> Results:
        return [self._decode(sample) for sample in run]

    def _decode(self, sample: Sample) -> tuple[Pixels, Looks] | PictureError:
        try:
            picture, pixels, _ = load_picture(self.source.picture(sample), **asdict(self.geometry))
        except PictureError as reason:
            return reason
        return pixels, look_at(picture, pixels)

    def _take(self, run: Sequence[Sample], results: Results, writer: ArrayWriter) -> None:
        good: list[Pixels] = []
        for sample, result in zip(run, results, strict=True):
            if isinstance(result, PictureError):
                self.bad[sample.id] = str(result)
                continue
            pixels, looks = result
            self.kept.append(sample)
            self.rows.append(writer.length + len(good))
            self.looks.append(looks)
            good.append(pixels)
        if good:
            writer.extend(good)

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
