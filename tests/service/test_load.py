"""What many clients at once may cost, and what one of them may take from the others."""

import asyncio
import io
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Lock, Thread

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.types import Message, Receive, Scope, Send

from mlops_cls.bundle import Bundle
from mlops_cls.pictures import Loaded, PictureSource, Pixels
from mlops_cls.predictor import Predictor
from mlops_cls.service import decoding
from mlops_cls.service.app import create_app
from mlops_cls.service.decoding import Decoder
from mlops_cls.service.engine import Service
from mlops_cls.service.holding import Holding
from mlops_cls.service.problems import Refusal
from mlops_cls.service.server import Server
from mlops_cls.service.settings import Settings

SECONDS = 60


class Gated:
    """A bundle's predictor whose network waits for `open`; `given` has the mean level of each picture it was given."""

    def __init__(self, bundle: Bundle) -> None:
        self.open, self.given = Event(), list[float]()
        real = Predictor.load(bundle.folder)
        self.failing = False

        def forward(images: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
            warming_up = not self.given
            self.given += [float(each.mean()) for each in images]
            assert warming_up or self.open.wait(SECONDS)
            if self.failing:
                raise RuntimeError("a secret of the network")
            return real._forward(images)

        self.predictor = Predictor(real.card, forward)


@pytest.fixture
def gated(tiny_bundle: Bundle) -> Gated:
    return Gated(tiny_bundle)


def grey(level: int, side: int = 8) -> bytes:
    written = io.BytesIO()
    Image.new("L", (side, side), level).save(written, "PNG")
    return written.getvalue()


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


@contextmanager
def listening(gated: Gated, **settings: object) -> Iterator[tuple[str, Service]]:
    """Serve from a thread of this process."""
    app = create_app(gated.predictor, Settings.checked(settings))
    server = Server(app, app.state.service)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=asyncio.run, args=(server.serve([listener]),))
        thread.start()
        eventually(lambda: app.state.service.ready)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", app.state.service
        finally:
            gated.open.set()
            server.stop()
            thread.join()


def send(url: str, *pictures: bytes) -> httpx.Response:
    return httpx.post(f"{url}/predict", files=[("file", ("a", each)) for each in pictures], timeout=SECONDS)


def test_a_full_queue_refuses_and_takes_more_once_it_is_not(gated: Gated) -> None:
    with ThreadPoolExecutor(3) as clients, listening(gated, queue=3, batch=1) as (url, service):
        asked = [clients.submit(send, url, grey(level)) for level in range(3)]
        eventually(lambda: service.waiting == 3)
        refused = send(url, grey(4))
        assert (refused.status_code, refused.json()["code"]) == (503, "busy")
        assert int(refused.headers["retry-after"]) >= 1
        gated.open.set()
        assert {each.result().status_code for each in asked} == {200}
        assert send(url, grey(4)).status_code == 200
        assert service.waiting == 0


def test_a_full_queue_refuses_before_a_large_body_is_read_and_the_client_hears_it(gated: Gated) -> None:
    head = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    large = 8 * 2**20
    with ThreadPoolExecutor(1) as clients, listening(gated, queue=1) as (url, service):
        asked = clients.submit(send, url, grey(0))
        eventually(lambda: service.waiting == 1)
        with socket.create_connection((httpx.URL(url).host, httpx.URL(url).port or 0), SECONDS) as client:
            client.sendall(f"{head}Connection: close\r\nContent-Length: {large}\r\n\r\n".encode())
            assert client.recv(12) == b"HTTP/1.1 503"
            client.sendall(bytes(large))  # a client that sends all before it listens is not cut off
            answer = client.recv(65536)
        assert b"\r\nretry-after: 1\r\n" in answer and b'"code":"busy"' in answer
        gated.open.set()
        assert asked.result().status_code == 200


def test_a_request_of_many_pictures_does_not_go_before_a_single_one_that_came_later(gated: Gated) -> None:
    with ThreadPoolExecutor(2) as clients, listening(gated, batch=2) as (url, service):
        many = clients.submit(send, url, *[grey(10)] * 20)
        eventually(lambda: len(gated.given) > 1)
        one = clients.submit(send, url, grey(200))
        batcher = service._batcher
        assert batcher is not None
        eventually(lambda: any(each.pixels.mean() == 200 for each in [*batcher._waiting]))
        gated.open.set()
        assert (many.result().status_code, one.result().status_code) == (200, 200)
    assert gated.given[1:].index(200) <= 2 * 2


