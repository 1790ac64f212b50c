"""Where collected files lie: in a folder of this machine, or in a Google bucket; names have forward slashes."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from mlops_cls.bucket import as_os_errors, open_buckets
from mlops_cls.errors import ConfigError

BUCKET = "gs://"
OWNERS_FOLDER, OWNERS_FILE = 0o700, 0o600


class Storage(Protocol):
    """Files by name, such as ``2026-11-21/records-1f….jsonl``; every method raises `OSError` where it cannot."""

    gather: float
    """Seconds for which it pays to wait for more to write."""

    def sizes(self) -> dict[str, int]:
        """Return the names of all files, with their bytes."""

    def below(self, part: str) -> list[str]:
        """Return the names directly in a folder (``""``: the whole), files and folders; none where it is missing."""

    def read(self, name: str) -> bytes: ...

    def write(self, name: str, content: bytes) -> None:
        """Write a whole file, or replace it."""

    def append(self, kind: str, content: bytes) -> None:
        """Add lines to a file ``kind-….jsonl`` of this process's own; all of them, or none on an error."""

    def remove(self, part: str) -> None:
        """Remove a folder with all that is in it, which may be gone already."""


def open_storage(place: str | Path) -> Storage:
    """Return the storage at a folder or ``gs://bucket/folder``; nothing is made or asked yet.

    Raises:
        ConfigError: a bucket without its client, or without a name.
    """
    return Bucket(str(place)) if str(place).startswith(BUCKET) else Folder(Path(place))


class Folder:
    """A folder that only its owner can look into. Several processes may write: each to files of its own."""

    gather = 0.0

    def __init__(self, root: Path) -> None:
        self._root = root
        self._own = uuid4().hex

    def sizes(self) -> dict[str, int]:
        return {name: size for path in self._root.rglob("*") for name, size in self._sized(path)}

    def _sized(self, path: Path) -> list[tuple[str, int]]:
        try:
            return [(path.relative_to(self._root).as_posix(), path.stat().st_size)] if path.is_file() else []
        except FileNotFoundError:  # another process removed its day
            return []

    def below(self, part: str) -> list[str]:
        folder = self._root / part
        return sorted(path.relative_to(self._root).as_posix() for path in folder.iterdir()) if folder.is_dir() else []

    def read(self, name: str) -> bytes:
        return (self._root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        aside = f"{name}.{uuid4().hex}.partial"
        try:
            self._add(aside, content)
            (self._root / aside).replace(self._root / name)
        except OSError:
            (self._root / aside).unlink(missing_ok=True)
            raise

    def append(self, kind: str, content: bytes) -> None:
        # What the system was given survives this process being killed; only a machine that goes down loses some.
        self._add(f"{kind}-{self._own}.jsonl", content)

    def _add(self, name: str, content: bytes) -> None:
        path = self._root / name
        self._make(path.parent)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, OWNERS_FILE)
        before = os.fstat(file).st_size
        try:
            while content:
                content = content[os.write(file, content) :]
        except OSError:
            os.ftruncate(file, before)  # half a line would spoil the next one
            raise
        finally:
            os.close(file)

    def _make(self, folder: Path) -> None:
        for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
            missing.mkdir(OWNERS_FOLDER, exist_ok=True)

    def remove(self, part: str) -> None:
        while (self._root / part).is_dir():
            with suppress(FileNotFoundError):  # another process removes it too
                shutil.rmtree(self._root / part)


class Bucket:
    """Objects below ``gs://bucket/folder``. They cannot be added to: what is appended becomes one of its own."""

    gather = 5.0

    def __init__(self, address: str) -> None:
        self._root = address.removeprefix(BUCKET).strip("/")
        if not self._root:
            raise ConfigError(f"{address} names no bucket: give gs://BUCKET/FOLDER")
        self._files = open_buckets(address)

    def sizes(self) -> dict[str, int]:
        with self._fresh() as files:
            found = files.find(self._root, detail=True)
        return {self._short(path): about["size"] for path, about in found.items()}

    def below(self, part: str) -> list[str]:
        try:
            with self._fresh() as files:
                return sorted(self._short(path) for path in files.ls(self._full(part), detail=False))
        except FileNotFoundError:
            return []

    def read(self, name: str) -> bytes:
        with as_os_errors():
            content: bytes = self._files.cat_file(self._full(name))
        return content

    def write(self, name: str, content: bytes) -> None:
        with as_os_errors():
            self._files.pipe_file(self._full(name), content)

    def append(self, kind: str, content: bytes) -> None:
        self.write(f"{kind}-{uuid4().hex}.jsonl", content)

    def remove(self, part: str) -> None:
        with suppress(FileNotFoundError), self._fresh() as files:
            files.rm(self._full(part), recursive=True)

    @contextmanager
    def _fresh(self) -> Iterator[Any]:
        # Other processes write too, of which gcsfs's memory of its listings knows nothing.
        with as_os_errors():
            self._files.invalidate_cache()
            yield self._files

    def _full(self, part: str) -> str:
        return f"{self._root}/{part}".rstrip("/")

    def _short(self, path: str) -> str:
        return path.removeprefix(self._root).strip("/")
