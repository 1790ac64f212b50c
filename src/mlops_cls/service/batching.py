"""Pictures of many requests go through the network together; none waits for others to come."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlops_cls.pictures import Pixels
from mlops_cls.predictor import Answers


class Answered(NamedTuple):
    """Of one picture: probabilities float32[K], and its embedding float32[F] if the network has one."""

    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32] | None


class _Waiting(NamedTuple):
    pixels: Pixels
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Answered]


class Batcher:
    """A thread that computes whatever waits, up to `batch` pictures at a time, as soon as it is free.

    Args:
        forward: uint8[H,W,C] pictures, at least one, to their answers.
        batch: most pictures at once.
    """

    def __init__(self, forward: Callable[[Sequence[Pixels]], Answers], *, batch: int) -> None:
        self._forward, self._batch = forward, batch
        self._waiting: deque[_Waiting] = deque()
        self._changed, self._closed = Condition(), False
        self._thread = Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    async def answer(self, pictures: Sequence[Pixels]) -> list[Answered]:
        """Return the answers to pictures, in their order."""
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(pixels, loop, loop.create_future()) for pixels in pictures]
        with self._changed:
            self._waiting.extend(waiting)
            self._changed.notify()
        return await asyncio.gather(*(one.future for one in waiting))

    def close(self) -> None:
        """Finish what waits, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._take():
            try:
                answers = self._forward([one.pixels for one in batch])
            except Exception as error:
                _settle(batch, [error] * len(batch))
            else:
                embeddings = [None] * len(batch) if answers.embeddings is None else answers.embeddings
                _settle(batch, [Answered(*pair) for pair in zip(answers.probabilities, embeddings, strict=True)])

    def _take(self) -> list[_Waiting]:
        """Return what is next; nothing once closed and empty. Nobody waits any more for what was cancelled."""
        with self._changed:
            while True:
                batch: list[_Waiting] = []
                while self._waiting and len(batch) < self._batch:
                    one = self._waiting.popleft()
                    if not one.future.cancelled():
                        batch.append(one)
                if batch or self._closed:
                    return batch
                self._changed.wait()


def _settle(batch: Sequence[_Waiting], outcomes: Sequence[Answered | Exception]) -> None:
    for one, outcome in zip(batch, outcomes, strict=True):
        one.loop.call_soon_threadsafe(_resolve, one.future, outcome)


def _resolve(future: asyncio.Future[Answered], outcome: Answered | Exception) -> None:
    if future.cancelled():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
