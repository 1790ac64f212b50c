"""A CSV or Parquet table of paths and labels, with splits and groups where it has them."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mlops_cls.data.source import Sample
from mlops_cls.data.sources.folder import SPLIT_NAMES
from mlops_cls.errors import DataError, did_you_mean, first_few


class TableSource:
    """One row per picture; paths are relative to the table's folder, or absolute. Further columns become metadata."""

    name = "table"
    classes = None
    attributes: Mapping[str, Mapping[str, Any]] = {}

    def __init__(
        self,
        root: str | Path,
        *,
        path_column: str = "path",
        label_column: str = "label",
        split_column: str | None = None,
        group_column: str | None = None,
    ) -> None:
        self.root = Path(root)
        self.path_column, self.label_column = path_column, label_column
        self.split_column, self.group_column = split_column, group_column

    def fingerprint(self) -> str:
        digest = hashlib.sha256(self._content)
        digest.update(repr((self.path_column, self.label_column, self.split_column, self.group_column)).encode())
        for sample in self._samples:
            path = self.picture(sample)
            status = path.stat() if path.is_file() else None
            digest.update(f"{sample.id}\0{status and (status.st_size, status.st_mtime_ns)}\n".encode())
        return digest.hexdigest()

    def samples(self) -> list[Sample]:
        return list(self._samples)

    def picture(self, sample: Sample) -> Path:
        return self.root.parent / sample.id

    @cached_property
    def _content(self) -> bytes:
        if not self.root.is_file():
            what = "is a folder" if self.root.is_dir() else "does not exist"
            raise DataError(f"data.root={self.root} {what}: give the CSV or Parquet file itself")
        return self.root.read_bytes()

    @cached_property
    def _samples(self) -> list[Sample]:
        table = self._read()
        double = [name for name, number in Counter(table.column_names).items() if number > 1]
        if double:
            raise DataError(f"{self.root} has more than one column {first_few(double)}: rename all but one")
        used = (
            self._required(table, self.path_column, "data.path_column"),
            self._required(table, self.label_column, "data.label_column"),
            self._optional(table, self.split_column, "split"),
            self._optional(table, self.group_column, "group"),
        )
        samples = [self._sample(row, used) for row in table.to_pylist()]
        _refuse_repeats(samples, self.root)
        return samples

    def _sample(self, row: Mapping[str, Any], used: Sequence[str | None]) -> Sample:
        path, label = _text(row[self.path_column]), _text(row[self.label_column])
        if path is None or label is None:
            raise DataError(f"{self.root}: a row has no {self.path_column} or no {self.label_column}: {dict(row)}")
        split, group = (_text(row[name]) if name else None for name in used[2:])
        if split is not None and split.lower() not in SPLIT_NAMES:
            raise DataError(f"{self.root}: split {split!r} of {path} is not known; allowed: train, val, test")
        metadata = {key: value for key, value in row.items() if key not in used}
        return Sample(path, label, SPLIT_NAMES[split.lower()] if split else None, group, metadata)

    def _read(self) -> pa.Table:
        try:
            if self.root.suffix.lower() == ".parquet":
                return pq.read_table(pa.BufferReader(self._content))
            return _read_csv(self._content)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise DataError(
                f"{self.root} cannot be read as a table ({reason}); allowed: .csv in UTF-8, .parquet"
            ) from error

    def _required(self, table: pa.Table, column: str, key: str) -> str:
        if column not in table.column_names:
            listing = first_few(table.column_names)
            hint = did_you_mean(column, table.column_names)
            raise DataError(f"{self.root} has no column {column!r}{hint}; set {key} to one of: {listing}")
        return column

    def _optional(self, table: pa.Table, column: str | None, default: str) -> str | None:
        if column is not None:
            return self._required(table, column, f"data.{default}_column")
        return default if default in table.column_names else None


def _read_csv(content: bytes) -> pa.Table:
    # Labels and paths stay text: "2" must not become 2.0, nor "010" become 10.
    reader = pa_csv.open_csv(pa.BufferReader(content))
    text = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(reader.schema.names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    return pa_csv.read_csv(pa.BufferReader(content), convert_options=text)


def _text(value: object) -> str | None:
    # Not equal to itself: the NaN that some writers of Parquet leave for a missing value.
    return None if value is None or value == "" or value != value else str(value)  # noqa: PLR0124


def _refuse_repeats(samples: list[Sample], root: Path) -> None:
    if not samples:
        raise DataError(f"{root} has no rows")
    seen: set[str] = set()
    repeated = [s.id for s in samples if s.id in seen or seen.add(s.id)]  # type: ignore[func-returns-value]
    if repeated:
        raise DataError(f"{root} names {len(repeated)} pictures more than once: {first_few(repeated)}")
