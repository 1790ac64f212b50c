"""Carries out a Dockerfile where there is no container engine: its steps, in an empty folder and a clean environment.

Each stage is built in the same folder, `root`, and put aside when it is done, so that what one stage does not copy from
another is not there, and paths within what it does copy stay true. The Dockerfile's /opt, /home and /work are that
folder's. Not carried out, since the machine must have it, is what apt installs (`skipped`); and USER. An instruction
that this does not know is an error.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from string import Template

PATHS = re.compile(r"(?<![\w./-])/(?=(opt|home|work)\b)")
NETWORK = ("SSL_CERT_FILE", "PIP_CERT", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
# Linked from this machine's cache in no time, and not compiled whole, which takes a minute: see share_bytecode.
ENVIRONMENT = dict(os.environ)
"""Of the one who tests: within a test, uv would find an empty cache."""
QUICK = {"UV_LINK_MODE": "hardlink", "UV_COMPILE_BYTECODE": "0"}


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: its name, its --flags, and the rest."""

    name: str
    flags: dict[str, str]
    rest: str


@dataclass(frozen=True)
class Image:
    """What a stage leaves: files below `root`, and the configuration that a container starts with."""

    root: str
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    settings: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    @property
    def entry(self) -> list[str]:
        return list(json.loads(self.settings["ENTRYPOINT"]))

    @property
    def healthcheck(self) -> list[str]:
        return list(json.loads(self.settings["HEALTHCHECK"].removeprefix("CMD ")))

    def within(self, text: str) -> str:
        """Return a text with the paths of an image as those below `root`."""
        return PATHS.sub(f"{self.root}/", text)

    def start(self, command: list[str], folder: Path | None = None, **variables: str) -> "subprocess.Popen[str]":
        """Start what a container would, with its environment and nothing else, at its folder or the one given."""
        return subprocess.Popen(
            # As exec does in a container, which knows nothing of the PATH of this process.
            [shutil.which(command[0], path=self.within(self.environment["PATH"])) or command[0], *command[1:]],
            env={name: self.within(value) for name, value in self.environment.items()} | variables,
            cwd=folder or self.within(self.folder),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


def read(dockerfile: str) -> Iterator[Step]:
    """Yield the instructions; lines that end in a backslash go on, comments do not."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", "", "\n".join(lines)).splitlines():
        if line.strip():
            name, rest = line.split(maxsplit=1)
            flags = {}
            while match := re.match(r"--([\w-]+)=(\S+)\s+", rest):
                flags[match[1]] = match[2]
                rest = rest[match.end() :]
            yield Step(name, flags, rest.strip())


def share_bytecode(image: Image) -> None:
    """Give files of an image that are the very files of this process's environment the bytecode that this one has."""
    here = Path(sysconfig.get_path("purelib"))
    (there,) = Path(image.within("/opt/venv")).glob("lib/python*/site-packages")
    ending = f".{sys.implementation.cache_tag}.pyc"
    for compiled in here.rglob(f"__pycache__/*{ending}"):
        source = compiled.parents[1] / f"{compiled.name.removesuffix(ending)}.py"
        twin = there / source.relative_to(here)
        if twin.is_file() and twin.samefile(source):
            place = there / compiled.relative_to(here)
            place.parent.mkdir(exist_ok=True)
            os.link(compiled, place)


class Context:
    """What of a checkout is sent to the engine, by its .dockerignore."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        lines = (checkout / ".dockerignore").read_text().splitlines()
        self._lines = [line for line in lines if line and not line.startswith("#")]

    def holds(self, path: Path) -> bool:
        """Whether a file is sent: the last line that fits it or a folder above it decides."""
        relative = path.relative_to(self.checkout)
        places = [str(place) for place in (relative, *relative.parents)]
        fits = [line for line in self._lines if any(fnmatch(place, line.removeprefix("!")) for place in places)]
        return not fits or fits[-1].startswith("!")

    def leaves_out(self, folder: str, names: list[str]) -> list[str]:
        """Return which names in a folder are not sent, as shutil.copytree asks."""
        return [name for name in names if not self.holds(Path(folder, name))]


class Replay:
    """Builds a Dockerfile of the checkout into ``home/root``; `image` is then what its last stage says."""

    def __init__(self, dockerfile: Path, home: Path, **arguments: str) -> None:
        self.context, self.home, self.root = Context(dockerfile.parents[1]), home, home / "root"
        self.given, self.arguments = arguments, dict[str, str]()
        self.stages: dict[str, Image] = {}
        self._name = ""
        for step in read(dockerfile.read_text()):
            getattr(self, f"_{step.name.lower()}")(step)

    @property
    def image(self) -> Image:
        return self.stages[self._name]

    def _from(self, step: Step) -> None:
        base, _, name = self._filled(step.rest).partition(" AS ")
        if self._name:
            self.root.rename(self.home / "stages" / self._name)
        (self.home / "stages").mkdir(parents=True, exist_ok=True)
        self.root.mkdir()
        python = Path(getattr(sys, "_base_executable", sys.executable)).resolve().parent
        nothing = Image(str(self.root), {"PATH": f"{python}:/usr/local/bin:/usr/bin:/bin"})
        self.stages[name] = self.stages.get(base, nothing)
        if base in self.stages:
            self._link(self.home / "stages" / base, self.root)
        self._name = name

    def _arg(self, step: Step) -> None:
        name, _, default = step.rest.partition("=")
        self.arguments[name] = self.given.get(name, self._filled(default))

    def _env(self, step: Step) -> None:
        self._set(environment=self.image.environment | self._pairs(step.rest))

    def _label(self, step: Step) -> None:
        self._set(labels=self.image.labels | self._pairs(step.rest))

    def _workdir(self, step: Step) -> None:
        Path(self.image.within(step.rest)).mkdir(parents=True, exist_ok=True)
        self._set(folder=step.rest)

    def _setting(self, step: Step) -> None:
        self._set(settings=self.image.settings | {step.name: step.rest})

    _user = _expose = _stopsignal = _entrypoint = _healthcheck = _setting

    def _copy(self, step: Step) -> None:
        *sources, target = shlex.split(step.rest)
        place = Path(self.image.within(self.image.folder), self.image.within(target))
        if "from" in step.flags:
            (source,) = sources
            self._link(self.home / "stages" / step.flags["from"] / source.lstrip("/"), place)
            return
        found = [path for source in sources for path in sorted(self.context.checkout.glob(source))]
        found = [path for path in found if self.context.holds(path)]
        assert found, f"COPY {step.rest}: nothing of this is in the context"
        for path in found:
            self._send(path, place / path.name if target.endswith("/") else place)

    def _send(self, path: Path, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            shutil.copy2(path, place)
        else:
            shutil.copytree(path, place, ignore=self.context.leaves_out, dirs_exist_ok=True)

    def _run(self, step: Step) -> None:
        if step.rest.startswith("apt-get"):
            self._set(skipped=[*self.image.skipped, step.rest])
            return
        variables = {"HOME": str(self.home), **self.image.environment, **self.arguments}
        network = {name: os.environ[name] for name in NETWORK if name in os.environ}
        with self._mounted(step.flags.get("mount")):
            done = subprocess.run(
                ["/bin/sh", "-c", self.image.within(step.rest)],
                env={name: self.image.within(value) for name, value in variables.items()} | network | QUICK,
                cwd=self.image.within(self.image.folder),
                text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        assert done.returncode == 0, f"RUN {step.rest}\n{done.stdout}"

    @contextmanager
    def _mounted(self, flag: str | None) -> Iterator[None]:
        """Let uv find this machine's cache where the Dockerfile mounts the builder's."""
        if flag is None:
            yield
            return
        kind, target = re.fullmatch(r"type=(\w+),target=(\S+)", flag).groups()  # type: ignore[union-attr]
        assert kind == "cache", flag
        place = Path(self.image.within(target))
        place.symlink_to(subprocess.check_output(["uv", "cache", "dir"], text=True, env=ENVIRONMENT).strip())
        yield
        place.unlink()

    def _set(self, **changes: object) -> None:
        self.stages[self._name] = replace(self.image, **changes)  # type: ignore[arg-type]

    def _pairs(self, text: str) -> dict[str, str]:
        return {key: self._filled(value) for key, _, value in (word.partition("=") for word in shlex.split(text))}

    def _filled(self, text: str) -> str:
        return Template(text).substitute(self.arguments | (self.image.environment if self._name else {}))

    def _link(self, source: Path, target: Path) -> None:
        shutil.copytree(source, target, symlinks=True, copy_function=os.link, dirs_exist_ok=True)
