"""Measures what a service sees, in a thread beside it, for `GET /monitoring`."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Thread

from mlops_cls.errors import ArtifactError
from mlops_cls.monitoring.findings import Findings
from mlops_cls.monitoring.reference import Reference
from mlops_cls.monitoring.window import LiveWindow
from mlops_cls.service.backlog import Backlog
from mlops_cls.service.engine import Seen, Service
from mlops_cls.service.noting import Noted, Notes

MOST_WAITING, AT_ONCE = 16 * 2**20, 16
"""Bytes of pictures that may wait to be measured, a hundred at 224 pixels, and pictures that are measured together."""
IDLE_SECONDS = 3600.0
LOADING = "The model is still being loaded."
WITHOUT = "This model has no reference to compare with; export its run again where its data are."
STOPPED = "Monitoring has stopped after an error, which is in the service's log."

log = logging.getLogger(__name__)


class Watch:
    """What `GET /monitoring` tells of.

    One picture of each request counts, since those that come together are seldom independent. Under a load at which
    measuring does not keep up, pictures are left out: answers never wait for it.
    """

    def __init__(self) -> None:
        self._window: LiveWindow | None = None
        self._backlog: Backlog[Noted] = Backlog(MOST_WAITING)
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

    @contextmanager
    def beside(self, service: Service) -> Iterator[None]:
        """Measure as long as the service runs; a `Part`."""
        self._model = service.version or ""
        reference = _reference(service)
        if reference is None:
            self._why_not = WITHOUT
            yield
            return
        window = self._window = LiveWindow(reference, self._model, service.settings.window)
        thread = Thread(target=self._work, args=(reference, window), name="watch", daemon=True)
        thread.start()
        service.observers.append(self._observe)
        service.listeners.append(window.tell)
        try:
            yield
        finally:
            service.observers.remove(self._observe)
            service.listeners.remove(window.tell)
            self._backlog.close()
            thread.join()

    def _observe(self, seen: Sequence[Seen]) -> None:
        for one in seen[:1]:
            noted = Noted.of(one, with_data=False)
            self._backlog.put(noted, noted.bytes)

    def _work(self, reference: Reference, window: LiveWindow) -> None:
        notes, drifted = Notes(self._model, reference.projection), False
        try:
            while not self._backlog.closed:
                if noted := self._backlog.take(AT_ONCE, IDLE_SECONDS):
                    window.add([record for record, _ in notes.records(noted)])
                    drifted = _say(window.findings, drifted)
        except Exception:  # it may not end the service, and may not stay unseen
            log.exception("monitoring has stopped")
            self._window, self._why_not = None, STOPPED
            self._backlog.close()


def _say(findings: Findings, drifted: bool) -> bool:
    """Log when drift is found and when it is over, for who is to be told of it; return whether there is any."""
    if findings.drift and not drifted:
        log.warning("%s", findings.say())
    elif drifted and not findings.drift:
        log.info("%s", findings.say())
    return findings.drift


def _reference(service: Service) -> Reference | None:
    bundle = service.predictor.bundle if service.predictor else None
    if bundle is None or bundle.reference is None:
        return None
    try:
        return Reference.load(bundle.reference)
    except ArtifactError as error:
        log.warning("nothing to compare with: %s", error)
        return None
