"""What was collected as tables that `data=table` reads: pictures with their true class, and those still to be labelled.

FOLDER/
    pictures/           copies
    labelled.csv        path, label, group and more: ready to train on
    to_label.csv        the same with an empty label, the most useful first, and the model's guess

Who fills in labels and runs the same command again finds those rows in labelled.csv; nothing that was there is lost.
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlops_cls.atomic import replacing, write_text
from mlops_cls.drifting.items import Item
from mlops_cls.drifting.unusual import Floats
from mlops_cls.errors import ArtifactError, DataError, did_you_mean
from mlops_cls.report.text import read_rows

LABELLED, TO_LABEL, PICTURES = "labelled.csv", "to_label.csv", "pictures"
COLUMNS = ("path", "label", "group", "guess", "confidence", "unusual", "time", "source")
Row = Mapping[str, str]
Group = Callable[[Item], str]
GROUPS: dict[str, Group] = {
    "request": lambda item: item.record.request_id,
    "day": lambda item: item.record.time.date().isoformat(),
}
"""What may not be divided between training and test: pictures of a request, or all of a day."""


@dataclass(frozen=True, slots=True)
class Written:
    """What came of it: pictures of each class in labelled.csv, how many wait, and what a person should know."""

    labelled: Mapping[str, int]
    waiting: int
    notes: Sequence[str]


def write_table(folder: Path, items: Sequence[Item], unusual: Floats, classes: Sequence[str], *, group: str) -> Written:
    """Copy pictures and write both tables, each in one step; rows and labels that are there already are kept.

    Args:
        folder: where to; made if it is not there.
        items: pictures with their answers.
        unusual: of each, 0 to 1.
        classes: those of the model.
        group: one of `GROUPS`.

    Raises:
        DataError: no picture was kept, or a table that is there is none of ours.
        ArtifactError: it cannot be written.
    """
    there = {name: _rows(folder / name) for name in (LABELLED, TO_LABEL)}
    order = _most_useful(items, unusual)
    found = [(items[i], float(unusual[i])) for i in order if items[i].content is not None]
    if not found:
        raise DataError(
            "no picture of these was kept, so there is nothing to train on: collect with --collect pictures"
        )
    try:
        (folder / PICTURES).mkdir(parents=True, exist_ok=True)
        made = [_row(_copied(folder, item), item, classes, much, GROUPS[group]) for item, much in found]
        rows = _merged([*there[LABELLED], *there[TO_LABEL]], made)
        labelled = [row for row in rows if row["label"]]
        waiting = [row for row in rows if not row["label"]]
        for name, part in ((LABELLED, labelled), (TO_LABEL, waiting)):
            write_text(folder / name, _csv(part))
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written ({error.strerror or error}): give another folder") from error
    counts = Counter(row["label"] for row in labelled)
    missing = len(items) - len(found)
    notes = [*_unknown(counts, classes), *([f"{missing:,} pictures were not kept"] if missing else [])]
    return Written(counts, len(waiting), notes)


def _most_useful(items: Sequence[Item], unusual: Floats) -> list[int]:
    """Return rows, in turns the least sure and the most unusual: a model learns most from what it does not know yet.

    Settles, "Active learning literature survey" (2009), 2.3: the smallest margin; and what is unlike all it knows.
    """
    ranks = [np.argsort(np.argsort(key, kind="stable")) for key in (np.array([one.margin for one in items]), -unusual)]
    order: list[int] = np.argsort(np.minimum(*ranks), kind="stable").tolist()
    return order


def _copied(folder: Path, item: Item) -> str:
    """Copy a picture under a name made from what is in it; return that, relative to the folder."""
    assert item.content is not None
    content = item.content()
    name = f"{PICTURES}/{hashlib.sha256(content).hexdigest()[:20]}{item.ending}"
    if not (folder / name).is_file():
        with replacing(folder / name) as aside:
            aside.write_bytes(content)
    return name


def _row(path: str, item: Item, classes: Sequence[str], unusual: float, group: Group) -> Row:
    values = (
        path,
        item.truth or "",
        group(item) or path,
        item.record.label,
        f"{item.record.confidence:.4f}",
        f"{min(unusual, 1):.4f}",
        item.record.time.isoformat(timespec="seconds"),
        item.source,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _merged(there: Iterable[Row], made: Iterable[Row]) -> list[Row]:
    """Return one row of each picture: new ones first, with a label that was told later, else that of before."""
    before = {row["path"]: row for row in there}
    rows: dict[str, Row] = {}
    for row in made:
        label = row["label"] or rows.get(row["path"], row)["label"] or before.get(row["path"], row)["label"]
        rows[row["path"]] = {**row, "label": label}
    return [*rows.values(), *(row for path, row in before.items() if path not in rows)]


def _rows(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    try:
        rows = read_rows(path)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}): save it as CSV in UTF-8") from error
    if any(tuple(row) != COLUMNS or None in row.values() for row in rows):
        raise DataError(
            f"{path} has other columns than {', '.join(COLUMNS)}: save it as it was, with commas, or move it"
        )
    return [{**row, "label": row["label"].strip()} for row in rows]


def _csv(rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _unknown(counts: Mapping[str, int], classes: Sequence[str]) -> Iterator[str]:
    for label in counts.keys() - set(classes):
        yield f"{label!r} is no class of the model{did_you_mean(label, classes)} ({counts[label]} pictures)"
