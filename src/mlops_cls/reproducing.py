"""Run a recorded run again, with its settings, on its data, and compare what comes of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mlops_cls.atomic import write_text
from mlops_cls.build import make_datamodule, read_start
from mlops_cls.choices import Device, LoggerName, Resume
from mlops_cls.compose import restore
from mlops_cls.config import Config
from mlops_cls.data.raw import root_of
from mlops_cls.errors import ArtifactError, ConfigError, DataError
from mlops_cls.models.weights import read_checkpoint
from mlops_cls.provenance import environment
from mlops_cls.reproduction import (
    HARDWARE,
    Change,
    Reproduction,
    changes,
    compare_scores,
    compare_weights,
    data_changes,
)
from mlops_cls.run import BEST, Run
from mlops_cls.runtime import Runtime, is_here
from mlops_cls.training import fit

FILE = "reproduction.json"
AGAIN = "_again"
ELSEWHERE = (
    "data.root=", "data.store=", "data.source=", "data.url=", "data.workers=", "model.weights=", "runtime.", "logger.",
    "run.",
)  # fmt: skip
"""What may be another here: where things lie, on what it is computed, and who hears of it."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a run: its provenance, and of a run folder its scores and best checkpoint."""

    name: str
    provenance: Mapping[str, Any]
    metrics: Mapping[str, float]
    checkpoint: Path | None
    parent: Path | None
    """Folder that the run folder lies in."""

    @classmethod
    def find(cls, given: str | Path) -> "Record":
        """Return the record of a run folder, or of a W&B run ``ENTITY/PROJECT/ID``.

        Raises:
            ArtifactError: there is none, or it was not kept by a run of ours.
        """
        path, parts = Path(given), str(given).split("/")
        if path.is_symlink():
            # `latest` will point to the new run by the time the two are compared.
            path = path.parent / path.readlink()
        if path.exists() or len(parts) != 3 or not all(parts) or Path(parts[0]).exists():
            run = Run.open(path)
            checkpoint = run.checkpoint if (path / BEST).is_file() else None
            parent = path.parent if path.name not in ("", "..") else path.resolve().parent
            record = cls(str(path), run.card.provenance, run.metrics, checkpoint, parent)
        else:
            from mlops_cls.tracking.reading import fetch_run

            record = cls(str(given), *fetch_run(str(given)), None, None)
        if "config" not in record.provenance:
            raise ArtifactError(f"{given} holds no config: it was not written by a run of mlops_cls")
        return record


@dataclass(frozen=True, slots=True)
class Repetition:
    """A recorded run and how it is run again here; `changes` and `notes` say what will not be the same."""

    record: Record
    config: Config
    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    @property
    def same_hardware(self) -> bool:
        return not any(change.what in HARDWARE for change in self.changes)

    def lines(self) -> Iterator[str]:
        """Yield what is different here, and what to bear in mind."""
        yield from (f"different: {change}" for change in self.changes)
        if not self.changes:
            yield "the same: all that is recorded of commit, versions, data and hardware"
        yield from (f"note: {note}" for note in self.notes)


def reproduce_run(
    run: Run | str | Path,
    *overrides: str,
    tolerance: float = 0.0,
    other_data: bool = False,
    trust_callbacks: bool = False,
) -> Reproduction:
    """Run a finished run again and compare; the new run's folder, beside the old one, gets reproduction.json.

    Args:
        run: a run, its folder, or a W&B run ``ENTITY/PROJECT/ID``.
        overrides: where things lie here, such as ``data.root=FOLDER``; relative paths count from the current folder.
        tolerance: largest difference of a score; with 0, weights on the same hardware must be the same too.
        other_data: go on if the data are not those of the run.
        trust_callbacks: import and call what the record names as `trainer.callbacks`.

    Raises:
        ArtifactError: there is no such run.
        ConfigError: an override would make it another run, or this version has not the settings of the run.
        DataError: the data are not there, or are not those of the run.
    """
    given = run.folder if isinstance(run, Run) else run
    repetition = examine(given, overrides, other_data=other_data, trust_callbacks=trust_callbacks)
    return repeat(repetition, tolerance=tolerance)


