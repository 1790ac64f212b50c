"""Lines and pictures on their way into a collection, and the days and bytes that it may have."""

import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

from mlops_cls.monitoring.records import DAY
from mlops_cls.monitoring.storage import Storage

RECOUNT_SECONDS = 600
"""After which all files are counted again, since other processes may write too."""


class Space:
    """Removes whole days: those that are too old, and the oldest where there is no room.

    Args:
        storage: of the collection.
        days: that are kept besides today.
        most_bytes: of all files.
    """

    def __init__(self, storage: Storage, *, days: int, most_bytes: int) -> None:
        self._storage, self._days, self._most = storage, days, most_bytes
        self._by_day: Counter[str] = Counter()
        self._counted = -float("inf")

    @property
    def used(self) -> int:
        """Bytes, as far as this process knows."""
        return self._by_day.total()

    def tidy(self) -> None:
        """Count all files, if that was some time ago, and remove what is too old."""
        if time.monotonic() < self._counted + RECOUNT_SECONDS:
            return
        self._by_day = Counter()
        for name, size in self._storage.sizes().items():
            self._by_day[name.partition("/")[0]] += size
        oldest = (_today() - timedelta(days=self._days)).date().isoformat()
        for day in [day for day in self._storage.below("") if DAY.fullmatch(day) and day < oldest]:
            self._remove(day)
        self._counted = time.monotonic()

    def make(self, more: int) -> bool:
        """Tell whether so many bytes have room, after the oldest days have made some."""
        self.tidy()
        today = _today().date().isoformat()
        for day in sorted(day for day in self._by_day if DAY.fullmatch(day) and day < today):
            if self.used + more <= self._most:
                break
            self._remove(day)
        return self.used + more <= self._most

    def fill(self, day: str, more: int) -> None:
        """Count what was written."""
        self._by_day[day] += more

    def _remove(self, day: str) -> None:
        self._storage.remove(day)
        del self._by_day[day]


class Outbox:
    """What is to be written. It stays until it is, so that a storage that is away for a while loses nothing.

    Args:
        storage: of the collection.
        space: that it may have.
    """

    def __init__(self, storage: Storage, space: Space) -> None:
        self._storage, self._space = storage, space
        self._lines: defaultdict[str, list[bytes]] = defaultdict(list)
        self._pictures: dict[str, bytes] = {}
        self.bytes = 0
        self.written: Counter[str] = Counter()

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def add_line(self, kind: str, line: str) -> None:
        """Add a line to files of a kind, such as ``2026-11-21/records``."""
        self._lines[kind].append(line.encode())
        self.bytes += len(self._lines[kind][-1])

    def add_picture(self, name: str, content: bytes) -> None:
        """Add a file, which will be there before any line of it is."""
        self._pictures[name] = content
        self.bytes += len(content)

    def has_room(self) -> bool:
        """Tell whether the collection may have all this, after old days have made room."""
        return self._space.make(self.bytes)

    def send(self) -> None:
        """Write everything, and count lines by kind in `written`.

        Raises:
            OSError: the rest is still here, to be sent again.
        """
        for name in [*self._pictures]:
            self._storage.write(name, self._pictures[name])
            self._sent(name, len(self._pictures.pop(name)))
        for kind in [*self._lines]:
            content = b"".join(self._lines[kind])
            self._storage.append(kind, content)
            self._sent(kind, len(content))
            self.written[kind.partition("/")[2]] += len(self._lines.pop(kind))

    def clear(self) -> int:
        """Let everything go; return how many lines that were."""
        lines = len(self)
        self._lines.clear()
        self._pictures.clear()
        self.bytes = 0
        return lines

    def _sent(self, name: str, size: int) -> None:
        self._space.fill(name.partition("/")[0], size)
        self.bytes -= size


def _today() -> datetime:
    return datetime.now(UTC)
