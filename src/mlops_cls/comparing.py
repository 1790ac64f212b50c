"""Several runs beside one another: their test scores, what they took, which settings differ, and which is better."""

import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mlops_cls.card import ModelCard
from mlops_cls.errors import ArtifactError, MlopsError, first_few
from mlops_cls.evaluation.answers import Answers
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.evaluation.paired import align, differences
from mlops_cls.evaluation.resampling import Resampling
from mlops_cls.models.networks import make_network
from mlops_cls.report.comparison import SCORES, Compared, Comparison
from mlops_cls.report.text import read_rows
from mlops_cls.run import CONFIG, EVALUATION, METRICS, TABLE, Run

# Where a run lies and who hears of it changes no score.
UNTOLD = ("run.", "logger.", "data.store")


def find_runs(given: Iterable[str]) -> tuple[list[Run], dict[str, str]]:
    """Return the finished runs that are meant, each once, and why other folders were left out.

    Args:
        given: run folders, folders of run folders, and patterns of either, such as ``runs/*resnet*``.

    Raises:
        ArtifactError: one of them means no run.
    """
    runs: dict[Path, Run] = {}
    skipped: dict[str, str] = {}
    for word in given:
        folders = list(_folders(word))
        if not folders:
            raise ArtifactError(f"{word} is no run and holds none: give run folders, a folder of them, or a pattern")
        for folder in folders:
            try:
                runs.setdefault(folder.resolve(), _open(folder))
            except ArtifactError as error:
                skipped[str(folder)] = str(error)
    return list(runs.values()), skipped


def compare_runs(*given: str | Path, best: bool = False) -> Comparison:
    """Return finished runs side by side; see `find_runs` and `compare`."""
    return compare(*find_runs(map(str, given)), best=best)


def compare(runs: Sequence[Run], skipped: Mapping[str, str], *, best: bool = False) -> Comparison:
    """Return the runs side by side, compared in pairs with the first one or the most accurate one on test.

    Raises:
        ArtifactError: there is no run, or the one to compare with has no saved outputs.
    """
    if not runs:
        reasons = [f"{folder} ({reason})" for folder, reason in skipped.items()]
        raise ArtifactError(f"none of these runs can be compared: {first_few(reasons)}")
    against = max(runs, key=_accuracy) if best else runs[0]
    outputs = Outputs.load(against.outputs("test"))
    rows = [_row(run, *_differences(run, against, outputs)) for run in sorted(runs, key=_accuracy, reverse=True)]
    return Comparison(tuple(rows), str(against.folder), skipped)


def _open(folder: Path) -> Run:
    if not (folder / METRICS).is_file():
        raise ArtifactError("not finished")
    if not (folder / EVALUATION).is_file():
        raise ArtifactError(f"has no {EVALUATION}, by which runs are compared")
    return Run.open(folder)


def _folders(word: str) -> Iterator[Path]:
    """Yield the run folders that a word means; in a folder of runs its links are other names for what is there."""
    for path in [Path(word)] if Path(word).exists() else map(Path, sorted(glob.glob(word))):  # noqa: PTH207 (a pattern may be absolute)
        if _is_run(path):
            yield path
        elif path.is_dir():
            yield from (entry for entry in sorted(path.iterdir()) if _is_run(entry) and not entry.is_symlink())


def _is_run(path: Path) -> bool:
    return (path / CONFIG).is_file()


def _accuracy(run: Run) -> float:
    return run.metrics["test/accuracy"]


def _differences(run: Run, against: Run, outputs: Outputs) -> tuple[list[dict[str, Any]], str]:
    """Return the paired differences to the other run, or why there are none."""
    if run.folder == against.folder:
        return [], ""
    try:
        own = align(outputs, Outputs.load(run.outputs("test")), str(run.folder))
    except MlopsError as error:
        return [], str(error)
    resampling = Resampling.draw(len(outputs.labels), outputs.groups, repeats=1)
    ours, theirs = (
        Answers.of(found, whose.card.calibration.temperature) for found, whose in ((own, run), (outputs, against))
    )
    return [found.to_dict() for found in differences(ours, theirs, resampling)], ""


def _row(run: Run, found: Sequence[Mapping[str, Any]], refused: str) -> Compared:
    evaluation, table = run.evaluation, read_rows(run.folder / TABLE)
    seconds = [float(row["seconds"]) for row in table if row.get("seconds")]
    return Compared(
        folder=str(run.folder),
        name=run.folder.name,
        network=run.card.architecture.name,
        parameters=_parameters(run.card),
        epochs=len(table),
        best=int(run.metrics["epoch"]) + 1,
        seconds=sum(seconds) if seconds else None,
        pictures=evaluation["pictures"],
        settings=_flat(run.card.provenance.get("config", {})),
        scores={name: evaluation["scores"][name] for name in SCORES},
        differences=found,
        refused=refused,
    )


def _parameters(card: ModelCard) -> int:
    """Return how many numbers the network learns, without room for any of them."""
    with torch.device("meta"):
        network = make_network(card.architecture, num_classes=card.num_classes, channels=card.preprocess.channels)
    return sum(weight.numel() for weight in network.parameters())


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by their dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{name}.")
        elif not name.startswith(UNTOLD):
            flat[name] = value
    return flat
