"""A run's folder: what lies where, how it is made, and how it is opened again."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from mlops_cls.atomic import write_text
from mlops_cls.card import ModelCard
from mlops_cls.config import RunConfig
from mlops_cls.errors import ArtifactError

BEST, LAST = "checkpoints/best.ckpt", "checkpoints/last.ckpt"
CARD, CONFIG, METRICS, TABLE, LOG = "card.json", "config.yaml", "metrics.json", "metrics.csv", "train.log"
PREDICTIONS, EVALUATION, PROFILE = "predictions.csv", "evaluation.json", "profile"
LATEST, LOCK = "latest", ".lock"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    `metrics` holds the final scores under the names that are logged, such as ``test/accuracy``.
    """

    folder: Path
    card: ModelCard
    metrics: dict[str, float]

    @property
    def checkpoint(self) -> Path:
        """The best checkpoint by validation."""
        return self.folder / BEST

    @property
    def evaluation(self) -> dict[str, Any]:
        """All that was measured on the test split, with intervals, as docs/evaluation.md describes it."""
        values: dict[str, Any] = json.loads((self.folder / EVALUATION).read_text(encoding="utf-8"))
        return values

    def outputs(self, split: str) -> Path:
        """Where the logits of val or test are kept; see `evaluation.outputs.Outputs`."""
        return self.folder / "outputs" / f"{split}.parquet"

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """Open the folder of a finished run.

        Raises:
            ArtifactError: no such folder, or its run did not finish.
        """
        path = Path(folder)
        if not (path / METRICS).is_file() or not (path / CARD).is_file():
            raise ArtifactError(f"{path} is no folder of a finished run: {CARD} and {METRICS} are expected in it")
        card = ModelCard.from_dict(json.loads((path / CARD).read_text(encoding="utf-8")))
        return cls(path, card, json.loads((path / METRICS).read_text(encoding="utf-8")))

    def plain(self) -> dict[str, Any]:
        """Return the run as plain values, for another process."""
        return {"folder": str(self.folder), "card": self.card.to_dict(), "metrics": self.metrics}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> "Run":
        """Return what `plain` has told."""
        return cls(Path(values["folder"]), ModelCard.from_dict(values["card"]), values["metrics"])


def find_checkpoint(path: str | Path) -> Path:
    """Return the checkpoint that `path` means: the file itself, or the best one of a run folder.

    Raises:
        ArtifactError: there is none; the message lists what was looked for.
    """
    given = Path(path)
    found = given / BEST if given.is_dir() else given
    if not found.is_file():
        raise ArtifactError(f"no checkpoint at {found}: give a run folder (such as runs/{LATEST}) or a .ckpt file")
    return found


def home_of(checkpoint: Path) -> Path:
    """Return the run folder of a checkpoint, or the folder of one that lies elsewhere."""
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent


def new_run_folder(config: RunConfig, settings: Mapping[str, Any]) -> tuple[Path, FileLock]:
    """Make ``<folder>/<time>_<name>`` with its settings, unlike any other, and return it locked.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    parent = Path(config.folder)
    with _writable(parent):
        parent.mkdir(parents=True, exist_ok=True)
        folder = _make_unique(parent, config.name)
        lock = lock_run(folder)
        assert lock is not None
        (folder / BEST).parent.mkdir()
        # Last, for by its settings a run is found again.
        keep_settings(folder, settings)
    return folder, lock


def keep_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings of a run, by which it is found again."""
    write_text(folder / CONFIG, yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True))


def lock_run(folder: Path) -> FileLock | None:
    """Keep other processes out of a run folder until the lock is released or this process ends; None if one is in."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    except NotImplementedError:
        log.info("%s: this file system has no locks, so take care that one process at a time trains there", folder)
    return lock


def new_folds_folder(parent: Path, name: str) -> Path:
    """Make ``<parent>/<time>_<name>_folds`` beside the runs of the folds; `latest` stays on a run.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    with _writable(parent):
        return _make_unique(parent, f"{name}_folds")


@contextmanager
def _writable(parent: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactError(f"{parent} cannot be written ({error.strerror}): set run.folder=FOLDER") from error


def _make_unique(parent: Path, name: str) -> Path:
    stem = f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{name}"
    for number in range(1, 1000):
        folder = parent / (stem if number == 1 else f"{stem}-{number}")
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise ArtifactError(f"{parent} is full of runs named {stem}")


def point_latest(folder: Path) -> None:
    """Let ``latest`` beside a run folder mean it; a reader at any moment finds the old run or the new one.

    Raises:
        ArtifactError: there is something of that name that is no link.
    """
    link, aside = folder.with_name(LATEST), folder.with_name(f".{LATEST}-{folder.name}")
    if link.exists() and not link.is_symlink():
        raise ArtifactError(f"{link} is not a link: move it away, runs keep a link of that name to the newest run")
    aside.unlink(missing_ok=True)
    try:
        aside.symlink_to(folder.name, target_is_directory=True)
    except OSError:
        if os.name != "nt":
            raise
        log.warning("no link %s was made: Windows allows links in its developer mode only", link)
        return
    if os.name == "nt":
        link.unlink(missing_ok=True)  # Windows puts nothing in the place of a folder, nor of a link to one.
    aside.replace(link)
