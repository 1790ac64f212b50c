"""Keeps what was asked and answered, behind the response and only if asked to: for drift, and to train on later."""

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Thread

from mlops_cls.errors import ConfigError
from mlops_cls.monitoring.collection import FEEDBACK, HEADER, RECORDS, Collection, header
from mlops_cls.monitoring.records import Feedback, day_of
from mlops_cls.monitoring.reference import Projection, Reference
from mlops_cls.monitoring.storage import open_storage
from mlops_cls.predictor import Predictor
from mlops_cls.service.backlog import Backlog
from mlops_cls.service.engine import Seen, Service
from mlops_cls.service.keeping import RECOUNT_SECONDS, Outbox, Space
from mlops_cls.service.noting import Noted, Notes
from mlops_cls.service.settings import Settings

MOST_WAITING = 64 * 2**20
"""Bytes that wait to be measured, and as many of lines and pictures that wait for a storage which is away."""
AT_ONCE = 64
FIRST_RETRY, LAST_RETRY = 1.0, 60.0
CLOSE_SECONDS = 5.0
"""For what waits when the service ends; Cloud Run kills it 10 s after SIGTERM."""
SAY_SECONDS = 60.0
FEEDBACK_BYTES = 512
CROWDED, FULL, FAULT, ENDED = "crowded", "full", "fault", "ended"
WORDS = {
    CROWDED: "because too much waited already",
    FULL: "because today alone fills --collect-bytes",
    FAULT: "after an error, which stands above",
    ENDED: "because the service ended",
}
"""Why something was not kept."""

log = logging.getLogger(__name__)


def make_collector(settings: Settings) -> "Collector | None":
    """Return what collects with these settings; None where nothing is collected.

    Raises:
        ConfigError: there is no place for it, or one and nothing to collect.
    """
    kind, place = settings.collect, settings.collect_to
    if kind == "off" and place:
        raise ConfigError(f"--collect-to {place}: nothing is collected; add --collect metadata or --collect pictures")
    if kind != "off" and not place:
        raise ConfigError(f"--collect {kind}: where to? Add --collect-to FOLDER or --collect-to gs://BUCKET/FOLDER")
    return None if kind == "off" else Collector(settings)


