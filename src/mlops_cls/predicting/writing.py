"""Answers as CSV, JSON or Parquet, written as they come."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_cls.atomic import replacing
from mlops_cls.card import ModelCard
from mlops_cls.predicting.answers import Answer

ROWS = 4096  # of a Parquet row group
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """A table's columns: path, label, confidence, abstains, attributes of the label, next best labels, error."""

    card: ModelCard
    top: int

    def row(self, answer: Answer) -> Row:
        """Return the answer's cells, None where there is nothing to say."""
        row: Row = dict.fromkeys(self.schema().names)
        row.update(path=str(answer.path), error=answer.error or None)
        if (found := answer.prediction) is not None:
            row.update(found.attributes, label=found.label, confidence=found.confidence, abstains=found.abstains)
            for k, (label, probability) in enumerate(found.top(self.top)[1:], 2):
                row.update({f"label_{k}": label, f"confidence_{k}": probability})
        return row

    def schema(self) -> pa.Schema:
        """Return names and types, in order."""
        attributes = {name: pa.array(list(values.values())).type for name, values in self.card.attributes.items()}
        further = range(2, min(self.top, self.card.num_classes) + 1)
        return pa.schema(
            {
                "path": pa.string(),
                "label": pa.string(),
                "confidence": pa.float64(),
                "abstains": pa.bool_(),
                **attributes,
                **{f"{name}_{k}": kind for k in further for name, kind in _NEXT.items()},
                "error": pa.string(),
            }
        )


_NEXT = {"label": pa.string(), "confidence": pa.float64()}


def write(out: Path | None, kind: str, columns: Columns, answers: Iterable[Answer]) -> None:
    """Write the answers to a file, or to the screen as csv or json.

    The file takes its name when the last answer is in it; on an error what was there before stays.
    """
    with nullcontext(sys.stdout) if out is None else _file(out, kind) as file:
        _WRITERS[kind](file, columns, answers)


@contextmanager
def _file(out: Path, kind: str) -> Iterator[IO[Any]]:
    device = out.exists() and not out.is_file()  # /dev/null must not become a file
    with nullcontext(out) if device else replacing(out) as path, _open(path, kind) as file:
        yield file


def _open(path: Path, kind: str) -> IO[Any]:
    return path.open("wb") if kind == "parquet" else path.open("w", encoding="utf-8", newline="")


def _write_csv(file: IO[str], columns: Columns, answers: Iterable[Answer]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns.schema().names)
    for answer in answers:
        writer.writerow(map(_cell, columns.row(answer).values()))


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6f}" if isinstance(value, float) else value


def _write_json(file: IO[str], columns: Columns, answers: Iterable[Answer]) -> None:
    before = "[\n"
    for answer in answers:
        file.write(f"{before}  {json.dumps(_entry(answer, columns.top), ensure_ascii=False)}")
        before = ",\n"
    file.write("\n]\n")


def _entry(answer: Answer, top: int) -> Row:
    found = answer.prediction
    if found is None:
        return {"path": str(answer.path), "error": answer.error}
    return {
        "path": str(answer.path),
        "label": found.label,
        "confidence": round(found.confidence, 6),
        "abstains": found.abstains,
        "attributes": found.attributes,
        "top": [{"label": label, "probability": round(p, 6)} for label, p in found.top(top)],
    }


def _write_parquet(file: IO[bytes], columns: Columns, answers: Iterable[Answer]) -> None:
    rest, schema = iter(answers), columns.schema()
    with pq.ParquetWriter(file, schema) as writer:
        for first in rest:
            rows = [columns.row(answer) for answer in chain([first], islice(rest, ROWS - 1))]
            writer.write_table(pa.Table.from_pylist(rows, schema))


_WRITERS: dict[str, Callable[[IO[Any], Columns, Iterable[Answer]], None]] = {
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
}
KINDS = tuple(_WRITERS)
