"""Where else archives lie: in a Google bucket, at Kaggle. Their clients are extras, loaded only when asked for."""

import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock

from mlops_cls.bucket import as_os_errors, open_buckets
from mlops_cls.data.disk import writable
from mlops_cls.data.fetch import Origin, Stream, Version
from mlops_cls.errors import DataError

LOG_IN = "log in with `kaggle auth login`, set KAGGLE_API_TOKEN, or save the token in ~/.kaggle/access_token"


def from_bucket(url: str) -> Origin:
    """Return the origin of an object ``gs://bucket/path``, with the credentials that Google's own tools would use.

    Raises:
        ConfigError: gcsfs is not installed.
    """
    files = open_buckets("data.source=gs")

    def open_at(start: int, mark: str | None) -> Stream:
        with as_os_errors():
            about = files.info(url)
            version = Version(str(about.get("etag") or about.get("generation") or about.get("mtime")), about["size"])
            body = files.open(url, "rb")
        first = start if mark == version.mark else 0
        body.seek(first)
        return Stream(body, first, version)

    return open_at


def fetch_from_kaggle(place: str, root: Path) -> Path:
    """Return the archive of a Kaggle data set or competition in `root`, downloaded first if it is not there.

    Args:
        place: ``datasets/OWNER/NAME`` or ``competitions/NAME``.
        root: the folder to keep it in; an unfinished download stays hidden in it and is gone on with.

    Raises:
        DataError: no client, no credentials, no such data set, or the disk is full or not writable.
    """
    kind, _, name = place.partition("/")
    path = root / f"{name.replace('/', '-')}.zip"
    if path.is_file():
        return path
    if find_spec("kaggle") is None:
        raise DataError('data.source=kaggle needs its client: pip install "mlops-cls[kaggle]"')
    with writable(root, "data.root"), FileLock(root / f".{path.name}.lock"):
        if not path.is_file():
            aside = root / f".{path.name}.partial"
            _download(kind, name, aside)
            _only_archive(aside, place).replace(path)
            shutil.rmtree(aside)
    return path


def _download(kind: str, name: str, aside: Path) -> None:
    # The official client as a process of its own: on import it logs in, and without credentials it ends the program.
    command = [sys.executable, "-m", "kaggle", kind, "download", name, "-p", str(aside)]
    watched = sys.stderr.isatty()
    # On a terminal its progress bar is worth more than its last word.
    pipe = None if watched else subprocess.PIPE
    done = subprocess.run(command, text=True, check=False, stdout=pipe, stderr=pipe)
    if done.returncode:
        said = [line for line in f"{done.stdout or ''}\n{done.stderr or ''}".splitlines() if line.strip()]
        reason = f" ({said[0].strip()})" if said else ""
        raise DataError(
            f"Kaggle gave no {name}{reason}: {LOG_IN}; for a competition, accept its rules on its page first. Or fetch "
            "the zip yourself and set data.source=local data.root=FILE.zip"
        )


def _only_archive(aside: Path, place: str) -> Path:
    # A competition comes in a folder of its own, under a name that Kaggle's redirection gives it.
    found = [path for path in aside.rglob("*") if path.is_file() and zipfile.is_zipfile(path)]
    if len(found) != 1:
        raise DataError(f"Kaggle's {place} came as {len(found)} zip archives, and one was expected: see {aside}")
    return found[0]
