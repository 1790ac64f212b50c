"""Which run a command continues: the newest unfinished one of the same name, settings and data, or what it is told."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import yaml
from filelock import FileLock

from mlops_cls.card import ModelCard
from mlops_cls.choices import Resume
from mlops_cls.config import Config
from mlops_cls.config.run import RunConfig
from mlops_cls.data.raw import without_signature
from mlops_cls.errors import ArtifactError, ConfigError, first_few
from mlops_cls.processes import first, first_goes_ahead, on_first
from mlops_cls.run import BEST, CARD, CONFIG, METRICS, keep_settings, lock_run, new_run_folder, point_latest

FREE = (
    "trainer.strategy",
    "trainer.devices",
    "run.",
    "logger.",
    "data.store",
    "data.workers",
    "trainer.save_every",
    "trainer.profile",
)
"""Settings that may differ: they change nothing of what is trained."""
FIXED = ("model.", "optim.", "data.batch_size", "trainer.accumulate", "trainer.ema", "trainer.budget")
"""Settings that the state of optimiser, schedule and average belongs to."""
LONGER = "trainer.max_epochs"

log = logging.getLogger(__name__)
Changes = dict[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run as it lies in its folder, and what is asked for now in its place."""

    folder: Path
    finished: bool
    changes: Changes
    """Settings that differ: before and now."""

    @property
    def card(self) -> ModelCard | None:
        """The card, which is written when training begins."""
        path = self.folder / CARD
        return ModelCard.from_dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    @property
    def continues(self) -> bool:
        """Whether the same command continues it."""
        return not self.finished and not self.changes

    @property
    def to_be_longer(self) -> bool:
        """Whether it is asked for more epochs and nothing else."""
        before, now = self.changes.get(LONGER, (0, 0))
        return self.changes.keys() == {LONGER} and now > before


