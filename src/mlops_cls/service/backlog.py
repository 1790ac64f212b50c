"""What waits for a thread: bounded by its bytes, so that whoever adds never waits and memory never runs out."""

from collections import deque
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Backlog(Generic[Item]):
    """Items of any threads for one.

    Args:
        most_bytes: of all that waits.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most, self._bytes = most_bytes, 0
        self._items: deque[tuple[Item, int]] = deque()
        self._changed = Condition()
        self.closed = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item, size: int) -> bool:
        """Add an item of so many bytes; False if there is no room, or nobody takes any more."""
        with self._changed:
            if self.closed or self._bytes + size > self._most:
                return False
            self._items.append((item, size))
            self._bytes += size
            self._changed.notify()
            return True

    def take(self, most: int, seconds: float) -> list[Item]:
        """Return what waits, at least one unless none comes in time or it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self.closed, seconds)
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            self._bytes -= sum(size for _, size in taken)
            return [item for item, _ in taken]

    def close(self) -> None:
        """Take in nothing more; what waits is still there to be taken."""
        with self._changed:
            self.closed = True
            self._changed.notify()
