"""What a service notes of a picture that it answered, and what it is told of it later: a line of JSON each."""

import json
import math
import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np

from mlops_cls.monitoring.statistics import LOOKS, SIZES, Numbers

FORMAT = 1
PICTURES = "pictures"
ID = re.compile(r"[A-Za-z0-9._-]{1,80}")
"""Of a picture: the request's, a dash and its number. It has no slash, and so is no path."""
DAY = re.compile(r"\d{4}-\d\d-\d\d")
PICTURE = re.compile(rf"{DAY.pattern}/{PICTURES}/[A-Za-z0-9._-]+\.[a-z0-9]+")

_KINDS = {"request_id": str, "model": str, "index": int, "abstains": bool, "width": int, "height": int}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """A picture that was answered.

    Args:
        id: names this picture, and is what feedback is given for.
        request_id: the same for all pictures that came together.
        time: when it was answered, in UTC.
        model: the version of the model, `card.digest`.
        label: the most probable class.
        index: its place among the collection's classes.
        confidence: its probability.
        probabilities: of all classes, float32[K].
        abstains: whether the answer was left to a person.
        width: of the original in pixels, as in its file.
        height: likewise.
        statistics: from `monitoring.statistics.measure`, by name.
        embedding: as `reference.Projection` gives it, float32[D+1]; None for a model without reference.
        picture: the name of the kept file in the collection, if pictures are kept.
    """

    id: str
    request_id: str
    time: datetime
    model: str
    label: str
    index: int
    confidence: float
    probabilities: Numbers
    abstains: bool
    width: int
    height: int
    statistics: dict[str, float]
    embedding: Numbers | None = None
    picture: str | None = None

    def to_line(self) -> str:
        """Return it as JSON with a line's end. No number loses anything: ties stay ties, as rank tests need them."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values |= {
            "time": self.time.isoformat(),
            "confidence": _exact(self.confidence),
            "probabilities": [_exact(value) for value in self.probabilities],
            "statistics": {name: _exact(value) for name, value in self.statistics.items()},
            "embedding": None if self.embedding is None else [_exact(value) for value in self.embedding],
        }
        return json.dumps({"format": FORMAT, **values}, ensure_ascii=False) + "\n"

    @classmethod
    def from_line(cls, line: str, classes: tuple[str, ...]) -> Self:
        """Read a line.

        Raises:
            ValueError: it is damaged, of another format, or does not fit the classes.
        """
        values = _values(line, cls)
        probabilities = _numbers(values["probabilities"])
        embedding = None if values["embedding"] is None else _numbers(values["embedding"])
        record = cls(**values | {"probabilities": probabilities, "embedding": embedding})
        _check(record, classes)
        return record

    @property
    def day(self) -> str:
        """The folder that it lies in."""
        return day_of(self.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What the picture `id` really showed, as told at `time`."""

    id: str
    time: datetime
    label: str

    def to_line(self) -> str:
        values = {"format": FORMAT, "id": self.id, "time": self.time.isoformat(), "label": self.label}
        return json.dumps(values, ensure_ascii=False) + "\n"

    @classmethod
    def from_line(cls, line: str, classes: tuple[str, ...]) -> Self:
        """Read a line.

        Raises:
            ValueError: as for a record.
        """
        feedback = cls(**_values(line, cls))
        if feedback.label not in classes:
            raise ValueError("no such class")
        return feedback


def day_of(time: datetime) -> str:
    """Return the UTC day, such as ``2026-11-21``: the folder of what happened then."""
    return time.astimezone(UTC).date().isoformat()


def _values(line: str, kind: type[Record] | type[Feedback]) -> dict[str, Any]:
    values = json.loads(line)
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise ValueError(f"format is not {FORMAT}")
    wrong = values.keys() ^ {each.name for each in fields(kind)}
    if wrong:
        raise ValueError(f"missing or unknown: {', '.join(sorted(wrong))}")
    _need(isinstance(values["id"], str) and ID.fullmatch(values["id"]), "id")
    time = datetime.fromisoformat(values["time"]) if isinstance(values["time"], str) else None
    _need(time is not None and time.tzinfo is not None, "time")
    return values | {"time": time}


def _check(record: Record, classes: tuple[str, ...]) -> None:
    for name, kind in _KINDS.items():
        _need(type(getattr(record, name)) is kind, name)
    _need(0 <= record.index < len(classes) and record.label == classes[record.index], "label")
    _need(record.probabilities.shape == (len(classes),), "probabilities")
    _need(record.embedding is None or record.embedding.ndim == 1, "embedding")
    _need(_is_number(record.confidence), "confidence")
    _need(isinstance(record.statistics, dict) and record.statistics.keys() == {*LOOKS, *SIZES}, "statistics")
    _need(all(map(_is_number, record.statistics.values())), "statistics")
    _need(record.picture is None or PICTURE.fullmatch(str(record.picture)), "picture")


def _need(right: object, what: str) -> None:
    if not right:
        raise ValueError(f"{what} is missing or does not fit")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _numbers(values: object) -> Numbers:
    numbers = np.asarray(values, np.float32)
    _need(np.isfinite(numbers).all(), "a number")
    return numbers


def _exact(value: float) -> float:
    # The fewest digits from which the same float32 is read again: 0.97 rather than 0.9700000286102295.
    return float(str(np.float32(value)))
