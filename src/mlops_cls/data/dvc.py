"""Data under DVC: which .dvc file tracks a path, and fetching what it names from the remote.

DVC itself runs as a process of its own and is never imported: it is an extra, and brings a hundred packages.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import yaml

from mlops_cls.bucket import SETTINGS as BUCKET_SETTINGS
from mlops_cls.errors import DataError

SETTINGS = {"DVC_NO_ANALYTICS": "1", **BUCKET_SETTINGS}
POINT = "dvc remote modify storage url gs://BUCKET/FOLDER"


@dataclass(frozen=True, slots=True)
class Tracked:
    """The .dvc file that tracks a path or a folder above it, and the MD5 that DVC knows the content by."""

    file: Path
    md5: str

    def identity(self) -> dict[str, str]:
        """Return name and MD5 as plain values, for the provenance of a model."""
        return {"file": self.file.name, "md5": self.md5}


def tracked(path: Path) -> Tracked | None:
    """Return what tracks `path`: the nearest of ``a/b.dvc`` and ``a.dvc`` for ``a/b``; None if there is nothing."""
    for file in _candidates(path):
        if file.is_file():
            return Tracked(file, _md5(file))
    return None


def pull(path: Path) -> None:
    """Run ``dvc pull`` for `path` alone, though its .dvc file may track more.

    Raises:
        DataError: DVC is not installed, nothing tracks the path, or the remote cannot serve it.
    """
    found = tracked(path)
    if found is None:
        looked_for = ", ".join(os.path.relpath(file) for file in _candidates(path)[:2])
        raise DataError(
            f"data.source=dvc: no .dvc file tracks {path}; looked for {looked_for}. Make one: dvc add {path}"
        )
    if find_spec("dvc") is None:
        raise DataError('data.source=dvc needs DVC: pip install "mlops-cls[dvc]" (in a checkout: uv sync --extra dvc)')
    home = found.file.parent
    command = [sys.executable, "-m", "dvc", "pull", os.path.relpath(path.absolute(), home)]
    # On a terminal DVC's own progress bar is worth more than its last line.
    watched = sys.stderr.isatty()
    done = subprocess.run(
        command, cwd=home, env=SETTINGS | os.environ, text=True, check=False,
        stdout=None if watched else subprocess.DEVNULL, stderr=None if watched else subprocess.PIPE,
    )  # fmt: skip
    if done.returncode or not path.exists():
        raise DataError(_failure(path, found, done.stderr or ""))


def _failure(path: Path, found: Tracked, said: str) -> str:
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    reason = f" ({' '.join(errors[0].split())})" if errors else ""
    return (
        f"dvc pull brought no {path} from the remote of {found.file}{reason}. Is it the right remote "
        f"(dvc remote list; {POINT}), were the data pushed there (dvc push), may you read it?"
    )


def _candidates(path: Path) -> list[Path]:
    whole = path.absolute()
    return [step.with_name(f"{step.name}.dvc") for step in (whole, *whole.parents) if step.name]


def _md5(file: Path) -> str:
    try:
        return str(yaml.safe_load(file.read_text(encoding="utf-8"))["outs"][0]["md5"])
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError) as error:
        raise DataError(f"{file} is no .dvc file ({error}): make it again with dvc add") from error
