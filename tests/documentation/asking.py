"""Stands for `python`, `mlops-cls`, `uv` and `pip` in a reader's folder: has what they are given run by `forked`.

``python -S asking.py NAME ARGUMENTS``. It imports next to nothing, so that a command costs its own work only.
"""
# ruff: noqa: PTH123, PTH207

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from glob import glob
from http.client import HTTPConnection, HTTPException

VARIABLE = "READER_"
UV_OPTIONS_WITH_VALUE = ("--with", "--group", "--extra", "--no-group", "--python", "-p")


def main(name: str, arguments: list[str]) -> int:
    """Do what the program of this name does, and return its exit code."""
    if name == "end":
        for port in arguments:
            end_service(int(port))
        return 0
    if name == "uv":
        return uv(arguments)
    if name == "pip":
        return 0  # what pages ask for is installed, and the newcomer's test installs it
    if name == "mlops-cls":
        return mlops_cls(arguments)
    return python(arguments)


def uv(arguments: list[str]) -> int:
    """Run what ``uv run`` is given; the environment that ``uv sync`` would make is there, with all extras."""
    if arguments[:1] != ["run"]:
        return 0 if arguments[:1] == ["sync"] else 2
    rest = arguments[1:]
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in UV_OPTIONS_WITH_VALUE else rest[1:]
    if rest[0] in ("python", "mlops-cls"):
        return main(rest[0], rest[1:])
    os.execvp(rest[0], rest)


def mlops_cls(arguments: list[str]) -> int:
    """Run a verb of the console script, whose module is what ``python -m`` runs."""
    if not arguments or arguments[0].startswith("-"):
        return ask(["-m", "mlops_cls.cli", *arguments])
    return python(["-m", f"mlops_cls.{arguments[0]}", *arguments[1:]])


def python(arguments: list[str]) -> int:
    """Run Python, with what a mark adds to a command of ours; let a service run beside what follows."""
    verb = arguments[1].removeprefix("mlops_cls.") if arguments[:1] == ["-m"] else ""
    if verb == "serve" and not {"-h", "--help"} & set(arguments):
        return start_service(arguments)
    added = os.environ.get(f"{VARIABLE}WORDS", "").split() if arguments[:1] == ["-m"] else []
    return ask([*arguments, *added])


def start_service(arguments: list[str]) -> int:
    """Start a service and wait until it answers; one that has the port is ended, as a reader would."""
    port = int(arguments[arguments.index("--port") + 1] if "--port" in arguments else os.environ["PORT"])
    end_service(port)
    process = os.fork()
    if process == 0:
        code = ask(arguments)
        note(f"{port} ended {code}")
        os._exit(code)
    while not answers(port):
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    note(f"{port} is {process}")
    if "--collect" in arguments:
        use_service(port)
    return 0


def use_service(port: int) -> None:
    """Ask about each of the new pictures, as others would: what a service collects is read by later commands."""
    each = [
        ["-F", f"file=@{path}", f"http://127.0.0.1:{port}/predict"] for path in sorted(glob("new_pictures/*/*.png"))
    ]
    words = [word for asked in each for word in ("--next", "--silent", "--output", os.devnull, *asked)]
    subprocess.run(["curl", *words[1:]], check=True)


def end_service(port: int) -> None:
    """End what was started on this port, if it has not ended, by SIGTERM; its exit code is noted."""
    while told := [line.split() for line in notes() if line.startswith(f"{port} ")]:
        if told[-1][1] == "ended":
            return
        with suppress(ProcessLookupError):
            os.kill(int(told[-1][2]), signal.SIGTERM)
        while notes()[-1].split()[:2] != [str(port), "ended"]:
            time.sleep(0.05)


def note(line: str) -> None:
    with open(os.environ[f"{VARIABLE}SERVICES"], "a") as file:
        file.write(f"{line}\n")


def notes() -> list[str]:
    with suppress(FileNotFoundError), open(os.environ[f"{VARIABLE}SERVICES"]) as file:
        return file.read().splitlines()
    return []


def answers(port: int) -> bool:
    with suppress(OSError, HTTPException):
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    return False


def ask(arguments: Sequence[str]) -> int:
    """Have a command of Python run in this folder, with this environment and these files; pass signals on."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(VARIABLE)}
    process = subprocess.Popen([os.environ[f"{VARIABLE}PYTHON"], *arguments], env=env)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _: process.send_signal(received))
    code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
