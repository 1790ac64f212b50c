"""The prepared store on disk: one array file per split, the sample table and the manifest.

prepared/digits-0f3a…/
    manifest.json
    samples.parquet     id, split, row, label, class, group and the data set's own columns
    train.npy val.npy test.npy     uint8[N,H,W,C], memory-mapped
"""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlops_cls.data.manifest import FILE, Geometry, Manifest, readable
from mlops_cls.data.source import Sample
from mlops_cls.errors import DataError
from mlops_cls.pictures import Pixels, levels

TABLE = "samples.parquet"
COLUMNS = ("id", "split", "row", "label", "class", "group")


class Prepared:
    """A prepared data set, opened for reading; pictures stay on disk until they are indexed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = Manifest.load(folder)

    @staticmethod
    def exists(folder: Path) -> bool:
        return (folder / FILE).is_file()

    def images(self, split: str) -> Pixels:
        """Return the split's pictures, uint8[N,H,W,C], memory-mapped read-only."""
        with readable(self.folder):
            pixels: Pixels = np.load(self.folder / f"{split}.npy", mmap_mode="r", allow_pickle=False)
        return pixels

    def labels(self, split: str) -> NDArray[np.int64]:
        """Return the split's class indices, int64[N]."""
        labels: NDArray[np.int64] = self.rows(split)["label"].to_numpy().astype(np.int64)
        return labels

    def ids(self, split: str) -> list[str]:
        """Return the split's sample ids, in row order."""
        return [str(i) for i in self.rows(split)["id"].to_pylist()]

    def rows(self, split: str) -> pa.Table:
        """Return the split's part of the sample table, in row order."""
        return self.table.filter(pc.field("split") == split).sort_by("row")

    @cached_property
    def table(self) -> pa.Table:
        with readable(self.folder):
            return pq.read_table(self.folder / TABLE)


class ArrayWriter:
    """Append pictures, uint8[H,W,C] each, to one .npy file whose length is known only at the end.

    Written as a stream: on a full disk a stream raises OSError, where a memory map kills the process.
    """

    def __init__(self, path: Path, geometry: Geometry) -> None:
        self._shape = (geometry.size, geometry.size, geometry.channels)
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        # How often each level occurs gives exact sums of pixels and squares, 20 times as fast as adding them up.
        self._levels = np.zeros((geometry.channels, 256), np.int64)
        self.length = 0

    def __enter__(self) -> Self:
        self._write_header()
        return self

    def extend(self, pictures: Sequence[Pixels]) -> None:
        data = np.concatenate(pictures)
        self._file.write(data.data)
        self._digest.update(data.data)
        self._levels += levels(data)
        self.length += len(pictures)

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and standard deviation per channel, of pixels scaled to 0..1."""
        level, pixels = np.arange(256), self.length * self._shape[0] * self._shape[1]
        mean = self._levels @ level / pixels / 255
        std = np.sqrt(np.maximum(self._levels @ level**2 / pixels / 255**2 - mean**2, 0))
        # A channel that never varies would be divided by zero; 1/255 keeps it finite.
        return tuple(round(float(m), 6) for m in mean), tuple(round(max(float(s), 1 / 255), 6) for s in std)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._file.seek(0)
                self._write_header()
        finally:
            self._file.close()

    def _write_header(self) -> None:
        # numpy pads the header so that the length can grow up to 20 digits without moving the data.
        header = {"descr": "|u1", "fortran_order": False, "shape": (self.length, *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, header)


def refuse_taken_columns(samples: Sequence[Sample]) -> None:
    """Raise `DataError` if a metadata column is named like one of the sample table's own."""
    taken = [name for name in _metadata_names(samples) if name in COLUMNS]
    if taken:
        raise DataError(f"the column name {taken[0]!r} is taken by the sample table: rename it")


def _metadata_names(samples: Sequence[Sample]) -> list[str]:
    return list(dict.fromkeys(key for s in samples for key in s.metadata))


def write_table(folder: Path, samples: Sequence[Sample], rows: Iterable[int], classes: Sequence[str]) -> None:
    """Write the sample table; metadata columns keep the data set's own names."""
    index = {name: i for i, name in enumerate(classes)}
    own: Sequence[list[Any]] = (
        [s.id for s in samples],
        [s.split for s in samples],
        list(rows),
        [index[s.label] for s in samples],
        [s.label for s in samples],
        [s.group for s in samples],
    )
    columns = dict(zip(COLUMNS, own, strict=True))
    for name in _metadata_names(samples):
        columns[name] = [s.metadata.get(name) for s in samples]
    pq.write_table(pa.table(columns), folder / TABLE)
