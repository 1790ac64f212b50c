"""Who may ask, how often, from which pages, and how much may be sent; every answer tells browsers to be careful."""

import asyncio
import socket
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient

from browser import Open
from mlops_cls.errors import ConfigError
from mlops_cls.service import connections
from mlops_cls.service.app import create_app
from mlops_cls.service.connections import Connection
from mlops_cls.service.guards.bodies import MOST
from mlops_cls.service.guards.headers import HEADERS
from mlops_cls.service.guards.rates import BUCKETS, Rates, _network
from mlops_cls.service.settings import Settings

Serve = Callable[..., AbstractContextManager[TestClient]]
KEYS = "first-key-of-ours,second-key"


def form(sample: Path) -> dict[str, Any]:
    return {"files": {"file": sample.read_bytes()}}


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    body: dict[str, Any] = response.json()
    assert (body["status"], body["code"], body["request_id"]) == (status, code, response.headers["x-request-id"])
    return body


@pytest.fixture(scope="module")
def locked(serve: Serve) -> Iterator[TestClient]:
    """Return a client, without a key, to a service that wants one."""
    with serve(api_keys=KEYS) as client:
        yield client


@pytest.mark.parametrize(
    "path", ["/predict", "/metrics", "/samples", "/monitoring", "/nothing", "/predict/", "/health/"]
)
def test_who_shows_no_key_learns_anything(locked: TestClient, path: str) -> None:
    response = locked.get(path, follow_redirects=False)
    problem(response, 401, "no_key")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/health", "/ready", "/info", "/docs", "/docs/start.js", "/openapi.json"])
def test_what_is_needed_to_ask_with_a_key_needs_one(locked: TestClient, path: str) -> None:
    assert locked.get(path).status_code == 200


def test_a_key_does_not_open_the_service_or_a_wrong_one_does(locked: TestClient, sample: Path) -> None:
    for right in ({"X-API-Key": "first-key-of-ours"}, {"Authorization": "Bearer second-key"}):
        assert locked.post("/predict", headers=right, **form(sample)).status_code == 200
    for wrong in ("first-key", "first-key-of-ours,second-key", "x" * 5000):
        body = problem(locked.post("/predict", headers={"X-API-Key": wrong}, **form(sample)), 403, "wrong_key")
        assert wrong not in body["detail"]
    for none in ("Basic second-key", "Bearer", "Bearer ", "second-key"):
        problem(locked.post("/predict", headers={"Authorization": none}, **form(sample)), 401, "no_key")


def test_a_body_is_read_before_its_key(locked: TestClient) -> None:
    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": [], "app": None}
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> NoReturn:
        raise AssertionError("the body was asked for")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    for key in ([], [(b"x-api-key", "ключ".encode())]):
        asyncio.run(locked.app(scope | {"headers": key}, receive, send))  # type: ignore[arg-type]
    assert [message["status"] for message in sent if "status" in message] == [401, 403]


@pytest.mark.parametrize("keys", ["schlüssel", "two words", "a\nb"])
def test_a_key_that_no_header_can_carry_is_taken(keys: str) -> None:
    with pytest.raises(ConfigError, match="SERVE_API_KEYS") as refused:
        create_app(settings=Settings.checked({"api_keys": keys}))
    assert keys not in str(refused.value)


