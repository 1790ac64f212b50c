"""Clients that cost little beside the service: HTTP/1.1 by hand over asyncio, one answer at a time on a connection.

On two cores every millisecond of the client is one that the service does not get. The bytes of each request are made
once; of an answer the status, three headers and the label are read.
"""

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

BOUNDARY = b"----benchmark"


class Question(NamedTuple):
    """A request on the wire, the picture in it, and what must come back: a label, or a refusal's status."""

    wire: bytes
    picture: bytes
    label: str
    status: int = 200


@dataclass(frozen=True, slots=True)
class Answered:
    """When a request was due, the seconds until its answer, and what came.

    `status` is 0 where nothing came: `error` says why, and `sent` whether the whole request was written by then.
    """

    due: float
    seconds: float
    status: int
    right: bool = False
    retry_after: str = ""
    error: str = ""
    sent: bool = True


def question(picture: bytes, label: str, *, status: int = 200, path: str = "/predict") -> Question:
    """Return the multipart request for a JPEG."""
    head = b'Content-Disposition: form-data; name="file"; filename="picture.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    body = b"--" + BOUNDARY + b"\r\n" + head + picture + b"\r\n--" + BOUNDARY + b"--\r\n"
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}",
        f"Content-Length: {len(body)}",
    ]
    return Question("\r\n".join(lines).encode() + b"\r\n\r\n" + body, picture, label, status)


class Connection:
    """A connection to the service that stays open for the next question."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, asked: Question, due: float) -> Answered:
        """Return what came of a question; a connection that broke is made anew at the next one."""
        sent = False
        try:
            if self._reader is None or self._writer is None or self._reader.at_eof():
                self.close()  # the service may have ended it while it was idle
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
            self._writer.write(asked.wire)
            await self._writer.drain()
            sent = True
            status, headers, body = await self._answer(self._reader)
        except (OSError, EOFError) as error:
            self.close()
            return Answered(due, time.perf_counter() - due, 0, error=type(error).__name__, sent=sent)
        if headers.get("connection") == "close":
            self.close()
        right = status == asked.status and (status != 200 or label_of(body) == asked.label)
        return Answered(due, time.perf_counter() - due, status, right, headers.get("retry-after", ""))

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))

    async def leave(self, asked: Question, after: float) -> None:
        """Ask, and go away without waiting for the answer."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ask(asked, 0.0), after)
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def label_of(body: bytes) -> str | None:
    """Return the label in an answer of the service, or of the plain design."""
    try:
        answer = json.loads(body)
        label: str = (answer["predictions"][0] if "predictions" in answer else answer)["label"]
        return label
    except (ValueError, LookupError, TypeError):
        return None


def closed_loop(
    port: int, questions: Sequence[Question], *, users: int, seconds: float, leave: float = 0.0
) -> list[Answered]:
    """Let so many users ask, each again as soon as it is answered; a share of them leaves without the answer."""
    return asyncio.run(_closed(port, questions, users, seconds, leave))


async def _closed(port: int, questions: Sequence[Question], users: int, seconds: float, leave: float) -> list[Answered]:
    answered: list[Answered] = []
    end, chance = time.perf_counter() + seconds, random.Random(0)  # noqa: S311

    async def user(number: int) -> None:
        connection, turn = Connection(port), number
        while (now := time.perf_counter()) < end:
            if chance.random() < leave:
                await connection.leave(questions[turn % len(questions)], after=0.05 * chance.random())
            answered.append(await connection.ask(questions[turn % len(questions)], now))
            turn += users
            if not answered[-1].status:
                await asyncio.sleep(0.02)  # Nobody listens any more, perhaps.
        connection.close()

    await asyncio.gather(*map(user, range(users)))
    return answered


def open_loop(
    port: int,
    questions: Sequence[Question],
    *,
    rate: float,
    seconds: float,
    at: tuple[float, Callable[[], None]] | None = None,
) -> list[Answered]:
    """Ask at random moments, so many times a second on average, however long the answers take.

    Seconds count from the moment at which a request was due, not from when the client came to send it.

    Args:
        port: at which the service listens.
        questions: to ask in turn.
        rate: questions a second; their moments are a Poisson process, the same each time.
        seconds: for which new ones are asked; all are waited for.
        at: after how many seconds something is called once, such as a signal sent.
    """
    return asyncio.run(_open(port, questions, rate, seconds, at))


async def _open(
    port: int,
    questions: Sequence[Question],
    rate: float,
    seconds: float,
    at: tuple[float, Callable[[], None]] | None,
) -> list[Answered]:
    moments, idle, asked = random.Random(0), deque[Connection](), []  # noqa: S311
    answered: list[Answered] = []

    async def one(turn: int, due: float) -> None:
        connection = idle.pop() if idle else Connection(port)
        answered.append(await connection.ask(questions[turn % len(questions)], due))
        idle.append(connection)

    start = due = time.perf_counter()
    if at is not None:
        asyncio.get_running_loop().call_later(*at)
    while due < start + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asked.append(asyncio.create_task(one(len(asked), due)))
        due += moments.expovariate(rate)
    await asyncio.gather(*asked)
    for connection in idle:
        connection.close()
    return answered


def keep(answered: Sequence[Answered], place: Path) -> None:
    """Write answers to a file, for another process."""
    place.write_text(json.dumps([asdict(each) for each in answered]), encoding="utf-8")


def recall(place: Path) -> list[Answered]:
    """Return what `keep` has written."""
    listed: list[dict[str, Any]] = json.loads(place.read_text(encoding="utf-8"))
    return [Answered(**each) for each in listed]
