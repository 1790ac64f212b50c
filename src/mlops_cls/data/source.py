"""What preparation asks of a data set, however its raw files look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mlops_cls.pictures import PictureSource


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture before preparation.

    `id` is unique and the same on every machine (a path relative to the root); `split` is train, val or test where the
    data set ships one; samples of equal `group` must stay in one split.
    """

    id: str
    label: str
    split: str | None = None
    group: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """A data set in its raw form."""

    @property
    def name(self) -> str:
        """Short name, used for the store's folder."""

    @property
    def classes(self) -> Sequence[str] | None:
        """The published class order, or None for alphabetical."""

    @property
    def attributes(self) -> Mapping[str, Mapping[str, Any]]:
        """Attributes of classes, such as ``{"is_cancer": {"mel": True, "nv": False}}``."""

    def fingerprint(self) -> str:
        """Return a hash that changes when the raw files change, without decoding them.

        Raises:
            DataError: the raw files are not there; the message says what was looked for.
        """

    def samples(self) -> list[Sample]:
        """Return every picture, in a fixed order.

        Raises:
            DataError: a class is empty, a label unknown, a table unreadable.
        """

    def picture(self, sample: Sample) -> PictureSource:
        """Return the picture's path, bytes or array."""


def class_order(labels: Sequence[str], published: Sequence[str] | None) -> tuple[str, ...]:
    """Return the classes in published order, then the others: by number if all are whole numbers, else alphabetical."""
    found = set(labels)
    known = [name for name in published or () if name in found]
    others = found.difference(known)
    numeric = all(name.removeprefix("-").isdecimal() for name in others)
    return (*known, *sorted(others, key=(lambda name: (int(name), name)) if numeric else None))
