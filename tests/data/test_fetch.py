"""A download is whole or absent: cut, killed, doubled or lied to, nothing that looks complete is left behind."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from mlops_cls.data.fetch import fetch, from_url, without_secrets
from mlops_cls.errors import DataError

StartPython = Callable[..., subprocess.Popen[str]]
CONTENT = np.random.default_rng(0).bytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FETCH = """
import sys
from pathlib import Path
from mlops_cls.data.fetch import fetch, from_url
fetch(from_url(sys.argv[1]), Path(sys.argv[2]), name="the file", sha256=sys.argv[3])
"""


class Server(ThreadingHTTPServer):
    """Serves CONTENT; how well it does so is set by each test."""

    daemon_threads = True
    content = CONTENT
    etag: str | None = '"one"'
    knows_range = True
    tells_size = True
    status = 200
    cut_after: int | None = None  # bytes of one answer
    stall_after: int | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []
        self.stalled, self.go_on = Event(), Event()
        self.url = f"http://127.0.0.1:{self.server_port}/any%20name.zip"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        server = self.server
        given = self.headers["Range"]
        server.asked.append(given)
        fits = server.knows_range and given and self.headers["If-Range"] == server.etag
        start = int(given.removeprefix("bytes=").removesuffix("-")) if fits else 0
        self.send_response(206 if fits and server.status == 200 else server.status)
        if fits:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        if server.tells_size:
            self.send_header("Content-Length", str(len(server.content) - start))
        self.send_header("Connection", "close")
        self.end_headers()
        self._send(server.content[start:])
        self.close_connection = True

    def _send(self, body: bytes) -> None:
        if self.server.stall_after is not None:
            self.wfile.write(body[: self.server.stall_after])
            self.wfile.flush()
            self.server.stalled.set()
            self.server.go_on.wait(30)
            body = body[self.server.stall_after :]
        with suppress(OSError):  # the client was killed
            self.wfile.write(body[: self.server.cut_after])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.go_on.set()
        running.shutdown()
        thread.join()


def get(server: Server, path: Path, sha256: str = SHA256) -> Path:
    return fetch(from_url(server.url), path, name="the file", sha256=sha256)


def seen(folder: Path) -> list[str]:
    """Return what lies there, apart from the lock."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize("tells_size", [True, False])
def test_a_download_is_not_whole_or_its_helpers_stay(server: Server, tmp_path: Path, tells_size: bool) -> None:
    server.tells_size = tells_size
    path = get(server, tmp_path / "new" / "x.zip")
    assert path.read_bytes() == CONTENT
    assert seen(path.parent) == ["x.zip"]


def test_what_is_there_is_fetched_again(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path / "x.zip")
    get(server, tmp_path / "x.zip")
    assert server.asked == [None]


def test_a_cut_connection_loses_what_came(server: Server, tmp_path: Path) -> None:
    server.cut_after = 1_000_000
    assert get(server, tmp_path / "x.zip").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000000-", "bytes=2000000-"]


@pytest.mark.parametrize("spoil", ["knows_range", "etag"])
def test_a_cut_connection_that_cannot_go_on_is_asked_for_ever(server: Server, tmp_path: Path, spoil: str) -> None:
    setattr(server, spoil, None)
    server.cut_after = 1_000_000
    with pytest.raises(DataError, match=r"the file stopped at byte 1000000 of 3000000 .*: run the same command again"):
        get(server, tmp_path / "x.zip")
    assert len(server.asked) == 2
    assert not (tmp_path / "x.zip").exists()


def test_a_server_without_range_spoils_the_second_attempt(server: Server, tmp_path: Path) -> None:
    server.knows_range, server.cut_after = False, 1_000_000
    with pytest.raises(DataError, match="stopped"):
        get(server, tmp_path / "x.zip")
    server.cut_after = None
    assert get(server, tmp_path / "x.zip").read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=1000000-"


def test_two_versions_are_mixed(server: Server, tmp_path: Path) -> None:
    server.etag, server.cut_after, server.knows_range = '"old"', 1_000_000, False
    with pytest.raises(DataError, match="stopped"):
        get(server, tmp_path / "x.zip")
    server.content, server.etag, server.cut_after, server.knows_range = CONTENT[::-1], '"new"', None, True
    reversed_hash = hashlib.sha256(CONTENT[::-1]).hexdigest()
    assert get(server, tmp_path / "x.zip", reversed_hash).read_bytes() == CONTENT[::-1]


def test_a_lie_is_kept(server: Server, tmp_path: Path) -> None:
    server.content = b"x" * len(CONTENT)
    lie = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(DataError, match=f"the file is not what data.sha256 says: its SHA-256 is {lie}.*{SHA256}"):
        get(server, tmp_path / "x.zip")
    assert seen(tmp_path) == []
    server.content = CONTENT
    assert get(server, tmp_path / "x.zip").read_bytes() == CONTENT


