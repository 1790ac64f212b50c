"""What a job runs: trainings, agents of a sweep, or agents of W&B's; each checked as it would check itself."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_cls.build import check
from mlops_cls.choices import LoggerName
from mlops_cls.compose import combinations, load_config
from mlops_cls.config import Config
from mlops_cls.errors import ConfigError
from mlops_cls.scheduling.fits import misfits, remarks
from mlops_cls.scheduling.script import Task

OFFLINE = "logger.mode=offline"
SWEEP_ID = re.compile(r"([\w.-]+/){0,2}[\w-]+", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What is to run, as typed; `overrides` are those of `train`, or of all trials of `sweep`."""

    overrides: Sequence[str] = ()
    multirun: bool = False
    config_dir: str | None = None
    sweep: str | None = None
    wandb_agent: str | None = None
    agents: int | None = None
    count: int | None = None
    offline: bool = False
    stage: bool = False
    gpus: int = 1
    nodes: int = 1


@dataclass(frozen=True, slots=True)
class Work:
    """The tasks of a job; `number` equal ones where there is but one.

    `names` are those of the runs or of the sweep, and `offline` where their runs lie that are to be sent to W&B later.
    """

    tasks: list[Task]
    number: int
    names: list[str]
    remarks: list[str]
    offline: list[str]


def make_work(wishes: Wishes, python: str) -> Work:
    """Return what is to run, after all that can be known beforehand was checked.

    Raises:
        ConfigError: naming everything that is wrong.
    """
    _check_options(wishes)
    if wishes.wandb_agent is not None:
        return _wandb_agents(wishes, python)
    if wishes.sweep is not None:
        return _sweep_agents(wishes, python)
    return _trainings(wishes, python)


def _check_options(wishes: Wishes) -> None:
    """Refuse what would not be used."""
    sweeping = wishes.sweep is not None or wishes.wandb_agent is not None
    for_training = {"-m": wishes.multirun, "--config-dir": wishes.config_dir, "--stage": wishes.stage}
    for_sweeps = {"--agents": wishes.agents, "--count": wishes.count}
    for option, value in (for_training if sweeping else for_sweeps).items():
        if value:
            place = "a run of train" if sweeping else "--sweep or --wandb-agent"
            raise ConfigError(f"{option} would not be used: it belongs to {place}")
    if sweeping and wishes.nodes > 1:
        raise ConfigError(f"--nodes {wishes.nodes}: a sweep takes more machines by --agents {wishes.nodes}")
    if wishes.stage and wishes.nodes > 1:
        raise ConfigError("--stage is for one machine: leave it out, or --nodes")
    if wishes.sweep is not None and wishes.wandb_agent is not None:
        raise ConfigError("--sweep and --wandb-agent exclude each other")


def _trainings(wishes: Wishes, python: str) -> Work:
    runs = combinations(wishes.overrides) if wishes.multirun else [list(wishes.overrides)]
    runs = [[*run, OFFLINE] if wishes.offline else run for run in runs]
    problems: list[str] = []
    configs: list[Config] = []
    for run in runs:
        try:
            config = load_config(*run, config_dir=wishes.config_dir)
            check(config)
            problems += misfits(config, wishes.gpus, wishes.nodes)
            configs.append(config)
        except ConfigError as error:
            problems.append(str(error))
    _raise(problems)
    own = ["--config-dir", wishes.config_dir] if wishes.config_dir else []
    tasks = [
        Task((python, "-m", "mlops_cls.train", *own, *run), _prepared(config) if wishes.stage else None)
        for run, config in zip(runs, configs, strict=True)
    ]
    return _work(tasks, len(tasks), [config.run.name for config in configs], configs, wishes)


def _prepared(config: Config) -> str:
    """Return the pattern, as bash reads it, of the prepared data that a run may use."""
    return f"{shlex.quote(str(Path(config.data.store) / config.data.name))}-*"


def _sweep_agents(wishes: Wishes, python: str) -> Work:
    from mlops_cls.search.definition import find_file, read
    from mlops_cls.search.driver import limit_of
    from mlops_cls.search.examine import examine

    assert wishes.sweep is not None
    overrides = [*wishes.overrides, OFFLINE] if wishes.offline else [*wishes.overrides]
    definition = read(find_file(wishes.sweep), overrides)
    limit_of(definition, wishes.count)
    configs = examine(definition)
    _raise([line for config in configs for line in misfits(config, min(wishes.gpus, 1), 1)])
    words = [python, "-m", "mlops_cls.sweep", wishes.sweep, *_count(wishes)]
    words += ["--jobs", str(wishes.gpus)] if wishes.gpus > 1 else []
    return _work([Task((*words, *overrides))], wishes.agents or 1, [definition.name], configs, wishes)


def _wandb_agents(wishes: Wishes, python: str) -> Work:
    assert wishes.wandb_agent is not None
    if not SWEEP_ID.fullmatch(wishes.wandb_agent):
        raise ConfigError(f"--wandb-agent {wishes.wandb_agent} is not what wandb sweep prints: ENTITY/PROJECT/ID")
    if wishes.overrides:
        raise ConfigError(f"{' '.join(wishes.overrides)} would not be used: W&B's agent takes all from its sweep file")
    if wishes.offline:
        raise ConfigError("--offline leaves W&B's agent without its server: use --sweep FILE, which needs none")
    words = (python, "-m", "wandb", "agent", *_count(wishes), wishes.wandb_agent)
    return Work([Task(words)], wishes.agents or 1, [wishes.wandb_agent.rpartition("/")[2]], [], [])


def _count(wishes: Wishes) -> list[str]:
    return [] if wishes.count is None else ["--count", str(wishes.count)]


def _work(tasks: list[Task], number: int, names: list[str], configs: Sequence[Config], wishes: Wishes) -> Work:
    if wishes.offline and not all(config.logger.name is LoggerName.wandb for config in configs):
        raise ConfigError("--offline would not be used: the run does not report to W&B")
    told = _unique(remark for config in configs for remark in remarks(config))
    return Work(tasks, number, names, told, _unique(config.run.folder for config in configs) if wishes.offline else [])


def _raise(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigError("\n".join(_unique(problems)))


def _unique(words: Sequence[str] | Iterator[str]) -> list[str]:
    return list(dict.fromkeys(words))
