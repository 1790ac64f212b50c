"""Commands that cost their own work only: forks of one process that has imported torch already.

`interpreter` gives a path to type in place of `sys.executable`. What it starts is a process as any other, with its own
folder, environment, streams, signals and exit code; but a command starts in the time of a fork, not in the seconds that
imports take. What a test says of a fresh interpreter, such as what is imported, is to be tried with a real one.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

HERE = Path(__file__).parent
SOCKET = "socket"


@contextmanager
def interpreter(folder: Path) -> Iterator[str]:
    """Give the path of a program that takes the place of Python; all test processes with this folder share its origin.

    Where forking is not safe, as on macOS, or impossible, it is Python itself.
    """
    if sys.platform != "linux":
        yield sys.executable
        return
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        client = _write_client(folder / "python")
        lifeline = _connected(folder) or _started(folder)
    with lifeline:
        yield str(client)


def behind(python: str, process: "subprocess.Popen[Any]") -> psutil.Process:
    """Return the process whose place a started one takes, once it is there: it has the children."""
    noted = Path(python).with_name(str(process.pid))
    if python == sys.executable:
        return psutil.Process(process.pid)
    while not noted.exists() or not noted.read_text():
        time.sleep(0.01)
    return psutil.Process(int(noted.read_text()))


def _write_client(path: Path) -> Path:
    if not path.exists():
        path.write_text(f"#!{sys.executable} -IS\n{(HERE / 'client.py').read_text()}")
        path.chmod(0o755)
    return path


def _connected(folder: Path) -> socket.socket | None:
    """Return a connection that keeps the origin alive, if there is one."""
    line = socket.socket(socket.AF_UNIX)
    try:
        line.connect(str(folder / SOCKET))
        line.sendall(bytes(4))
        return line
    except OSError:
        line.close()
        return None


def _started(folder: Path) -> socket.socket:
    (folder / SOCKET).unlink(missing_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (folder / "log").open("ab") as log:
        origin = subprocess.Popen(
            [sys.executable, HERE / "origin.py", folder / SOCKET, folder / "python"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environment, start_new_session=True,
        )  # fmt: skip
    assert origin.stdout is not None
    with origin.stdout as said:
        assert said.readline() == b"ready\n", (folder / "log").read_text()
    # It ends with the last connection, and not as a child of this process, which need not be the last.
    origin.returncode = 0
    line = _connected(folder)
    assert line is not None
    return line