class Collector:
    """Takes in what the service tells its observers, and has a thread measure and write it.

    `dropped` counts records and feedback that were not kept, by reason; `failures` writes that are tried again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._place = settings, settings.collect_to
        self._storage = open_storage(self._place)
        self._space = Space(self._storage, days=settings.collect_days, most_bytes=settings.collect_bytes)
        self._outbox = Outbox(self._storage, self._space)
        self._backlog: Backlog[Noted | Feedback] = Backlog(MOST_WAITING)
        self._due, self._retry, self._ends = 0.0, FIRST_RETRY, 0.0
        self._said, self._said_at = 0, -SAY_SECONDS
        self.dropped: Counter[str] = Counter(dict.fromkeys(WORDS, 0))
        self.failures = 0

    @property
    def written(self) -> Counter[str]:
        """Lines by kind, `RECORDS` and `FEEDBACK`."""
        return self._outbox.written

    @property
    def waiting(self) -> int:
        """Records and feedback that are not written yet."""
        return len(self._backlog) + len(self._outbox)

    @property
    def used(self) -> int:
        """Bytes of the collection, as far as this process knows."""
        return self._space.used

    @contextmanager
    def beside(self, service: Service) -> Iterator[None]:
        """Collect as long as the service runs; a `Part`.

        Raises:
            ArtifactError: the collection is of other classes, or damaged.
            ConfigError: the place has other things in it, or cannot be read or written.
        """
        assert service.predictor is not None
        self._begin(service.predictor)
        notes = Notes(service.predictor.card.digest, _projection(service.predictor))
        thread = Thread(target=self._work, args=(notes,), name="collect", daemon=True)
        thread.start()
        service.observers.append(self.see)
        try:
            yield
        finally:
            service.observers.remove(self.see)
            self._close(thread)

    def see(self, seen: Sequence[Seen]) -> None:
        """Take in the answers to a request, if it belongs to the share; returns at once."""
        if not seen or not _in_share(seen[0].request_id, self._settings.collect_share):
            return
        for one in seen:
            noted = Noted.of(one, with_data=self._settings.collect == "pictures")
            self.dropped[CROWDED] += not self._backlog.put(noted, noted.bytes)

    def tell(self, identity: str, label: str) -> bool:
        """Take in what a picture really showed; False if too much waits already."""
        taken = self._backlog.put(Feedback(id=identity, time=datetime.now(UTC), label=label), FEEDBACK_BYTES)
        self.dropped[CROWDED] += not taken
        return taken

    def _begin(self, predictor: Predictor) -> None:
        try:
            models = self._models(predictor)
            if predictor.card.digest not in models:
                self._storage.write(HEADER, header(predictor.card.classes, [*models, predictor.card.digest]))
        except OSError as error:
            raise ConfigError(f"--collect-to {self._place} cannot be used ({error})") from error

    def _models(self, predictor: Predictor) -> tuple[str, ...]:
        found = self._storage.below("")
        if not found:
            return ()
        if HEADER not in found:  # old days are deleted here, and must be ours
            raise ConfigError(f"--collect-to {self._place} is not empty, and no collection: give another folder")
        collection = Collection.open(self._place)
        predictor.card.check_classes(collection.classes, whose=f"the collection {self._place}")
        return collection.models

    def _close(self, thread: Thread) -> None:
        self._ends = time.monotonic() + CLOSE_SECONDS
        self._backlog.close()
        thread.join(CLOSE_SECONDS)
        if self.waiting:
            self.dropped[ENDED] += self.waiting
            log.error("lost %d records and feedback, which could not be written to %s", self.waiting, self._place)

    def _work(self, notes: Notes) -> None:
        while not self._backlog.closed:
            self._note(notes, self._backlog.take(AT_ONCE, max(0.0, self._due - time.monotonic())))
            if time.monotonic() >= self._due:
                self._send()
            self._say_what_was_dropped()
        while items := self._backlog.take(AT_ONCE, 0):
            self._note(notes, items)
        self._send()
        while len(self._outbox) and time.monotonic() < self._ends:
            time.sleep(FIRST_RETRY)
            self._send()

    def _note(self, notes: Notes, items: Sequence[Noted | Feedback]) -> None:
        if self._outbox.bytes > MOST_WAITING:
            self.dropped[CROWDED] += len(items)
            return
        if items and not len(self._outbox):
            self._due = time.monotonic() + self._storage.gather
        try:
            self._fill(notes, items)
        except Exception:  # one picture that cannot be measured must not end the collection
            log.exception("%d records were not kept", len(items))
            self.dropped[FAULT] += len(items)

    def _fill(self, notes: Notes, items: Sequence[Noted | Feedback]) -> None:
        noted = [item for item in items if isinstance(item, Noted)]
        for record, picture in notes.records(noted) if noted else ():
            self._outbox.add_line(f"{record.day}/{RECORDS}", record.to_line())
            if record.picture is not None:
                self._outbox.add_picture(record.picture, picture)
        for item in items:
            if isinstance(item, Feedback):
                self._outbox.add_line(f"{day_of(item.time)}/{FEEDBACK}", item.to_line())

    def _send(self) -> None:
        try:
            if not self._outbox.has_room():
                self.dropped[FULL] += self._outbox.clear()
            self._outbox.send()
        except OSError as error:
            self.failures += 1
            log.warning("%s cannot be written (%s); %d records and feedback wait", self._place, error, self.waiting)
            self._due, self._retry = time.monotonic() + self._retry, min(2 * self._retry, LAST_RETRY)
        else:
            self._due, self._retry = time.monotonic() + RECOUNT_SECONDS, FIRST_RETRY

    def _say_what_was_dropped(self) -> None:
        total, now = self.dropped.total(), time.monotonic()
        if total > self._said and now >= self._said_at + SAY_SECONDS:
            reasons = ", ".join(f"{number} {WORDS[reason]}" for reason, number in self.dropped.items() if number)
            log.warning("records and feedback that were not kept in %s so far: %s", self._place, reasons)
            self._said, self._said_at = total, now


def _projection(predictor: Predictor) -> Projection | None:
    reference = predictor.bundle.reference if predictor.bundle else None
    return None if reference is None else Reference.load(reference).projection


def _in_share(request_id: str, share: float) -> bool:
    # By the id, so that pictures that came together are kept together.
    drawn = int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:8], "big")
    return drawn < share * 2**64
