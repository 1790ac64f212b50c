"""A client that goes away before its answer is there costs nothing more."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

Answer = TypeVar("Answer")


async def unless_gone(request: Request, answering: Coroutine[None, None, Answer]) -> Answer:
    """Return the answer to a request whose body was read; it is given up when the client leaves.

    Raises:
        ClientDisconnect: it has left.
    """
    answer, leaving = asyncio.create_task(answering), asyncio.create_task(_left(request))
    try:
        await asyncio.wait((answer, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not answer.done():
            answer.cancel()
    if answer.done():
        return answer.result()
    raise ClientDisconnect


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
