"""A reader's folder, where what the pages speak of stands, and what the reader does in it."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pages import ROOT, Block, Statement

HERE = Path(__file__).parent
PROGRAMS = ("mlops-cls", "pip", "python", "uv")
NOWHERE = "http://127.0.0.1:9"
PORT = re.compile(r"(?P<before>(?:127\.0\.0\.1|localhost):|--port[ =]|\bPORT=)(?P<port>\d{4,5})\b")
SECONDS, SECONDS_WEEKLY = 900, 5400  # only that nothing waits for ever
SHOWN = 6000
# Ends the script at the first command that ends otherwise than it should.
ENDED = 'ended() { case " $2 " in *" $1 "*) ;; *) printf "%s %s" "$3" "$1" >"$READER_FAILED"; exit 1 ;; esac; }'


class Failed(pytest.fail.Exception):
    """A command of a page did not do what the page says; where we are in here is of no interest then."""

    def __init__(self, told: str) -> None:
        super().__init__(told, pytrace=False)


@dataclass
class Stage:
    """A folder, the environment of a shell in it, and a session of Python; both go on from block to block."""

    folder: Path
    python: str
    env: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    session: socket.socket | None = None
    process: "subprocess.Popen[bytes] | None" = None
    """Which ends with the session."""

    @property
    def aside(self) -> Path:
        return self.folder / ".reader"

    def run(self, block: Block, *, weekly: bool = False) -> None:
        """Execute what is to be executed of a block; fail with its page, line, command and output."""
        chosen = [statement for statement in block.statements if statement.is_executed(weekly=weekly)]
        if chosen and block.language == "python":
            self._run_python(block)
        elif chosen:
            self._run_bash(block, self._script(chosen, weekly=weekly), SECONDS_WEEKLY if weekly else SECONDS)

    def _script(self, chosen: Sequence[Statement], *, weekly: bool) -> str:
        lines = [ENDED, f"cd {shlex.quote(self.env['PWD'])}"]
        for statement in chosen:
            text, added = self._with_own_ports(statement.text), statement.added(weekly=weekly)
            codes = " ".join(map(str, statement.exit_codes))
            lines += [f"export READER_WORDS={shlex.quote(added)}", f"printf '\\n$ %s\\n' {shlex.quote(text)}"]
            lines += [text, f"ended $? '{codes}' {statement.line}"]
        return "\n".join([*lines, f"env -0 >{self.aside}/left", ""])

    def _run_bash(self, block: Block, script: str, seconds: float) -> None:
        path, failed = self.aside / "script", self.aside / "failed"
        path.write_text(script)
        code, output = _bash(path, self.env | {"READER_FAILED": str(failed)}, seconds)
        if code:
            line, ended = failed.read_text().split() if failed.exists() else (block.line, code)
            raise Failed(f"{block.page}:{line}: ended with exit code {ended}\n{output[-SHOWN:]}")
        kept = dict(entry.split("=", 1) for entry in (self.aside / "left").read_text().split("\0") if "=" in entry)
        self.env = {key: value for key, value in kept.items() if key not in ("_", "OLDPWD", "SHLVL")}

    def _with_own_ports(self, text: str) -> str:
        return PORT.sub(lambda found: f"{found['before']}{self.port(found['port'])}", text)

    def port(self, named: str = "8080") -> int:
        """Return the free port that stands for the one that the pages name, since other tests run beside this one."""
        return self.ports.setdefault(named, free_port())

    def _run_python(self, block: Block) -> None:
        log = self.aside / "session.txt"
        log.write_bytes(b"")
        session = self.session or self._open_session(log)
        asked = {"code": self._with_own_ports(block.text), "line": block.line, "file": str(ROOT / block.page)}
        session.sendall(json.dumps(asked).encode() + b"\n")
        if session.recv(1024) != b"0\n":
            raise Failed(f"{block.place} failed:\n{log.read_text()[-SHOWN:]}")

    def _open_session(self, log: Path) -> socket.socket:
        ours, theirs = socket.socketpair()
        program = [self.python, str(HERE / "session.py")]
        with theirs, log.open("ab") as file:
            self.process = subprocess.Popen(
                program, cwd=self.env["PWD"], env=self.env, stdin=theirs, stdout=file, stderr=file
            )
        ours.settimeout(SECONDS_WEEKLY)
        self.session = ours
        return ours

    def close(self) -> None:
        """End the session and the services that were started, each of which must end well."""
        if self.session and self.process:
            self.session.close()
            self.process.wait(60)
        notes = self.aside / "services"
        if notes.exists():
            _end_services(notes, self.env)


def _bash(script: Path, env: Mapping[str, str], seconds: float) -> tuple[int, str]:
    log = script.with_name("output")
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["bash", script], env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            code = process.wait(60) or 124
    return code, log.read_text(errors="replace")


def _end_services(notes: Path, env: Mapping[str, str]) -> None:
    ports = {line.split()[0] for line in notes.read_text().splitlines()}
    program = [sys.executable, str(HERE / "asking.py"), "end", *sorted(ports)]
    subprocess.run(program, env=env, check=True, timeout=60)
    ended = [line for line in notes.read_text().splitlines() if " ended " in line]
    if wrong := [line for line in ended if not line.endswith(" 0")]:
        raise Failed(f"services did not end well: {wrong}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def reader(folder: Path, python: str) -> Iterator[Stage]:
    """Give a folder as a reader's: a repository of git with our configs, and an empty environment without a network."""
    stage = Stage(folder, python)
    programs = stage.aside / "bin"
    programs.mkdir(parents=True)
    for name in PROGRAMS:
        path = programs / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} -SE {HERE / "asking.py"} {name} "$@"\n')
        path.chmod(0o755)
    stage.env = environment(stage, programs)
    _furnish(stage)
    try:
        yield stage
    finally:
        stage.close()


def environment(stage: Stage, programs: Path) -> dict[str, str]:
    """Return what a new account has, but for the programs and where the tests listen."""
    home = stage.aside / "home"
    home.mkdir()
    (home / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    (home / ".gitconfig").write_text(
        "[user]\nname = A reader\nemail = reader@localhost\n[init]\ndefaultBranch = main\n"
    )
    return {
        "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(home),
        "PWD": str(stage.folder),
        "LANG": "C.UTF-8",
        "PORT": str(stage.port()),
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "offline",
        "HF_HUB_OFFLINE": "1",
        **{name: NOWHERE for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")},
        **{name: "127.0.0.1,localhost" for name in ("no_proxy", "NO_PROXY")},
        "READER_PYTHON": stage.python,
        "READER_SERVICES": str(stage.aside / "services"),
    }


def _furnish(stage: Stage) -> None:
    for name in ("configs", "benchmarks", ".dvc"):
        shutil.copytree(ROOT / name, stage.folder / name, ignore=shutil.ignore_patterns("cache", "tmp", "__pycache__"))
    for name in (".gitignore", ".dvcignore", "README.md"):
        shutil.copy(ROOT / name, stage.folder)
    (stage.folder / ".git").mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=stage.folder, env=stage.env, check=True)
    (stage.folder / ".git" / "info" / "exclude").write_text(".reader/\n")
