"""The last pictures of a running service, in memory: looked at now and then, and never asked twice for a verdict."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from mlops_cls.monitoring.drift import ENOUGH, Sample, find_changes
from mlops_cls.monitoring.findings import Findings
from mlops_cls.monitoring.reference import Reference
from mlops_cls.monitoring.statistics import Numbers
from mlops_cls.monitoring.windows import MOST_WINDOWS, UNTOLD, History, Window, spent, window_of

STEPS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What is kept of one picture: its id, when it was answered, and numbers; no picture can be made from them."""

    id: str
    time: datetime
    statistics: dict[str, float]
    predicted: int
    confidence: float
    projected: Numbers | None


class LiveWindow:
    """The last `size` pictures, which are looked at each time that a quarter of them is new.

    The looks share one alpha (`windows.spent`), so that a service which is asked every minute for a year gives a false
    alarm with the same chance of 5 % as a single test. One thread adds; `findings` may be read by any.

    Args:
        reference: of the model.
        model: its version.
        size: most pictures that are kept.
    """

    def __init__(self, reference: Reference, model: str, size: int) -> None:
        self._reference, self._model = reference, model
        self._step = max(ENOUGH, size // STEPS)
        self._kept: deque[Measured] = deque(maxlen=size)
        self._told: dict[str, int] = {}
        self._looks: deque[Window] = deque(maxlen=MOST_WINDOWS)
        self._number = self._new = 0
        self.findings = self._waiting()

    def add(self, measured: Sequence[Measured]) -> None:
        """Take in pictures in the order of time; look if enough of them are new."""
        self._kept.extend(measured)
        self._new += len(measured)
        if self._new >= self._step:
            self._look()
        elif not self._number:
            self.findings = self._waiting()

    def tell(self, picture: str, label: str) -> None:
        """Take in the true class of a picture, by its id; what is not kept any more is let go at the next look."""
        self._told[picture] = self._reference.classes.index(label)

    def _waiting(self) -> Findings:
        return Findings(model=self._model, pictures=len(self._kept), needed=self._step)

    def _look(self) -> None:
        self._number, self._new = self._number + 1, 0
        kept = {one.id for one in self._kept}
        self._told = {picture: label for picture, label in self._told.items() if picture in kept}
        history = _history(list(self._kept), self._told)
        changes = find_changes(self._reference, history.sample, share=spent(self._number), seed=self._number)
        window = window_of(history, changes)
        self._looks.append(window)
        self.findings = Findings(
            model=self._model,
            pictures=window.pictures,
            needed=self._step,
            since=window.since,
            until=window.until,
            changes=changes,
            windows=list(self._looks),
            accuracy=window.accuracy,
        )


def _history(kept: Sequence[Measured], told: dict[str, int]) -> History:
    return History(
        sample_of(kept),
        [one.time for one in kept],
        np.array([told.get(one.id, UNTOLD) for one in kept], np.int64),
    )


def sample_of(measured: Sequence[Measured]) -> Sample:
    """Return pictures, at least one, as a sample."""
    projected = [one.projected for one in measured if one.projected is not None]
    predicted: NDArray[np.int64] = np.array([one.predicted for one in measured], np.int64)
    return Sample(
        statistics={
            name: np.array([one.statistics[name] for one in measured], np.float32) for name in measured[0].statistics
        },
        predicted=predicted,
        confidence=np.array([one.confidence for one in measured], np.float32),
        projected=np.stack(projected) if len(projected) == len(measured) else None,
    )