def examine(
    given: str | Path, overrides: Sequence[str] = (), *, other_data: bool = False, trust_callbacks: bool = False
) -> Repetition:
    """Find out what it takes to run a run again, and what is different here; raises as `reproduce_run` does."""
    record = Record.find(given)
    config = _config(record, overrides)
    if config.trainer.callbacks and not trust_callbacks:
        names = ", ".join(str(spec.get("_target_")) for spec in config.trainer.callbacks)
        raise ConfigError(
            f"{given} names code to be called, trainer.callbacks: {names}; if you trust whoever trained it, add "
            "--trust-callbacks"
        )
    around = environment() | {"runtime": Runtime.resolve(config.runtime).describe()}
    different = data_changes(record.provenance["data"], _identity(config))
    if different and not other_data:
        raise DataError(
            f"the data are not those of the run: {', '.join(map(str, different))}; data.root={root_of(config.data)}. "
            "Give data.root=FOLDER of the right ones, or go on with these: --other-data"
        )
    found = changes(record.provenance, around) + different
    return Repetition(record, config, found, tuple(_notes(record.provenance)))


def repeat(repetition: Repetition, *, tolerance: float = 0.0) -> Reproduction:
    """Run again, compare, and write the comparison into the new run folder; raises as `fit` does."""
    record = repetition.record
    with _threads(record.provenance["runtime"]["threads"]):
        run = fit(repetition.config)
    weights = None
    if record.checkpoint is not None and repetition.same_hardware:
        before, after = (read_checkpoint(path)["state_dict"] for path in (record.checkpoint, run.checkpoint))
        weights = compare_weights(before, after)
    scores = compare_scores(record.metrics, run.metrics) if record.metrics else ()
    compared = Reproduction(
        record.name, str(run.folder), repetition.notes, repetition.changes, scores, weights, tolerance
    )
    write_text(run.folder / FILE, json.dumps(compared.describe(), indent=2) + "\n")
    return compared


def _config(record: Record, overrides: Sequence[str]) -> Config:
    """Return the config of the run with its runtime, in a new folder, tracked nowhere and not profiled."""
    for override in overrides:
        if not override.startswith(ELSEWHERE):
            allowed = ", ".join(f"{key}VALUE" if key.endswith("=") else f"{key}KEY=VALUE" for key in ELSEWHERE)
            raise ConfigError(f"{override}: that would be another run; what may be changed is {allowed}")
    values = record.provenance["config"]
    name = values["run"]["name"].removesuffix(AGAIN) + AGAIN
    place = {"name": name} if record.parent is None else {"name": name, "folder": str(record.parent)}
    again = {
        **values,
        "runtime": _runtime(record.provenance["runtime"], values["data"]["batch_size"]),
        "trainer": {**values["trainer"], "profile": False},
        "logger": {"name": LoggerName.none.value},
        "run": {**values["run"], "resume": Resume.never.value, "accept_changes": None, **place},
    }
    try:
        restore(again, ())
    except ConfigError as error:
        commit = (record.provenance["git"] or {}).get("commit")
        raise ConfigError(
            f"this version of mlops_cls does not take the settings of {record.name}; check out "
            f"{f'its commit {commit}' if commit else 'the version it was trained with'} ({error})"
        ) from error
    return restore(again, overrides)


def _runtime(recorded: Mapping[str, Any], batch_size: int) -> dict[str, Any]:
    """Return what was chosen then, so that nothing is measured now; another device only where that one is not here."""
    device = Device(recorded["device"])
    kept = {key: recorded[key] for key in ("precision", "channels_last", "compile")}
    at_once = None if recorded["batch_size"] == batch_size else recorded["batch_size"]
    return {"device": (device if is_here(device) else Device.auto).value, "batch_size": at_once, **kept}


def _identity(config: Config) -> dict[str, Any]:
    """Return the identity of the data as they are now, prepared for this run if need be."""
    try:
        data = make_datamodule(config, read_start(config.model).wanted)
        data.prepare_data()
    except DataError as error:
        raise DataError(
            f"the data of the run cannot be had, data={config.data.name} data.root={root_of(config.data)}: {error}. "
            "Relative paths count from the folder you are in: start where the run was started, or give data.root=FOLDER"
        ) from error
    return data.manifest.identity()


def _notes(provenance: Mapping[str, Any]) -> Iterator[str]:
    config, git = provenance["config"], provenance["git"]
    if git is None:
        yield "the run was started outside of a git repository; no commit is recorded"
    elif git["dirty"]:
        yield "the run was started from files with uncommitted changes; what they were is not recorded"
    if budget := config["trainer"].get("budget"):
        yield (
            f"trainer.budget={budget} is kept by the clock: the number of steps will be another, and so will scores "
            "and weights"
        )
    if changed := [key for session in provenance.get("resumed", ()) for key in session["changes"]]:
        yield f"the run was continued with another {', '.join(changed)}; now it has that from the beginning"
    if weights := config["model"].get("weights"):
        yield f"model.weights={weights} is taken as it is now; its content is not recorded"


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Compute with so many threads: among how many a sum is divided shows in its last digit."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
