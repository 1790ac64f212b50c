"""Scores of parts of a split: of each value or band of the data set's own columns, such as age, sex or site."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_cls.evaluation.answers import Answers, Whole
from mlops_cls.evaluation.measures import Measures
from mlops_cls.evaluation.resampling import Resampling

SMALLEST = 10  # pictures in a slice of its own
MOST = 12  # slices of a column
BANDS = 4
UNKNOWN = "not known"
AGE = re.compile(r"(^|[^a-z])ages?($|[^a-z])")
OLDEST = 130


def slice_scores(metadata: pa.Table, answers: Answers, resampling: Resampling) -> list[dict[str, Any]]:
    """Return accuracy and balanced accuracy per column and value, with their intervals."""
    return [
        {"column": column, "value": value, **_score(rows, answers, resampling)}
        for column in metadata.column_names
        for value, rows in parts(column, metadata[column])
    ]


def _score(rows: Whole, answers: Answers, resampling: Resampling) -> dict[str, Any]:
    part = resampling.subset(rows)
    scores = Measures(answers.take(rows), part).overall()
    shown = {name: scores[name].to_dict() for name in ("accuracy", "balanced_accuracy")}
    return {"pictures": len(rows), "groups": part.groups if part.grouped else None, **shown}


def parts(name: str, column: pa.ChunkedArray) -> list[tuple[str, Whole]]:
    """Return the slices of a column, each with its rows: decades of an age, bands of other numbers, else its values.

    Values of fewer than 10 pictures come together as "other", as do rare ones beyond 12. A column with one value, or
    with one of its own for most pictures (an id), has no slices.
    """
    named = _names(name, column)
    if named is None:
        return []
    found = list(_merged(*named))
    return found if len(found) > 1 else []


def _names(name: str, column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]] | None:
    """Return the index of each picture's slice, and the names of the slices in order; None if there are none."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _numbers(name, column)
    if pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _values(column.cast(pa.string()))
    return None


def _values(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]] | None:
    texts = pc.fill_null(column, UNKNOWN).to_numpy(zero_copy_only=False).astype(str)
    names, where = np.unique(texts, return_inverse=True)
    # UNKNOWN goes last.
    order = sorted(range(len(names)), key=lambda i: (names[i] == UNKNOWN, i))
    rank = np.argsort(order)
    return None if 2 * len(names) > len(texts) else (rank[where], [str(names[i]) for i in order])


def _numbers(name: str, column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]] | None:
    numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    known = np.isfinite(numbers)
    distinct = np.unique(numbers[known])
    if pa.types.is_integer(column.type) and 2 * len(distinct) > len(numbers) > 2 * BANDS:
        return None
    if AGE.search(name.lower()) and len(distinct) > BANDS and 0 <= distinct[0] <= distinct[-1] < OLDEST:
        where, names = _decades(numbers, known)
    elif len(distinct) > 2 * BANDS:
        where, names = _quantiles(numbers, known)
    else:
        where, names = np.searchsorted(distinct, numbers), [f"{value:g}" for value in distinct]
    return np.where(known, where, len(names)), [*names, UNKNOWN]


def _decades(numbers: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, list[str]]:
    decades = np.where(known, numbers, 0).astype(np.int64) // 10
    return decades, [f"{10 * i} to {10 * i + 9}" for i in range(OLDEST // 10)]


def _quantiles(numbers: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, list[str]]:
    edges = np.unique(np.quantile(numbers[known], np.linspace(0, 1, BANDS + 1)))
    where = np.clip(np.searchsorted(edges, numbers, "left") - 1, 0, max(len(edges) - 2, 0))
    first = [f"{edges[0]:.4g} to {edges[1]:.4g}"]
    return where, first + [f"above {low:.4g} to {high:.4g}" for low, high in pairwise(edges[1:])]


def _merged(where: np.ndarray, names: list[str]) -> Iterator[tuple[str, Whole]]:
    counts = np.bincount(where, minlength=len(names))
    kept = set(np.argsort(-counts, kind="stable")[:MOST].tolist()) & set(np.flatnonzero(counts >= SMALLEST).tolist())
    for i in sorted(kept):
        yield names[i], np.flatnonzero(where == i)
    rest = np.flatnonzero(~np.isin(where, list(kept)))
    if len(rest):
        values = int((counts > 0).sum()) - len(kept)
        yield (names[where[rest[0]]] if values == 1 else f"other ({values} values)"), rest
