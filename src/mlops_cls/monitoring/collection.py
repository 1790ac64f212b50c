"""The folder that services collect into, and what is read from it.

collected/
    collection.json                    {"format": 1, "classes": […], "models": […]}
    2026-11-21/                        a UTC day, which retention removes as a whole
        records-….jsonl                a `Record` a line; every process writes files of its own
        feedback-….jsonl               a `Feedback` a line, on the day on which it came
        pictures/ID.….jpg              where pictures are kept

A process that is killed may leave half a line at the end of a file, which is counted and left out.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from mlops_cls.errors import ArtifactError
from mlops_cls.monitoring.records import DAY, FORMAT, PICTURE, Feedback, Record, day_of
from mlops_cls.monitoring.storage import Storage, open_storage

HEADER, RECORDS, FEEDBACK = "collection.json", "records", "feedback"
Line = TypeVar("Line", Record, Feedback)


@dataclass(slots=True)
class Collected:
    """What was read.

    `records` are in the order of time. `labels` are the true ones by a record's id, the last that was told for each;
    one whose id several records share tells nothing and is left out. `torn` counts last lines that a killed process
    left unfinished, `unreadable` other lines that could not be read.
    """

    records: list[Record] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    torn: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Collection:
    """A folder or ``gs://bucket/folder`` that services collected into.

    Args:
        place: how it was named.
        classes: of every model that answered; `ModelCard.check_classes` compares them with a card's.
        models: versions that are known to have been collected; every record tells its own.
    """

    place: str
    classes: tuple[str, ...]
    models: tuple[str, ...]
    storage: Storage = field(repr=False, compare=False)

    @classmethod
    def open(cls, place: str | Path) -> Self:
        """Read what a collection is of, and nothing of what is in it.

        Raises:
            ArtifactError: it is none, damaged, of another version, or cannot be reached.
            ConfigError: it lies in a bucket, and gcsfs is not installed.
        """
        storage = open_storage(place)
        found = _header(str(place), storage)
        return cls(str(place), tuple(found["classes"]), tuple(found["models"]), storage)

    def days(self) -> list[str]:
        """Return the days there are, such as ``2026-11-21``, in order.

        Raises:
            ArtifactError: they cannot be listed.
        """
        return [name for name in self._below("") if DAY.fullmatch(name)]

    def read(self, *, since: datetime | None = None, until: datetime | None = None) -> Collected:
        """Return the records of `since` <= time < `until`, with time zones, and all that was told of them, ever.

        Days before `since` are not opened, and of those after `until` only what was told.

        Raises:
            ArtifactError: a file that is there cannot be read.
        """
        found = Collected()
        for day in self._days(since, until):
            found.records += (each for each in self._of(day, Record, found) if _within(each.time, since, until))
        found.records.sort(key=lambda record: (record.time, record.id))
        told = [each for day in self._days(since, None) for each in self._of(day, Feedback, found)]
        told.sort(key=lambda feedback: feedback.time)
        times = Counter(record.id for record in found.records)
        found.labels = {each.id: each.label for each in told if times[each.id] == 1}
        return found

    def picture(self, record: Record) -> bytes:
        """Return a picture that was kept.

        Raises:
            ArtifactError: it was not kept, or is gone.
        """
        if record.picture is None or not PICTURE.fullmatch(record.picture):
            raise ArtifactError(
                f"{self.place}: the picture of {record.id} was not kept (--collect pictures keeps them)"
            )
        return self._content(record.picture)

    def _days(self, since: datetime | None, until: datetime | None) -> list[str]:
        first, last = (None if time is None else day_of(time) for time in (since, until))
        return [day for day in self.days() if (first is None or first <= day) and (last is None or day <= last)]

    def _of(self, day: str, kind: type[Line], found: Collected) -> Iterator[Line]:
        prefix = f"{day}/{RECORDS if kind is Record else FEEDBACK}-"
        for name in self._below(day):
            if name.startswith(prefix) and name.endswith(".jsonl"):
                yield from _lines(self._content(name), lambda line: kind.from_line(line, self.classes), found)

    def _below(self, part: str) -> list[str]:
        try:
            return self.storage.below(part)
        except OSError as error:
            raise ArtifactError(f"{self.place} cannot be listed ({error})") from error

    def _content(self, name: str) -> bytes:
        try:
            return self.storage.read(name)
        except OSError as error:
            raise ArtifactError(f"{self.place}: {name} cannot be read ({error})") from error


def header(classes: Sequence[str], models: Sequence[str]) -> bytes:
    """Return what `HEADER` contains."""
    values = {"format": FORMAT, "classes": [*classes], "models": [*models]}
    return (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode()


def _header(place: str, storage: Storage) -> dict[str, Any]:
    try:
        found = json.loads(storage.read(HEADER))
        if found["format"] == FORMAT:
            return {"classes": [*map(str, found["classes"])], "models": [*map(str, found["models"])]}
    except FileNotFoundError:
        raise ArtifactError(
            f"{place} is no collection: {HEADER} is missing (python -m mlops_cls.serve BUNDLE --collect metadata "
            f"--collect-to {place} makes one)"
        ) from None
    except OSError as error:
        raise ArtifactError(f"{place} cannot be reached ({error})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{place}: {HEADER} is damaged ({error!r})") from error
    raise ArtifactError(f"{place} has format {found['format']!r}; this version of mlops_cls reads {FORMAT}")


def _lines(content: bytes, parse: Callable[[str], Line], found: Collected) -> Iterator[Line]:
    *whole, last = content.split(b"\n")
    for line in filter(None, whole):
        try:
            yield parse(line.decode())
        except (ValueError, TypeError):
            found.unreadable += 1
    found.torn += bool(last)


def _within(time: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or since <= time) and (until is None or time < until)
