"""One file from elsewhere: streamed aside, gone on with where it stopped, checked, and renamed only when it is right.

A file in its place is therefore whole. Beside it lie, until then, its `.part` and what the part is a part of.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import Protocol
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from filelock import FileLock
from tqdm import tqdm

from mlops_cls.data.disk import writable
from mlops_cls.errors import DataError

CHUNK = 1 << 20  # bytes
PATIENCE = 60.0  # seconds without a byte
AGAIN = "run the same command again, it goes on from there"


class Body(Protocol):
    """Bytes to read."""

    def read(self, size: int = ..., /) -> bytes:
        """Return at most `size` bytes; none at the end."""

    def close(self) -> None:
        """Let go of the connection."""


@dataclass(frozen=True, slots=True)
class Version:
    """What a part is a part of: a mark that changes when the file at the origin does, and the size of the whole."""

    mark: str | None
    size: int | None


@dataclass(frozen=True, slots=True)
class Stream:
    """An open origin; its first byte is the file's byte number `start`."""

    body: Body
    start: int
    version: Version


Origin = Callable[[int, str | None], Stream]
"""Opens a file at a byte if it still has that mark, else at its beginning; raises OSError or HTTPException."""


def fetch(origin: Origin, path: Path, *, name: str, sha256: str | None = None) -> Path:
    """Return `path`, fetched first if it is not there; two processes that ask at once fetch once.

    Args:
        origin: where the bytes come from.
        path: where the file shall lie; its folder is what `data.root` says.
        name: of the origin, for messages; without secrets.
        sha256: what the content must hash to, in small letters.

    Raises:
        DataError: the origin cannot be reached or gives something else, or the disk is full or not writable.
    """
    if path.is_file():
        return path
    with writable(path.parent, "data.root"), FileLock(path.with_name(f".{path.name}.lock")):
        if not path.is_file():
            part = _Part(path, name)
            part.complete(origin)
            part.check(sha256)
            part.keep()
    return path


class _Part:
    """The file on its way: `path.part`, and `path.part.json` that says of which version it is a part."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.part = path.with_name(f"{path.name}.part")
        self.note = path.with_name(f"{path.name}.part.json")

    @property
    def size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    @property
    def version(self) -> Version:
        try:
            return Version(**json.loads(self.note.read_text()))
        except (OSError, ValueError, TypeError):
            return Version(None, None)

    @property
    def whole(self) -> bool:
        return self.part.exists() and self.size == self.version.size

    def complete(self, origin: Origin) -> None:
        """Fetch what is missing. A broken connection is opened again for as long as each new one brings us further."""
        while not self.whole:
            before = self.size
            broken = self._go_on(origin)
            # Without a size, the end of the stream is all there is to know the end of the file by.
            if broken is None and self.version.size is None:
                return
            if not self.whole and self.size <= before:
                raise self._stopped(broken)

    def _go_on(self, origin: Origin) -> Exception | None:
        """Fetch until the stream ends; return what broke it, if anything did."""
        version = self.version
        # What has no mark could be a part of anything.
        start = self.size if version.mark and self.size < (version.size or 0) else 0
        try:
            stream = origin(start, version.mark)
        except (OSError, HTTPException) as error:
            raise self._refused(error) from error
        with closing(stream.body):
            self._refuse_too_large(stream)
            self._begin(stream)
            chunks = _Chunks(stream.body)
            with self.part.open("ab") as file, self._progress(stream) as progress:
                for chunk in chunks:
                    file.write(chunk)
                    progress.update(len(chunk))
        return chunks.broken

    def _begin(self, stream: Stream) -> None:
        with self.part.open("ab") as file:
            file.truncate(stream.start)
        self.note.write_text(json.dumps(asdict(stream.version)))

    def _progress(self, stream: Stream) -> "tqdm[None]":
        return tqdm(
            total=stream.version.size,
            initial=stream.start,
            desc=f"fetching {self.name}",
            unit="B",
            unit_scale=True,
            disable=None,
        )

    def check(self, sha256: str | None) -> None:
        """Throw the part away and raise `DataError` if it does not hash to `sha256`."""
        if sha256 is None:
            return
        with self.part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            self._forget()
            raise DataError(
                f"{self.name} is not what data.sha256 says: its SHA-256 is {found}, wanted was {sha256}. "
                "Nothing was kept; correct data.url or data.sha256"
            )

    def keep(self) -> None:
        """Give the finished part its name."""
        # The bytes must be on the disk before the name is, or a power cut could leave an empty file that looks whole.
        with self.part.open("rb+") as file:
            os.fsync(file.fileno())
        self.part.replace(self.path)
        self._forget()

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def _refuse_too_large(self, stream: Stream) -> None:
        missing = (stream.version.size or 0) - stream.start
        free = shutil.disk_usage(self.path.parent).free + self.size - stream.start
        if missing > free:
            raise DataError(
                f"{self.name} needs {missing / 1e9:.3g} GB more and {self.path.parent} has {free / 1e9:.3g} GB left: "
                "free some space or set data.root=FOLDER on another disk"
            )

    def _refused(self, error: Exception) -> DataError:
        if isinstance(error, HTTPError):
            error.close()
            if error.code < 500:
                return DataError(f"{self.name}: its server answers {error.code} {error.reason}; correct data.url")
        return DataError(
            f"{self.name} cannot be reached ({_reason(error)}): check the network and data.url, or fetch the file on "
            "another machine and set data.source=local data.root=FILE"
        )

    def _stopped(self, broken: Exception | None) -> DataError:
        why = _reason(broken) if broken else "the connection was closed"
        return DataError(f"{self.name} stopped at byte {self.size} of {self.version.size} ({why}): {AGAIN}")


class _Chunks:
    """The chunks of a body up to its end or to what broke it; only errors of the origin are caught, not of the disk."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.broken: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            while chunk := self.body.read(CHUNK):
                yield chunk
        except (OSError, HTTPException) as error:
            self.broken = error


def from_url(url: str) -> Origin:
    """Return the origin of an https, http or file URL."""

    def open_at(start: int, mark: str | None) -> Stream:
        headers = {"User-Agent": "mlops-cls"}
        if start and mark:
            headers |= {"Range": f"bytes={start}-", "If-Range": mark}
        # The config lets only https, http and file through.
        response = urlopen(Request(url, headers=headers), timeout=PATIENCE)  # noqa: S310
        went_on = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        first, length = start if went_on else 0, response.headers.get("Content-Length")
        size = first + int(length) if length else None
        return Stream(response, first, Version(_mark(response.headers), size))

    return open_at


def without_secrets(url: str) -> str:
    """Return the URL without password and query, which may hold a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _mark(headers: Message) -> str | None:
    """Return what If-Range takes: a strong ETag, else the time of the last change."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified")


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "reason", None) or error or type(error).__name__).split())
