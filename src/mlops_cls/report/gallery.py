"""Which pictures are worth looking at, and what is said below them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.pictures import Pixels
from mlops_cls.report.numbers import percent
from mlops_cls.report.pictures import data_uri, is_small, lay_over

if TYPE_CHECKING:
    from mlops_cls.models.evidence import Evidence  # torch, which a report of a bundle does without

SHOWN, PAIRS, PER_PAIR, EXPLAINED = 12, 6, 3, 4
Explain = Callable[[Pixels, Sequence[int]], "Evidence"]
"""From pictures uint8[B,H,W,C] and a class each to what speaks for it, as `models.evidence.find_evidence`."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture with what is said of it; probabilities are calibrated."""

    uri: str
    small: bool
    id: str
    true: str
    predicted: str
    p_true: float
    p_predicted: float

    @property
    def right(self) -> bool:
        return self.true == self.predicted

    @property
    def name(self) -> str:
        """Return the id, without the folders if it is a path."""
        return self.id.rpartition("/")[2]

    @property
    def alt(self) -> str:
        """Return what someone hears who cannot see the picture."""
        if self.right:
            return f"{self.id}: {self.true}, rightly predicted with {percent(self.p_predicted)}"
        return f"{self.id}: {self.true}, taken for {self.predicted} with {percent(self.p_predicted)}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Pictures of one class that were taken for another, and one which the classifier is sure belongs there."""

    true: str
    predicted: str
    count: int
    share: float
    mistaken: list[Shown]
    typical: Shown | None


@dataclass(frozen=True, slots=True)
class Explained:
    """A picture, and the same with what speaks for a class laid over it: (class, picture) each."""

    shown: Shown
    overlays: list[tuple[str, str]]


class Gallery:
    """The pictures of a split as the classifier answered them.

    Args:
        outputs: its answers.
        temperature: the logits are divided by it.
        picture: from a row of the outputs to its picture uint8[H,W,C].
    """

    def __init__(self, outputs: Outputs, temperature: float, picture: Callable[[int], Pixels]) -> None:
        self._outputs, self._picture = outputs, picture
        self._probabilities = outputs.probabilities(temperature)
        self._predicted = outputs.logits.argmax(1)
        self._confidence = self._probabilities.max(1)

    @cached_property
    def mistakes(self) -> NDArray[np.bool_]:
        """bool[N], True where the classifier is wrong."""
        wrong: NDArray[np.bool_] = self._predicted != self._outputs.labels
        return wrong

    def worst(self) -> list[Shown]:
        """Return the mistakes it was surest of."""
        return [self._show(row) for row in self._worst_rows()]

    def uncertain(self) -> list[Shown]:
        """Return the mistakes between two classes that it held for nearly equally likely."""
        top = np.sort(self._probabilities, axis=1)
        margin = top[:, -1] - top[:, -2]
        taken = set(self._worst_rows())
        rows = (row for row in self._ranked(self.mistakes, margin) if row not in taken)
        return [self._show(row) for row in islice(rows, SHOWN)]

    def pairs(self, confused: Sequence[dict[str, Any]]) -> list[Pair]:
        """Return the most confused pairs of classes with pictures."""
        return [self._pair(**entry) for entry in confused[:PAIRS]]

    def explained(self, explain: Explain) -> tuple[str, list[Explained], list[Explained]]:
        """Return the method, and some mistakes and some hits with what spoke for which class."""
        wrong, right = list(self._different(self.mistakes)), list(self._different(~self.mistakes))
        asked = [(row, int(self._predicted[row])) for row in wrong + right]
        asked += [(row, int(self._outputs.labels[row])) for row in wrong]
        if not asked:
            return "", [], []
        found = explain(np.stack([self._picture(row) for row, _ in asked]), [index for _, index in asked])
        # One scale for a picture, so that weak evidence for its true class looks weak.
        most: dict[int, float] = {}
        for (row, _), heat in zip(asked, found.maps, strict=True):
            most[row] = max(most.get(row, 1e-12), float(heat.max()))
        overlays: dict[int, list[tuple[str, str]]] = {}
        for (row, index), heat in zip(asked, found.maps, strict=True):
            uri = data_uri(lay_over(self._picture(row), heat / most[row]))
            overlays.setdefault(row, []).append((self._outputs.classes[index], uri))
        made = {row: Explained(self._show(row), laid) for row, laid in overlays.items()}
        return found.method, [made[row] for row in wrong], [made[row] for row in right]

    def _worst_rows(self) -> list[int]:
        return list(islice(self._ranked(self.mistakes, -self._confidence), SHOWN))

    def _ranked(self, among: NDArray[np.bool_], key: NDArray[Any]) -> Iterator[int]:
        """Yield rows by rising key, one of a group: two pictures of the same thing teach no more than one."""
        rows = np.flatnonzero(among)
        groups, seen = self._outputs.groups, set()
        for row in rows[np.argsort(key[rows], kind="stable")].tolist():
            group = row if groups is None else groups[row]
            if group not in seen:
                seen.add(group)
                yield row

    def _different(self, among: NDArray[np.bool_]) -> Iterable[int]:
        """Return the surest rows, each of another true class."""
        labels = self._outputs.labels
        first: dict[int, int] = {}
        for row in self._ranked(among, -self._confidence):
            first.setdefault(int(labels[row]), row)
        return islice(first.values(), EXPLAINED)

    def _pair(self, true: str, predicted: str, count: int, share: float) -> Pair:
        i, j = (self._outputs.classes.index(name) for name in (true, predicted))
        labels, guesses = self._outputs.labels, self._predicted
        mistaken = islice(self._ranked((labels == i) & (guesses == j), -self._confidence), PER_PAIR)
        typical = next(self._ranked((labels == j) & (guesses == j), -self._confidence), None)
        shown = None if typical is None else self._show(typical)
        return Pair(true, predicted, count, share, [self._show(row) for row in mistaken], shown)

    def _show(self, row: int) -> Shown:
        label, guess = int(self._outputs.labels[row]), int(self._predicted[row])
        pixels, classes = self._picture(row), self._outputs.classes
        p_true, p_guess = (float(self._probabilities[row, index]) for index in (label, guess))
        return Shown(
            data_uri(pixels), is_small(pixels), self._outputs.ids[row], classes[label], classes[guess], p_true, p_guess
        )