def test_a_client_asks_more_often_than_it_may(serve: Serve, sample: Path) -> None:
    with serve(rate=3) as client:
        answers = [client.post("/predict", **form(sample)) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert "At most 3 requests a minute" in problem(answers[-1], 429, "too_many_requests")["detail"]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        for cheap in ("/health", "/ready", "/info", "/samples"):
            assert client.get(cheap).status_code != 429


def test_one_key_uses_up_the_rate_of_another_or_an_invented_one_renews_it(serve: Serve) -> None:
    with serve(rate=1, api_keys=KEYS) as client:
        first, second = {"X-API-Key": "first-key-of-ours"}, {"Authorization": "Bearer second-key"}
        statuses = [client.post("/predict", headers=key).status_code for key in (first, first, second, second)]
    assert statuses == [415, 429, 415, 429]
    with serve(rate=1) as client:
        statuses = [client.post("/predict", headers={"X-API-Key": f"{number}"}).status_code for number in range(3)]
    assert statuses == [415, 429, 429]


def test_a_client_gets_a_new_rate_by_a_forwarded_address_or_by_the_next_address_of_its_house(serve: Serve) -> None:
    with serve(rate=1) as client:
        statuses = [client.post("/predict", headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code for n in range(3)]
    assert statuses == [415, 429, 429]
    assert _network("2001:db8:1:2::3") == _network("2001:db8:1:2:ffff::9") != _network("2001:db8:1:3::3")
    assert _network("10.0.0.1") != _network("10.0.0.2")
    assert _network("testclient") == "testclient"


def test_many_clients_fill_the_memory() -> None:
    rates = Rates(lambda *_: None, per_minute=1, keyed=False)  # type: ignore[arg-type,return-value]
    buckets = {rates._bucket({"type": "http", "client": (f"client {n}", 1)}) for n in range(100_000)}
    assert BUCKETS * 0.9 < len(buckets) <= BUCKETS


def test_another_origin_may_read_what_it_was_not_told_to(serve: Serve, sample: Path) -> None:
    page = {"Origin": "https://ours.example"}
    with serve() as client:
        assert "access-control-allow-origin" not in client.get("/health", headers=page).headers
    with serve(cors="https://ours.example, http://localhost:5173", rate=1, api_keys="k") as client:
        ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
        preflight = client.options("/predict", headers=page | ask)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://ours.example"
        refused = client.options("/predict", headers={"Origin": "https://theirs.example"} | ask)
        assert refused.status_code == 400 and "access-control-allow-origin" not in refused.headers
        for key, status in ((None, 401), ("wrong", 403), ("k", 200), ("k", 429)):
            headers = page | ({"X-API-Key": key} if key else {})
            answer = client.post("/predict", headers=headers, **form(sample))
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == "https://ours.example"
            assert "Retry-After" in answer.headers["access-control-expose-headers"]
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


def test_a_service_that_is_not_ready_or_fails_cannot_be_read_by_the_page_that_asks() -> None:
    page = {"Origin": "https://ours.example"}
    app = create_app(settings=Settings(model="nowhere", cors="*"))
    app.state.service.version = object()  # nothing that /health could tell
    client = TestClient(app, raise_server_exceptions=False)  # not started
    for path, status, code in (("/ready", 503, "not_ready"), ("/health", 500, "internal")):
        response = client.get(path, headers=page)
        problem(response, status, code)
        assert response.headers["access-control-allow-origin"] == "*"
        assert (
            response.headers.items()
            >= {name.lower(): value for name, value in HEADERS.items() if "Resource" not in name}.items()
        )


@pytest.mark.parametrize(
    "origin", ["ours.example", "https://ours.example/", "https://ours.example/page", "null", "https://*"]
)
def test_what_is_no_origin_is_taken_for_one(origin: str) -> None:
    with pytest.raises(ConfigError, match=r"--cors .*an origin has no path"):
        create_app(settings=Settings(cors=origin))


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/health"), ("GET", "/nothing"), ("PUT", "/predict"), ("POST", "/predict"), ("GET", "/openapi.json")],
)
def test_an_answer_lets_a_browser_do_what_no_page_of_ours_does(client: TestClient, method: str, path: str) -> None:
    headers = client.request(method, path).headers
    assert {name: headers[name] for name in HEADERS} == HEADERS


def test_the_page_of_all_routes_loads_something_from_another_host(client: TestClient) -> None:
    page = client.get("/docs")
    assert "'unsafe-inline'" not in page.headers["content-security-policy"].partition("style-src")[0]
    assert "http" not in page.text
    for part in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js"):
        assert f'"docs/{part}"' in page.text
        assert client.get(f"/docs/{part}").status_code == 200
    problem(client.get("/docs/..%2findex.html"), 404, "not_found")


def test_the_page_of_all_routes_is_empty_or_breaks_its_own_policy(visit: Open) -> None:
    with listening() as port, visit(f"http://127.0.0.1:{port}/docs") as seen:
        seen.page.get_by_text("/predict/batch").wait_for()
        assert (seen.complaints, seen.requests) == ([], [])


def test_without_docs_the_routes_are_described_all_the_same(serve: Serve) -> None:
    with serve(docs="false") as client:
        for path in ("/docs", "/docs/start.js", "/openapi.json"):
            problem(client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/health"), ("GET", "/nothing"), ("POST", "/health"), ("GET", "/predict")]
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_nobody_asked_for_is_read_whole(client: TestClient, method: str, path: str, chunked: bool) -> None:
    content = iter([b"x" * MOST, b"x"]) if chunked else b"x" * (MOST + 1)
    problem(
        client.request(method, path, content=content, headers={"Content-Type": "multipart/form-data"}), 413, "too_large"
    )
    assert client.request("GET", "/health", content=b"x" * MOST).status_code == 200


@contextmanager
def listening(**settings: Any) -> Iterator[int]:
    """Give the port of a server, without a model, of this process."""
    app = create_app(settings=Settings(model="nowhere", **settings))
    config = uvicorn.Config(app, http=Connection, host="127.0.0.1", port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    thread = Thread(target=asyncio.run, args=(server.serve(),))
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def said(port: int, *pieces: bytes) -> bytes:
    """Return what the server says before it ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:
            return b""


BEGIN = b"GET /health HTTP/1.1\r\nHost: x\r\n"


def test_endless_or_dawdling_headers_and_bodies_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SECONDS", 0.3)
    with listening(read_seconds=0.3) as port:
        assert said(port, BEGIN + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        flood = said(port, BEGIN, *[b"X-%d: %s\r\n" % (n, b"x" * 1000) for n in range(1000)])
        assert flood in (b"", connections._TOO_LARGE)  # it may still be sending when we hang up
        assert said(port, BEGIN) == b""
        assert said(port, b"") == b""
        slow = said(port, BEGIN + b"Content-Length: 10\r\n\r\n12345")
        assert slow.startswith(b"HTTP/1.1 408 ") and b'"code":"timeout"' in slow
        ended = BEGIN + b"Connection: keep-alive\r\n\r\n"
        assert said(port, ended, BEGIN).count(b"HTTP/1.1 200 ") == 1
