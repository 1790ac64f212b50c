"""The site, built once for all processes that test."""

import functools
import os
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from built import Site, build
from filelock import FileLock

from browser import chromium, visit  # noqa: F401 (fixtures)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return the site as `make docs` builds it; strictly, but whether that went well is for a test to say."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "site"
    said = shared.with_suffix(".txt")
    with FileLock(shared.with_suffix(".lock")):
        if not said.exists():
            said.write_text(build(shared), encoding="utf-8")
    return Site(shared, said.read_text(encoding="utf-8"))


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    """Return where the site can be visited."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site.folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()
