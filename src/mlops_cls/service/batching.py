"""Pictures of many requests go through the network together; none waits for others to come."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
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
    since: float
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Answered]


class Batcher:
    """Threads that compute what waits as soon as they are free, up to `batch` pictures at a time.

    Args:
        forward: uint8[H,W,C] pictures, at least one, to their answers; every lane calls it.
        batch: most pictures at once.
        lanes: threads, which share what waits.
        told: is told of each batch that was computed: for how many seconds each of its pictures waited, and how many
            seconds it took; in a thread of the lane.
    """

    def __init__(
        self,
        forward: Callable[[Sequence[Pixels]], Answers],
        *,
        batch: int,
        lanes: int = 1,
        told: Callable[[Sequence[float], float], None] = lambda waits, seconds: None,
    ) -> None:
        self._forward, self._batch, self._told = forward, batch, told
        self._waiting: deque[_Waiting] = deque()
        self._changed, self._closed = Condition(), False
        self._lanes = [Thread(target=self._work, name=f"inference_{lane}", daemon=True) for lane in range(lanes)]
        for thread in self._lanes:
            thread.start()

    async def answer(self, pixels: Pixels) -> Answered:
        """Return the answer to a picture; one that is cancelled before its turn costs nothing."""
        loop = asyncio.get_running_loop()
        one = _Waiting(pixels, time.perf_counter(), loop, loop.create_future())
        with self._changed:
            self._waiting.append(one)
            self._changed.notify()
        return await one.future

    def close(self) -> None:
        """Finish what waits, and end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._lanes:
            thread.join()

    def _work(self) -> None:
        while batch := self._take():
            began = time.perf_counter()
            try:
                answers = self._forward([one.pixels for one in batch])
            except Exception as error:
                _settle(batch, [error] * len(batch))
            else:
                self._told([began - one.since for one in batch], time.perf_counter() - began)
                embeddings = [None] * len(batch) if answers.embeddings is None else answers.embeddings
                _settle(batch, [Answered(*pair) for pair in zip(answers.probabilities, embeddings, strict=True)])

    def _take(self) -> list[_Waiting]:
        """Return what is next, a lane's share of what waits; nothing once closed and empty."""
        with self._changed:
            while True:
                # Nobody waits any more for what was cancelled.
                self._waiting = deque(one for one in self._waiting if not one.future.cancelled())
                if self._waiting or self._closed:
                    share = math.ceil(len(self._waiting) / len(self._lanes))
                    return [self._waiting.popleft() for _ in range(min(share, self._batch))]
                self._changed.wait()


def _settle(batch: Sequence[_Waiting], outcomes: Sequence[Answered | Exception]) -> None:
    # The loop is woken once for a batch, not once for a picture.
    batch[0].loop.call_soon_threadsafe(partial(_resolve, batch, outcomes))


def _resolve(batch: Sequence[_Waiting], outcomes: Sequence[Answered | Exception]) -> None:
    for one, outcome in zip(batch, outcomes, strict=True):
        if one.future.cancelled():
            continue
        if isinstance(outcome, Exception):
            one.future.set_exception(outcome)
        else:
            one.future.set_result(outcome)
