"""The site, built once for all processes that test."""

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from browser import chromium, visit  # noqa: F401 (fixtures)

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Site:
    """The built pages, and what was said while they were built."""

    folder: Path
    said: str

    def page(self, name: str) -> str:
        """Return the HTML of `docs/NAME.md`."""
        place = "index.html" if name == "index" else f"{name}/index.html"
        return (self.folder / place).read_text(encoding="utf-8")


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


def build(folder: Path) -> str:
    """Build the site and return what was wrong. Not with `--quiet`: mkdocs would count no warnings, strict or not."""
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    silent = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(line, cwd=ROOT, env=silent, capture_output=True, text=True, check=False, timeout=300)
    said = [line for line in f"{done.stdout}{done.stderr}".splitlines() if line and not line.startswith("INFO ")]
    return "\n".join(said + [f"exit code {done.returncode}"] * (done.returncode != 0))


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
