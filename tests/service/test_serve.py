"""The verb, as a process: what it says when it cannot serve, and that it does when it can."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest

from mlops_cls import serve
from mlops_cls.bundle import Bundle
from mlops_cls.errors import ConfigError

SECONDS = 60


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the verb on a free port; the address it answers at."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "mlops_cls.serve", *arguments]
    running = subprocess.Popen(
        command,
        env={**os.environ, "PORT": port, **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield running, f"http://127.0.0.1:{port}"
    finally:
        running.kill()
        running.communicate()


def get(url: str) -> dict[str, object]:
    """Return the answer as soon as there is a good one."""
    until = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=SECONDS) as response:
                answer: dict[str, object] = json.load(response)
                return answer
        except (HTTPError, URLError):
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


@pytest.mark.skipif(sys.platform == "win32", reason="a service on Windows is not told to end by signals")
def test_a_bundle_is_served_from_the_environment_without_torch_until_sigterm(tiny_bundle: Bundle) -> None:
    with process(MODEL=str(tiny_bundle.folder)) as (running, url):
        assert get(f"{url}/ready") == {"status": "ready"}
        info = get(f"{url}/info")
        assert (info["model_version"], info["pictures"]) == (tiny_bundle.card.digest, 80)
        loaded = Path(f"/proc/{running.pid}/maps")
        if loaded.exists():
            assert "libtorch" not in loaded.read_text()
        running.send_signal(signal.SIGTERM)
        assert running.wait(SECONDS) == 0


def test_info_tells_nothing_of_the_machine_that_made_the_model(tiny_bundle: Bundle) -> None:
    with process(str(tiny_bundle.folder)) as (_, url):
        said = json.dumps(get(f"{url}/info"))
    assert str(Path.home()) not in said
    assert str(tiny_bundle.folder.parent) not in said


def test_a_folder_that_is_no_bundle_ends_the_service_with_what_to_type(tmp_path: Path) -> None:
    with process(str(tmp_path)) as (running, _):
        _, said = running.communicate(timeout=SECONDS)
    assert running.returncode == 2
    assert said.splitlines()[-1].startswith(f"error: {tmp_path} is no bundle")
    assert "python -m mlops_cls.export RUN" in said
    assert "Traceback" not in said


def test_a_taken_port_is_named_before_anything_is_loaded(tiny_bundle: Bundle) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"nothing can listen on 127\.0\.0\.1:{port} \(Address already in use\)"):
            serve.main([str(tiny_bundle.folder), "--port", str(port)])


def test_no_model_is_asked_for_with_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODEL", raising=False)
    with pytest.raises(ConfigError, match=r"which model\?"):
        serve.main([])
