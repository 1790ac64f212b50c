"""Measures what a service sees, in a thread beside it, for `GET /monitoring`."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from queue import Empty, Full, Queue
from threading import Thread
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlops_cls.errors import ArtifactError
from mlops_cls.monitoring.findings import Findings
from mlops_cls.monitoring.reference import Reference
from mlops_cls.monitoring.statistics import measure
from mlops_cls.monitoring.window import LiveWindow, Measured
from mlops_cls.pictures import Pixels
from mlops_cls.service.engine import Seen, Service

WAITING, AT_ONCE = 128, 16
"""Pictures in the network's size that may wait to be measured (19 MB at 224), and that are measured together."""
LOADING = "The model is still being loaded."
WITHOUT = "This model has no reference to compare with; export its run again where its data are."
STOPPED = "Monitoring has stopped after an error, which is in the service's log."

log = logging.getLogger(__name__)


class _Picture(NamedTuple):
    id: str
    time: datetime
    pixels: Pixels
    sides: tuple[int, int]
    predicted: int
    confidence: float
    embedding: NDArray[np.float32] | None


class Watch:
    """What `GET /monitoring` tells of.

    One picture of each request counts, since those that come together are seldom independent. Under a load at which
    measuring does not keep up, pictures are left out: answers never wait for it.
    """

    def __init__(self) -> None:
        self._window: LiveWindow | None = None
        self._queue: Queue[_Picture | None] = Queue(WAITING)
        self._why_not = LOADING
        self._model = ""
        self._told: tuple[Findings, bytes] | None = None

    @property
    def findings(self) -> Findings:
        """What the last look came to, or why there was none."""
        if self._window is not None:
            return self._window.findings
        return Findings(model=self._model, pictures=0, needed=0, words=self._why_not)

    @property
    def json(self) -> bytes:
        """The findings as JSON, which is made once however often it is asked for."""
        findings = self.findings
        if self._told is None or self._told[0] is not findings:
            self._told = findings, json.dumps(findings.to_dict()).encode()
        return self._told[1]

    def tell(self, picture: str, label: str) -> None:
        """Take in the true class of a picture, as people gave it."""
        if self._window is not None:
            self._window.tell(picture, label)

    @contextmanager
    def beside(self, service: Service) -> Iterator[None]:
        """Measure as long as the service runs; a `Part`."""
        self._model = service.version or ""
        reference = _reference(service)
        if reference is None:
            self._why_not = WITHOUT
            yield
            return
        self._window = LiveWindow(reference, self._model, service.settings.window)
        thread = Thread(target=self._work, args=(reference, self._window), name="watch", daemon=True)
        thread.start()
        service.observers.append(self._observe)
        try:
            yield
        finally:
            service.observers.remove(self._observe)
            self._queue.put(None)
            thread.join()

    def _observe(self, seen: Sequence[Seen]) -> None:
        for one in seen[:1]:
            found = one.prediction
            picture = _Picture(
                one.id, one.time, one.loaded.pixels, one.loaded.sides, found.index, found.confidence, one.embedding
            )
            try:
                self._queue.put_nowait(picture)
            except Full:
                log.debug("not measured, as too many wait")

    def _work(self, reference: Reference, window: LiveWindow) -> None:
        try:
            while pictures := self._taken():
                window.add(_measured(pictures, reference))
        except Exception:  # it may not end the service, and may not stay unseen
            log.exception("monitoring has stopped")
            self._window, self._why_not = None, STOPPED
            while self._queue.get() is not None:
                pass

    def _taken(self) -> list[_Picture]:
        """Return what waits, after waiting for one; nothing at the end."""
        taken = []
        try:
            first = self._queue.get()
            while first is not None:
                taken.append(first)
                if len(taken) == AT_ONCE:
                    return taken
                first = self._queue.get_nowait()
        except Empty:
            return taken
        if taken:
            self._queue.put(None)
        return taken


def _reference(service: Service) -> Reference | None:
    bundle = service.predictor.bundle if service.predictor else None
    if bundle is None or bundle.reference is None:
        return None
    try:
        return Reference.load(bundle.reference)
    except ArtifactError as error:
        log.warning("nothing to compare with: %s", error)
        return None


def _measured(pictures: Sequence[_Picture], reference: Reference) -> list[Measured]:
    looks = measure(np.stack([one.pixels for one in pictures]), [one.sides for one in pictures])
    return [
        Measured(
            id=one.id,
            time=one.time,
            statistics={name: float(values[number]) for name, values in looks.items()},
            predicted=one.predicted,
            confidence=one.confidence,
            projected=None if one.embedding is None else reference.projection(one.embedding[None])[0],
        )
        for number, one in enumerate(pictures)
    ]
