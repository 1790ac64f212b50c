"""One picture that a model has answered, wherever it comes from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mlops_cls.monitoring.records import Record
from mlops_cls.monitoring.window import sample_of
from mlops_cls.monitoring.windows import UNTOLD, History


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A picture as it was measured and answered.

    Args:
        record: its numbers and answers; `request_id` is "" if it is not known what it came with.
        truth: the true class, where it was told.
        source: what a person finds it by.
        ending: of its file, such as ``.jpg``.
        content: reads the file; None where it was not kept.
    """

    record: Record
    truth: str | None
    source: str
    ending: str
    content: Callable[[], bytes] | None

    @property
    def margin(self) -> float:
        """Probability of the most probable class less that of the next, 0 (undecided) to 1."""
        second, first = np.sort(self.record.probabilities)[-2:]
        return float(first - second)


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """All pictures of a collection or folder, oldest first.

    `timed` tells whether their times mean anything; `notes` say what was left out, for a person.
    """

    items: Sequence[Item]
    timed: bool
    notes: Sequence[str] = field(default_factory=list)

    def one_of_each_request(self) -> "Gathered":
        """Return the first picture of each: those that come together are seldom independent of each other."""
        first: dict[str, Item] = {}
        for item in self.items:
            first.setdefault(item.record.request_id or item.record.id, item)
        left = len(self.items) - len(first)
        note = f"{left:,} pictures came in a request with another; of each one is tested (all: --every-picture)"
        return Gathered([*first.values()], self.timed, [*self.notes, *([note] if left else [])])

    def history(self, classes: Sequence[str]) -> History:
        """Return what the tests need, of one picture at least."""
        return History(
            sample_of([item.record for item in self.items]),
            [item.record.time for item in self.items],
            _truth(self.items, classes),
        )


def _truth(items: Iterable[Item], classes: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([UNTOLD if item.truth is None else numbers[item.truth] for item in items], np.int64)
