"""The last pictures of a running service, in memory: looked at now and then, and never asked twice for a verdict."""

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from mlops_cls.monitoring.drift import ENOUGH, Sample, find_changes
from mlops_cls.monitoring.findings import Findings, small_reference
from mlops_cls.monitoring.records import Record
from mlops_cls.monitoring.reference import Reference
from mlops_cls.monitoring.windows import MOST_WINDOWS, UNTOLD, History, Window, spent, window_of

STEPS = 4
REST = timedelta(seconds=10)
"""From one look to the next at least: each takes 0.1 s of a core, which a service under load has better uses for."""


class LiveWindow:
    """The last `size` pictures, which are looked at each time that a quarter of them is new.

    The looks share one alpha (`windows.spent`), so that a service which is asked every minute for a year gives a false
    alarm with the same chance of 5 % as a single test. One thread adds, any may read `findings` and tell.

    Args:
        reference: of the model.
        model: its version.
        size: most pictures that are kept.
    """

    def __init__(self, reference: Reference, model: str, size: int) -> None:
        self._reference, self._model, self._size = reference, model, size
        self._step = max(ENOUGH, size // STEPS)
        self._kept: deque[Record] = deque(maxlen=size)
        self._told: dict[str, int] = {}
        self._looks: deque[Window] = deque(maxlen=MOST_WINDOWS)
        self._number = self._new = 0
        self._rests = datetime.min.replace(tzinfo=UTC)
        self.findings = self._waiting()

    def add(self, records: Sequence[Record]) -> None:
        """Take in pictures in the order of time; look if enough of them are new."""
        self._kept.extend(records)
        self._new += len(records)
        if self._new >= self._step and self._kept[-1].time >= self._rests and not small_reference(self._reference):
            self._look()
        elif not self._number:
            self.findings = self._waiting()

    def tell(self, picture: str, label: str) -> None:
        """Take in the true class of a picture, by its id; what is not kept is let go at the next look."""
        if len(self._told) < self._size:  # or whoever tells of pictures that never were would fill the memory
            self._told[picture] = self._reference.classes.index(label)

    def _waiting(self) -> Findings:
        why = small_reference(self._reference)
        return Findings(model=self._model, pictures=len(self._kept), needed=self._step, words=why)

    def _look(self) -> None:
        self._number, self._new, self._rests = self._number + 1, 0, self._kept[-1].time + REST
        kept = {one.id for one in self._kept}
        for picture in [*self._told]:
            if picture not in kept:
                del self._told[picture]
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


def _history(kept: Sequence[Record], told: dict[str, int]) -> History:
    return History(
        sample_of(kept),
        [one.time for one in kept],
        np.array([told.get(one.id, UNTOLD) for one in kept], np.int64),
    )


def sample_of(records: Sequence[Record]) -> Sample:
    """Return pictures, at least one, as a sample."""
    embeddings = [one.embedding for one in records if one.embedding is not None]
    return Sample(
        statistics={
            name: np.array([one.statistics[name] for one in records], np.float32) for name in records[0].statistics
        },
        predicted=np.array([one.index for one in records], np.int64),
        confidence=np.array([one.confidence for one in records], np.float32),
        projected=np.stack(embeddings) if len(embeddings) == len(records) else None,
    )
