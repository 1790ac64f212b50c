"""One picture that a model has answered, wherever it comes from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mlops_cls.monitoring.window import Measured, sample_of
from mlops_cls.monitoring.windows import UNTOLD, History


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A picture as it was measured and answered.

    Args:
        measured: its numbers.
        group: what came together with it, such as its request; "" if that is not known.
        margin: probability of the most probable class less that of the next, 0 (undecided) to 1.
        truth: the true class, where it was told.
        source: what a person finds it by.
        ending: of its file, such as ``.jpg``.
        content: reads the file; None where it was not kept.
    """

    measured: Measured
    group: str
    margin: float
    truth: str | None
    source: str
    ending: str
    content: Callable[[], bytes] | None


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """All pictures of a collection or folder, oldest first.

    `timed` tells whether their times mean anything; `notes` say what was left out, for a person.
    """

    items: Sequence[Item]
    timed: bool
    notes: Sequence[str] = field(default_factory=list)

    def one_of_each_group(self) -> "Gathered":
        """Return the first picture of each group: those that come together are seldom independent of each other."""
        seen: set[str] = set()
        kept = [item for item in self.items if not item.group or not (item.group in seen or seen.add(item.group))]  # type: ignore[func-returns-value]
        left = len(self.items) - len(kept)
        note = f"{left:,} pictures came together with another in a request, and are not tested (--every-picture)"
        return Gathered(kept, self.timed, [*self.notes, *([note] if left else [])])

    def history(self, classes: Sequence[str]) -> History:
        """Return what the tests need, of one picture at least."""
        return History(
            sample_of([item.measured for item in self.items]),
            [item.measured.time for item in self.items],
            _truth(self.items, classes),
        )


def _truth(items: Iterable[Item], classes: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([UNTOLD if item.truth is None else numbers[item.truth] for item in items], np.int64)