def test_a_client_that_leaves_costs_no_inference(gated: Gated) -> None:
    with ThreadPoolExecutor(1) as clients, listening(gated, batch=1) as (url, service):
        first = clients.submit(send, url, grey(10))
        eventually(lambda: len(gated.given) == 2)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/predict", files={"file": ("a", grey(200))}, timeout=0.5)
        eventually(lambda: service.waiting == 1)
        gated.open.set()
        assert first.result().status_code == 200
        assert send(url, grey(30)).status_code == 200
        counted = httpx.get(f"{url}/metrics").text
    assert gated.given[1:] == [10, 30]
    assert 'mlops_cls_requests_total{method="POST",route="/predict",status="499"} 1.0' in counted


def test_an_error_in_the_network_is_told_without_a_word_of_it_and_the_service_goes_on(gated: Gated) -> None:
    gated.open.set()
    with listening(gated) as (url, service):
        gated.failing = True
        broken = send(url, grey(1), grey(2))
        assert (broken.status_code, broken.json()["code"]) == (500, "internal")
        assert "secret" not in broken.text
        gated.failing = False
        assert send(url, grey(1)).status_code == 200
        assert service.waiting == 0


def test_a_picture_that_waits_holds_nothing_but_what_the_network_sees(tiny_bundle: Bundle) -> None:
    predictor = Predictor.load(tiny_bundle.folder)
    fitted = asyncio.run(_fit(predictor, [grey(7, side=900)]))[0]
    size = predictor.card.preprocess.size
    assert fitted.pixels.nbytes == size * size * predictor.card.preprocess.channels
    assert fitted.pixels.base is None or fitted.pixels.base.nbytes == fitted.pixels.nbytes
    assert fitted.sides == (900, 900)


def test_large_pictures_are_decoded_one_after_the_other(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "LARGE", 99)
    monkeypatch.setattr(decoding, "cores", lambda: 4)
    predictor = _Counting(tiny_bundle)
    found = asyncio.run(_fit(predictor, [grey(level, side=100 if level % 2 else 9) for level in range(24)]))
    assert [each.sides for each in found] == [(100, 100) if level % 2 else (9, 9) for level in range(24)]
    assert predictor.most == 1


class _Counting(Predictor):
    """Counts how many large pictures are read at the same time."""

    def __init__(self, bundle: Bundle) -> None:
        real = Predictor.load(bundle.folder)
        super().__init__(real.card, real._forward)
        self.most, self._now, self._lock = 0, 0, Lock()

    def read(self, picture: PictureSource) -> Loaded:
        large = isinstance(picture, bytes) and Image.open(io.BytesIO(picture)).width == 100
        with self._lock:
            self._now += large
            self.most = max(self.most, self._now)
        time.sleep(0.005)
        loaded = super().read(picture)
        with self._lock:
            self._now -= large
        return loaded


async def _fit(predictor: Predictor, pictures: list[bytes]) -> list[decoding.Fitted]:
    decoder = Decoder()
    try:
        return await asyncio.gather(*(decoder.fit(predictor, picture) for picture in pictures))
    finally:
        decoder.close()


def test_more_pictures_than_the_queue_holds_are_answered_where_nothing_waits(gated: Gated) -> None:
    gated.open.set()
    with listening(gated, queue=2, batch=2) as (url, _):
        assert send(url, *[grey(level) for level in range(5)]).status_code == 200


def test_a_service_asked_beyond_its_queue_says_busy(gated: Gated) -> None:
    service = Service(Settings(queue=2), gated.predictor, waiting=2)
    with pytest.raises(Refusal, match="2 pictures are waiting"):
        service.check_room()


def test_clients_that_send_slowly_hold_no_more_memory_than_all_of_them_may() -> None:
    async def test() -> None:
        go_on = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            while (await receive())["more_body"]:
                await go_on.wait()

        async def ask(*chunks: bytes) -> None:
            messages = iter([{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks])

            async def receive() -> Message:
                return next(messages, {"type": "http.request", "body": b"", "more_body": False})

            await holding({"type": "http"}, receive, _nobody)

        holding = Holding(app, most=10)
        slow = asyncio.create_task(ask(b"12345678"))
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="Try again") as refused:
            await ask(b"1234")
        assert (refused.value.status, "Retry-After" in refused.value.headers) == (503, True)
        go_on.set()
        await slow
        await ask(b"1234", b"5678")

    asyncio.run(test())


async def _nobody(_: Message) -> None:
    raise AssertionError("nothing is answered")
