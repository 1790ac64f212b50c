"""Cross-validation: a run for each fold, and what their test scores say together."""

import csv
import json
import logging
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scipy.stats import t as student_t

from mlops_cls.config import Config
from mlops_cls.console import say_to
from mlops_cls.errors import ConfigError
from mlops_cls.run import LOG, PREDICTIONS, Run, new_folds_folder
from mlops_cls.training import fit

SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "loss")
FOLDS = "folds.json"
LEVEL = 0.95

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """The runs of at least two of `folds` folds, in the order of the folds, and their test scores together.

    Every dictionary has the keys accuracy, balanced_accuracy, macro_f1 and loss. `folder` holds folds.json and the
    predictions of all runs in one predictions.csv.
    """

    folder: Path
    folds: int
    runs: tuple[Run, ...]

    @property
    def missing(self) -> list[int]:
        """The folds without a run; unless it is empty, some pictures were never tested."""
        return sorted(set(range(1, self.folds + 1)) - {fold_of(run) for run in self.runs})

    @property
    def scores(self) -> dict[str, list[float]]:
        """The test scores, one for each run."""
        return {name: [run.metrics[f"test/{name}"] for run in self.runs] for name in SCORES}

    @property
    def mean(self) -> dict[str, float]:
        return {name: fmean(values) for name, values in self.scores.items()}

    @property
    def std(self) -> dict[str, float]:
        """Standard deviation over the runs, as of a sample: divided by n - 1."""
        return {name: stdev(values) for name, values in self.scores.items()}

    @property
    def interval(self) -> dict[str, tuple[float, float]]:
        """95 % interval of the mean, ``mean ± t * std / sqrt(n)`` with Student's t of n - 1 degrees of freedom.

        It takes the scores as independent. Folds share training pictures, so they are not and the interval is too
        narrow; no unbiased estimate of that variance exists: Bengio and Grandvalet 2004, JMLR 5, 1089-1105.
        """
        number = len(self.runs)
        reach = float(student_t.ppf((1 + LEVEL) / 2, number - 1)) / math.sqrt(number)
        mean, std = self.mean, self.std
        return {name: (mean[name] - reach * std[name], mean[name] + reach * std[name]) for name in SCORES}


def cross_validate(config: Config, folds: int = 5) -> CrossValidation:
    """Fit once for each fold as the test split, and write what the runs say together beside their folders.

    Raises:
        ConfigError: as `fit`, or the config names a fold itself.
        DataError: as `fit`, or a class has too few pictures or groups for so many folds.
        ArtifactError: as `fit`.
    """
    if config.data.fold is not None:
        raise ConfigError(f"data.fold={config.data.fold} would not be used: cross_validate tests on every fold in turn")
    # At least one, so that an impossible number of folds is refused by the config itself.
    numbers = range(1, max(folds, 1) + 1)
    configs = [replace(config, data=replace(config.data, fold=number, folds=folds)) for number in numbers]
    return combine([fit(one) for one in configs])


def conclude_folds(runs: Sequence[Run]) -> list[CrossValidation]:
    """Combine the runs that differ in nothing but the fold; runs without folds, and a fold alone, stand for themselves.

    Raises:
        ArtifactError: the folder of the runs cannot be written.
    """
    alike: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        config = run.card.provenance["config"]
        if config["data"]["folds"] is not None:
            rest = config | {"data": config["data"] | {"fold": None}}
            alike[json.dumps(rest, sort_keys=True)].append(run)
    return [combine(group) for group in alike.values() if len({fold_of(run) for run in group}) > 1]


def combine(runs: Sequence[Run]) -> CrossValidation:
    """Say and write what runs on at least two folds of one division say together; the later of two runs counts.

    Raises:
        ArtifactError: the folder of the runs cannot be written.
    """
    by_fold = {fold_of(run): run for run in runs}
    config = runs[0].card.provenance["config"]
    folder = new_folds_folder(runs[0].folder.parent, config["run"]["name"])
    together = CrossValidation(folder, config["data"]["folds"], tuple(by_fold[fold] for fold in sorted(by_fold)))
    (folder / FOLDS).write_text(json.dumps(_summary(together), indent=2) + "\n")
    _pool_predictions(together)
    with say_to(folder / LOG):
        _say(together)
    return together


def fold_of(run: Run) -> int:
    """Return which fold a run of a cross-validation was tested on, from 1."""
    return int(run.card.provenance["config"]["data"]["fold"])


def _summary(together: CrossValidation) -> dict[str, Any]:
    return {
        "folds": together.folds,
        "complete": not together.missing,
        "missing": together.missing,
        "runs": {fold_of(run): run.folder.name for run in together.runs},
        "scores": together.scores,
        "mean": together.mean,
        "std": together.std,
        "interval_95": together.interval,
    }


def _pool_predictions(together: CrossValidation) -> None:
    with (together.folder / PREDICTIONS).open("w", newline="", encoding="utf-8") as pooled:
        writer = csv.writer(pooled)
        for number, run in enumerate(together.runs):
            with (run.folder / PREDICTIONS).open(newline="", encoding="utf-8") as file:
                header, *rows = csv.reader(file)
            writer.writerows(rows if number else [header, *rows])


def _say(together: CrossValidation) -> None:
    for line in _table(together):
        log.info("%s", line)
    if together.missing:
        missing = ", ".join(map(str, together.missing))
        log.warning("incomplete: of %d folds, %s are missing and were not tested on", together.folds, missing)
    log.info("the interval is too narrow: it takes folds as independent, and they share training pictures")
    log.info("folds %s", together.folder)


def _table(together: CrossValidation) -> Iterator[str]:
    yield _line("fold", [name.replace("_", " ") for name in SCORES])
    for number, run in enumerate(together.runs):
        yield _line(str(fold_of(run)), [together.scores[name][number] for name in SCORES])
    low, high = ({name: ends[side] for name, ends in together.interval.items()} for side in (0, 1))
    for title, values in {"mean": together.mean, "std": together.std, "95 % from": low, "95 % to": high}.items():
        yield _line(title, [values[name] for name in SCORES])


def _line(title: str, cells: Sequence[str | float]) -> str:
    texts = [cell if isinstance(cell, str) else f"{cell:.4f}" for cell in cells]
    widths = [max(len(name), len("0.1234")) for name in SCORES]
    return "  ".join([f"{title:<9}", *(f"{text:>{width}}" for text, width in zip(texts, widths, strict=True))])