def test_truncation_without_a_size_looks_whole(server: Server, tmp_path: Path) -> None:
    server.tells_size, server.cut_after = False, 1_000_000
    with pytest.raises(DataError, match="SHA-256"):
        get(server, tmp_path / "x.zip")
    assert seen(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "message"), [(404, "answers 404 Not Found; correct data.url"), (503, "cannot be reached")]
)
def test_a_refusal_is_a_traceback(server: Server, tmp_path: Path, status: int, message: str) -> None:
    server.status = status
    with pytest.raises(DataError, match=message):
        get(server, tmp_path / "x.zip")
    assert seen(tmp_path) == []


def test_no_network_is_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(DataError, match=r"cannot be reached \(.*refused.*\): .*data\.source=local"):
        fetch(from_url("http://127.0.0.1:9/x.zip"), tmp_path / "x.zip", name="the file", sha256=SHA256)


def test_a_file_that_needs_more_than_the_disk_has_is_begun(server: Server, tmp_path: Path) -> None:
    def enormous(start: int, mark: str | None) -> object:
        stream = from_url(server.url)(start, mark)
        return type(stream)(stream.body, 0, type(stream.version)("m", 10**18))

    with pytest.raises(DataError, match=r"the file needs 1e\+09 GB more and .* set data\.root=FOLDER"):
        fetch(enormous, tmp_path / "x.zip", name="the file", sha256=SHA256)  # type: ignore[arg-type]
    assert seen(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit the size of files")
def test_a_full_disk_is_a_traceback(server: Server, tmp_path: Path, start_python: StartPython) -> None:
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
    process = start_python(limit + FETCH, server.url, tmp_path / "x.zip", SHA256)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "DataError: no room left" in errors
    assert not (tmp_path / "x.zip").exists()


def test_a_folder_that_is_a_file_is_a_traceback(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot be written \(File exists\): set data\.root=FOLDER"):
        get(server, tmp_path / "file" / "x.zip")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_download_starts_over(server: Server, tmp_path: Path, start_python: StartPython) -> None:
    server.stall_after = 2_500_000
    process = start_python(FETCH, server.url, tmp_path / "x.zip", SHA256)
    part = tmp_path / "x.zip.part"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    arrived = part.stat().st_size
    assert 0 < arrived < len(CONTENT)
    assert not (tmp_path / "x.zip").exists()
    server.stall_after = None
    assert get(server, tmp_path / "x.zip").read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={arrived}-"]


def test_a_part_that_was_already_whole_is_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.zip.part").write_bytes(CONTENT)
    (tmp_path / "x.zip.part.json").write_text('{"mark": null, "size": 3000000}')
    assert get(server, tmp_path / "x.zip").read_bytes() == CONTENT
    assert server.asked == []


def test_a_damaged_note_is_a_traceback(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.zip.part").write_bytes(b"rubbish")
    (tmp_path / "x.zip.part.json").write_text('{"mark":')
    assert get(server, tmp_path / "x.zip").read_bytes() == CONTENT


def test_two_processes_fetch_twice(server: Server, tmp_path: Path, start_python: StartPython) -> None:
    server.stall_after = 1_000_000
    both = [start_python(FETCH, server.url, tmp_path / "x.zip", SHA256) for _ in range(2)]
    assert server.stalled.wait(30)
    time.sleep(0.5)  # the other has reached the lock by now, or will find the file
    server.go_on.set()
    for process in both:
        assert process.communicate(timeout=60)[1] == ""
        assert process.returncode == 0
    assert server.asked == [None]
    assert (tmp_path / "x.zip").read_bytes() == CONTENT


def test_a_local_file_is_copied_unchecked(tmp_path: Path) -> None:
    (tmp_path / "origin.zip").write_bytes(CONTENT)
    origin = from_url((tmp_path / "origin.zip").as_uri())
    with pytest.raises(DataError, match="SHA-256"):
        fetch(origin, tmp_path / "x.zip", name="the file", sha256="0" * 64)
    assert fetch(origin, tmp_path / "x.zip", name="the file", sha256=SHA256).read_bytes() == CONTENT


def test_an_empty_file_never_ends(tmp_path: Path) -> None:
    (tmp_path / "origin").write_bytes(b"")
    assert fetch(from_url((tmp_path / "origin").as_uri()), tmp_path / "x", name="empty").read_bytes() == b""


def test_a_signature_or_password_is_shown() -> None:
    assert without_secrets("https://me:secret@host:8/a.zip?X-Signature=secret#f") == "https://host:8/a.zip"
