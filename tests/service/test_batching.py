"""How pictures of many requests come to share the network."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from threading import Event, Lock
from typing import Any

import numpy as np
import pytest

from mlops_cls.pictures import Pixels
from mlops_cls.predictor import Answers
from mlops_cls.service.batching import Answered, Batcher


class Network:
    """Answers a picture with its own first level; waits for `open` before each batch, and fails on level 255."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.open, self._lock = Event(), Event(), Lock()

    def __call__(self, pictures: Sequence[Pixels]) -> Answers:
        levels = [int(each[0, 0, 0]) for each in pictures]
        with self._lock:
            self.batches.append(levels)
        self.begun.set()
        assert self.open.wait(60)
        if 255 in levels:
            raise ValueError("cannot be computed")
        return Answers(np.array(levels, np.float32)[:, None], None)


def picture(level: int) -> Pixels:
    return np.full((2, 2, 1), level, np.uint8)


def run(test: Callable[[Batcher, Network], Coroutine[Any, Any, None]], *, batch: int, lanes: int = 1) -> Network:
    network = Network()
    batcher = Batcher(network, batch=batch, lanes=lanes)
    try:
        asyncio.run(asyncio.wait_for(test(batcher, network), 60))
    finally:
        network.open.set()
        batcher.close()
    return network


def ask(batcher: Batcher, *levels: int) -> list[asyncio.Task[Answered]]:
    return [asyncio.ensure_future(batcher.answer(picture(level))) for level in levels]


async def begun(network: Network, batches: int) -> None:
    """Return once so many batches are in the network."""
    until = time.monotonic() + 60
    while len(network.batches) < batches:
        assert time.monotonic() < until
        await asyncio.sleep(0.001)


def level(answered: Answered) -> int:
    return int(answered.probabilities[0])


@pytest.mark.parametrize("lanes", [1, 3])
def test_every_picture_gets_its_own_answer(lanes: int) -> None:
    async def test(batcher: Batcher, network: Network) -> None:
        network.open.set()
        answers = await asyncio.gather(*ask(batcher, *range(200)))
        assert [level(each) for each in answers] == [*range(200)]

    network = run(test, batch=7, lanes=lanes)
    assert sorted(each for batch in network.batches for each in batch) == [*range(200)]
    assert max(map(len, network.batches)) <= 7


def test_a_picture_waits_for_no_others_and_those_that_come_meanwhile_go_together_in_their_order() -> None:
    async def test(batcher: Batcher, network: Network) -> None:
        first = ask(batcher, 0)
        await begun(network, 1)
        others = ask(batcher, *range(1, 7))
        await asyncio.sleep(0)
        network.open.set()
        await asyncio.gather(*first, *others)

    assert run(test, batch=4).batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_no_lane_takes_what_another_could_compute_at_the_same_time() -> None:
    async def test(batcher: Batcher, network: Network) -> None:
        first = ask(batcher, 0)
        await begun(network, 1)
        second = ask(batcher, 1)
        await begun(network, 2)
        others = ask(batcher, *range(2, 10))
        await asyncio.sleep(0)
        network.open.set()
        await asyncio.gather(*first, *second, *others)

    third = run(test, batch=16, lanes=2).batches[2]
    assert third == [2, 3, 4, 5]


def test_what_nobody_waits_for_any_more_is_not_computed() -> None:
    async def test(batcher: Batcher, network: Network) -> None:
        first = ask(batcher, 0)
        await begun(network, 1)
        left, stayed = ask(batcher, 1, 2)
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
        network.open.set()
        await asyncio.gather(*first, stayed)

    assert run(test, batch=4).batches == [[0], [2]]


def test_an_error_is_told_to_its_batch_alone() -> None:
    async def test(batcher: Batcher, network: Network) -> None:
        first = ask(batcher, 0)
        await begun(network, 1)
        others = ask(batcher, 255, 1, 2)
        await asyncio.sleep(0)
        network.open.set()
        outcomes = await asyncio.gather(*first, *others, return_exceptions=True)
        assert [isinstance(each, ValueError) for each in outcomes] == [False, True, True, False]
        assert level(await batcher.answer(picture(3))) == 3

    assert run(test, batch=2).batches == [[0], [255, 1], [2], [3]]


def test_closing_answers_what_waits() -> None:
    async def test(batcher: Batcher, network: Network) -> None:
        asked = ask(batcher, *range(5))
        await begun(network, 1)
        network.open.set()
        await asyncio.to_thread(batcher.close)
        assert [level(each) for each in await asyncio.gather(*asked)] == [*range(5)]

    run(test, batch=2)
