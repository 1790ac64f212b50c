"""A sweep from its file to its report."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_cls.build import make_datamodule, read_start
from mlops_cls.config import Config
from mlops_cls.console import say_to
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.search.definition import Definition, find_file, read
from mlops_cls.search.engine import Engine
from mlops_cls.search.examine import examine, other_monitor, unheard
from mlops_cls.search.plots import draw_history, draw_importance, draw_parallel
from mlops_cls.search.report import TABLE, say, write_table
from mlops_cls.search.study import Row, Sweep

log = logging.getLogger(__name__)
LOG = "sweep.log"
FEWEST = 5  # trials that say something about settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What the command line of a sweep says; `count` is of all trials, those of earlier calls included."""

    file: str
    overrides: Sequence[str] = ()
    count: int | None = None
    jobs: int = 1
    folder: Path = Path("sweeps")
    name: str | None = None
    storage: str | None = None
    seed: int = 0
    check: bool = False
    changed: bool = False
    retry_failed: bool = False


def check(plan: Plan) -> str:
    """Return what the sweep would do.

    Raises:
        ConfigError: naming everything that is wrong with it.
    """
    definition = read(find_file(plan.file), plan.overrides, plan.name)
    configs = examine(definition)
    said = [f"note: {note}" for note in (*other_monitor(definition, configs), *unheard(configs))]
    return "\n".join([*said, f"{plan.file} is sound: {_headline(definition)}"])


def run(plan: Plan) -> bool:
    """Run what is left of the sweep, write table and pictures, and return whether all of it is done.

    Raises:
        ConfigError: something is wrong with the file, or another sweep was begun under this name; nothing was written.
        DataError: the data set is missing or bad.
        ArtifactError: the folder cannot be written.
    """
    definition = read(find_file(plan.file), plan.overrides, plan.name)
    limit = limit_of(definition, plan.count)
    configs = examine(definition)
    _prepare(configs[0])
    folder = _make_folder(plan.folder / definition.name)
    sweep = Sweep(definition, folder, url=plan.storage, seed=plan.seed, limit=limit, changed=plan.changed)
    if plan.retry_failed:
        sweep.retry_failed()
    with say_to(folder / LOG):
        headline = f"{_headline(definition)}; {limit} trials, {plan.jobs} at a time, in {folder}"
        log.info("sweep %s: %s", definition.name, headline)
        for remark in other_monitor(definition, configs):
            log.info("note: %s", remark)
        done = Engine(sweep, folder, plan.jobs).run()
        conclude(definition, sweep, folder)
        if not done:
            log.info("interrupted; the same command goes on from here")
        return done


def _prepare(config: Config) -> None:
    """Prepare the data of the first trial, so that what is wrong with them ends the sweep and not each trial."""
    make_datamodule(config, read_start(config.model).wanted).prepare_data()


def conclude(definition: Definition, sweep: Sweep, folder: Path) -> None:
    """Write the table and the pictures, and say what was found."""
    rows = sweep.rows()
    write_table(folder / TABLE, rows, list(definition.parameters))
    say(definition, rows)
    log.info("table %s", folder / TABLE)
    pictures = _draw(definition, sweep, rows, folder)
    if pictures:
        log.info("plots %s", "  ".join(map(str, pictures)))


def _draw(definition: Definition, sweep: Sweep, rows: Sequence[Row], folder: Path) -> list[Path]:
    done = [row for row in rows if row.state == "done"]
    history, parallel, importance = (folder / f"{name}.png" for name in ("history", "parallel", "importance"))
    if not done:
        return []
    draw_history(history, rows, definition)
    if len(done) < FEWEST:
        log.info("pictures of the settings need %d trials that came to their end", FEWEST)
        return [history]
    draw_parallel(parallel, rows, definition)
    draw_importance(importance, sweep.importances(), definition.metric.name)
    return [history, parallel, importance]


def _headline(definition: Definition) -> str:
    metric, points = definition.metric, definition.grid
    direction = "highest" if metric.maximize else "lowest"
    size = f" of {points} points" if points is not None else ""
    return f"{definition.method}{size} over {', '.join(definition.parameters)}, by {direction} {metric.name}"


def limit_of(definition: Definition, count: int | None) -> int:
    """Return the number of trials, of which `count` were asked for.

    Raises:
        ConfigError: there is no end to them.
    """
    limits = [limit for limit in (count, definition.run_cap, definition.grid) if limit is not None]
    if not limits:
        raise ConfigError(f"method {definition.method} has no end: give --count N, or run_cap in the file")
    return min(limits)


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be made ({error.strerror}): give --folder FOLDER") from error
    return folder
