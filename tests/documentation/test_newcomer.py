"""The top of the README, typed by somebody who has a fresh clone, an empty home and Python with pip, nothing else."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from commands import calls
from pages import ROOT, chapters
from situations import draw_pictures
from stage import free_port

PATIENCE = 600
"""Seconds in which somebody new has a prediction from a service of his own model; installation included."""
INDEX = ("PIP_", "UV_", "SSL_", "REQUESTS_CA", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY")
KEPT = (*INDEX, "OMP_NUM_THREADS")
"""Variables of this machine: the way to the package index, and how many threads compute beside other tests."""


def path_of_a_newcomer() -> list[str]:
    """Return the commands of the README that are his, in their order."""
    statements = [statement for chapter in chapters() for block in chapter.blocks for statement in block.statements]
    return [s.text for s in statements if "run as a newcomer" in s.marks and "run weekly" not in s.marks]


def empty_environment(home: Path) -> dict[str, str]:
    """Return the environment of a new account, whose Python has pip; only uv's downloads are shared."""
    base = [sys._base_executable, "-m", "venv", str(home / "python")]
    subprocess.run(base, check=True, timeout=120)
    ours = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}  # which is that of the tests
    cache = subprocess.run(["uv", "cache", "dir"], env=ours, capture_output=True, text=True, check=True).stdout.strip()
    kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    return kept | {
        "HOME": str(home),
        "PATH": os.pathsep.join([str(home / "python" / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]),
        "LANG": "C.UTF-8",
        "PORT": str(free_port()),
        "UV_CACHE_DIR": cache,
    }


def type_in(line: str, folder: Path, env: Mapping[str, str]) -> str:
    typed = ["bash", "-c", line]
    done = subprocess.run(
        typed,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, f"$ {line}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@contextmanager
def serving(line: str, folder: Path, env: Mapping[str, str]) -> Iterator[str]:
    """Give the address of the service that a line starts; it must end well when it is told to."""
    address = f"http://127.0.0.1:{env['PORT']}"
    with subprocess.Popen(["bash", "-c", f"exec {line}"], cwd=folder, env=env) as process:
        try:
            while not is_ready(address):
                assert process.poll() is None, f"{line} ended"
                time.sleep(0.1)
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


def is_ready(address: str) -> bool:
    try:
        return requests.get(f"{address}/ready", timeout=5).ok
    except requests.ConnectionError:
        return False


def test_readme_opens_with_the_two_commands_that_do_everything() -> None:
    assert [statement.text for statement in chapters()[0].blocks[0].statements] == [
        "pip install uv && uv run python -m mlops_cls.train experiment=quickstart",
        "pip install uv && uv run pytest",
    ]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no clone")
def test_a_newcomer_gets_no_prediction_from_his_own_model_in_ten_minutes(tmp_path: Path) -> None:
    env = empty_environment(tmp_path)
    if subprocess.run(
        ["pip", "download", "uv", "--no-deps", "--quiet", "-d", tmp_path], env=env, check=False
    ).returncode:
        pytest.skip("no package index")
    *typed, serve, ask = path_of_a_newcomer()
    assert calls(serve)[0].verb == "serve"
    began = time.monotonic()
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], env=env, check=True, timeout=PATIENCE)
    draw_pictures(clone, each=80)
    for line in typed:
        type_in(line, clone, env)
    with serving(serve, clone, env) as address:
        answer = json.loads(type_in(ask.replace("http://127.0.0.1:8080", address), clone, env))
    assert answer["predictions"][0]["label"] == "boot"
    assert time.monotonic() - began < PATIENCE
    shutil.rmtree(clone)