@dataclass(frozen=True, slots=True)
class Opened:
    """The folder of the run that trains now, and where it goes on the card and the changed settings of before."""

    folder: Path
    goes_on: bool = False
    card: ModelCard | None = None
    changes: Changes = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return plain values, for another process."""
        return asdict(self) | {"folder": str(self.folder), "card": self.card and self.card.to_dict()}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        """Return what `plain` has told."""
        card = values["card"] and ModelCard.from_dict(values["card"])
        return cls(Path(values["folder"]), values["goes_on"], card, values["changes"])


def settings_of(config: Config) -> dict[str, Any]:
    """Return the settings as plain values, without what is secret in them."""
    public = replace(config, data=without_signature(config.data))
    settings: dict[str, Any] = json.loads(json.dumps(asdict(public)))
    return settings


@contextmanager
def run_to_continue(config: Config) -> Iterator[tuple[Earlier, FileLock] | None]:
    """Give the run that the config continues, locked for as long as this context, or None for a new one.

    Of several processes the first one's alone is told, for `open_run`.

    Raises:
        ConfigError: run.resume=must, and there is none, or it is finished, or other settings have changed.
        ArtifactError: run.resume=must, and another process is training it.
    """
    find = {Resume.never: _none, Resume.auto: _same, Resume.must: _told}[config.run.resume]
    with first_goes_ahead():
        found = find(config) if first() else None
    try:
        yield found
    finally:
        if found is not None:
            found[1].release()


@contextmanager
def open_run(config: Config, found: tuple[Earlier, FileLock] | None, data: Mapping[str, Any]) -> Iterator[Opened]:
    """Give the folder to train in, an earlier run's or a new one; `data` is the identity of the prepared data set.

    Raises:
        ArtifactError: the folder cannot be written, or run.resume=must and the data have changed.
    """
    with ExitStack() as held:

        def open_it() -> dict[str, Any]:
            opened = _open(config, None if found is None else found[0], data, held)
            point_latest(opened.folder)
            return opened.plain()

        yield Opened.from_plain(on_first(open_it))


def _open(config: Config, earlier: Earlier | None, data: Mapping[str, Any], held: ExitStack) -> Opened:
    card = None if earlier is None else earlier.card
    if earlier is None or _other_data(config.run, earlier.folder, card, data):
        folder, lock = new_run_folder(config.run, settings_of(config))
        held.callback(lock.release)
        return Opened(folder)
    # From now on it is unfinished, and the same command continues it.
    (earlier.folder / METRICS).unlink(missing_ok=True)
    keep_settings(earlier.folder, settings_of(config))
    return Opened(earlier.folder, True, card, earlier.changes)


def _none(_: Config) -> None:
    return None


def _same(config: Config) -> tuple[Earlier, FileLock] | None:
    for earlier in _earlier_runs(config):
        lock = lock_run(earlier.folder) if earlier.continues else None
        if lock is not None:
            return earlier, lock
    return None


def _told(config: Config) -> tuple[Earlier, FileLock]:
    runs = _earlier_runs(config)
    if not runs:
        raise ConfigError(f"run.resume=must: {config.run.folder} has no run of run.name={config.run.name}")
    earlier = min(runs, key=lambda run: (not run.continues, len(run.changes)))
    if earlier.finished and LONGER not in earlier.changes:
        raise ConfigError(
            f"run.resume=must: {earlier.folder} is finished; for more epochs give {LONGER}=NUMBER, for a run like it "
            "run.resume=never"
        )
    if not (earlier.continues or earlier.to_be_longer):
        _refuse(earlier, told=config.run.accept_changes is True)
    lock = lock_run(earlier.folder)
    if lock is None:
        raise ArtifactError(f"run.resume=must: another process is training in {earlier.folder}: wait, or end it")
    return earlier, lock


def _refuse(earlier: Earlier, *, told: bool) -> None:
    """Raise the error that lists what has changed, unless it may change and that was told."""
    fixed = {key: pair for key, pair in earlier.changes.items() if key.startswith(FIXED)}
    if fixed:
        raise ConfigError(
            f"run.resume=must: {earlier.folder} cannot go on with {_listed(fixed)}; to begin anew with its weights: "
            f"run.resume=never model.weights={earlier.folder / BEST}"
        )
    if earlier.changes and not told:
        raise ConfigError(
            f"run.resume=must: {earlier.folder} has other settings: {_listed(earlier.changes)}; to continue it all the "
            "same add run.accept_changes=true, to begin anew run.resume=never"
        )


def _earlier_runs(config: Config) -> list[Earlier]:
    """Return the runs of the same name, the newest first; with run.resume=auto unfinished ones only."""
    asked = settings_of(config)
    found = []
    for path in sorted(Path(config.run.folder).glob(f"*_{config.run.name}*/{CONFIG}"), reverse=True):
        finished = (path.parent / METRICS).exists()
        if path.parent.is_symlink() or (finished and config.run.resume is Resume.auto):
            continue
        kept = _read(path)
        if kept.get("run", {}).get("name") == config.run.name:
            found.append(Earlier(path.parent, finished, _changes(kept, asked)))
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Changes:
    old, new = _flat(before), _flat(now)
    keys = [key for key in {**old, **new} if not key.startswith(FREE)]
    return {key: (old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat


def _other_data(config: RunConfig, folder: Path, card: ModelCard | None, data: Mapping[str, Any]) -> bool:
    """Tell whether the run to continue was trained on other data; with run.resume=must that is refused."""
    kept = data if card is None else card.provenance["data"]
    if kept.get("content") == data["content"] or config.accept_changes:
        return False
    if config.resume is Resume.must:
        raise ArtifactError(
            f"run.resume=must: the data have changed since {folder} began: to continue it all the same add "
            "run.accept_changes=true, to begin anew run.resume=never"
        )
    log.warning("%s is unfinished, but the data have changed since: this is a new run", folder)
    return True


def _listed(changes: Changes) -> str:
    return first_few([f"{key} {before} -> {now}" for key, (before, now) in changes.items()])
