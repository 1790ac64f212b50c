"""Whether the trials of a sweep would start, found out before the first one does."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any

from mlops_cls.build import check
from mlops_cls.choices import LoggerName, WandbMode
from mlops_cls.compose import load_config
from mlops_cls.config import Config
from mlops_cls.errors import ConfigError
from mlops_cls.search.definition import Definition

MOST_COMBINATIONS = 64
Values = dict[str, Any]


def examine(definition: Definition) -> list[Config]:
    """Return the configs of trials that together have every value, and the ends of every range.

    Raises:
        ConfigError: naming every setting that does not exist and every value that training would refuse.
    """
    examination = _Examination(definition)
    if "fixed" in examination.problems or not examination.attempt({}, "fixed"):
        raise ConfigError("\n".join(examination.problems.values()))
    start = examination.start()
    for values in _each_alone(definition, start):
        examination.attempt(values)
    if definition.method == "grid" and not examination.problems:
        for values in _combinations(definition):
            examination.attempt(values)
    if examination.problems:
        raise ConfigError("\n".join(dict.fromkeys(examination.problems.values())))
    _check_halving(definition, examination.configs)
    return examination.configs


def other_monitor(definition: Definition, configs: Sequence[Config]) -> Iterator[str]:
    """Say it where trials are compared by another score than that which picks their best epoch."""
    metric, monitor = definition.metric.name, f"val/{configs[0].trainer.monitor.value}"
    if metric.startswith("val/") and metric != monitor:
        yield (
            f"trials are compared by {metric}, each at its best epoch by {monitor}; to pick epochs by the same score: "
            f"trainer.monitor={metric.removeprefix('val/')}"
        )


def unheard(configs: Sequence[Config]) -> Iterator[str]:
    """Say it where W&B's server would not hear of the trials that its agents run."""
    logger = configs[0].logger
    if logger.name is LoggerName.none or logger.mode is WandbMode.offline:
        yield "`wandb agent` would run trials that W&B hears nothing of: the command switches W&B off"


class _Examination:
    """Composes trials, and keeps one problem per message."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.configs: list[Config] = []
        self.problems: dict[str, str] = {}

    def attempt(self, values: Values, what: str | None = None) -> bool:
        try:
            config = self._compose(values)
        except ConfigError as error:
            self.problems.setdefault(str(error), str(error) if what is None else f"command: {error}")
            return False
        self.configs.append(config)
        return True

    def start(self) -> Values:
        """Return a trial that composes, as far as there is one; what a setting refuses is found by the others."""
        values: Values = {}
        waiting = list(self.definition.parameters)
        # More than once: a setting may be allowed only beside the value of one that comes later.
        for _ in range(2):
            for name in list(waiting):
                found = [probe for probe in self._probes(name) if self._composes({**values, name: probe})]
                if found:
                    values[name] = found[0]
                    waiting.remove(name)
        return values

    def _probes(self, name: str) -> Sequence[Any]:
        return self.definition.parameters[name].probes

    def _composes(self, values: Values) -> bool:
        try:
            self._compose(values)
        except ConfigError:
            return False
        return True

    def _compose(self, values: Values) -> Config:
        definition = self.definition
        config = load_config(*definition.overrides(values), config_dir=definition.command.config_dir)
        check(config)
        return config


def _each_alone(definition: Definition, start: Values) -> Iterator[Values]:
    for name, parameter in definition.parameters.items():
        for probe in parameter.probes:
            yield {**start, name: probe}


def _combinations(definition: Definition) -> Iterator[Values]:
    points: Mapping[str, Sequence[Any]] = {name: p.points or () for name, p in definition.parameters.items()}
    for values in islice(product(*points.values()), MOST_COMBINATIONS):
        yield dict(zip(points, values, strict=True))


def _check_halving(definition: Definition, configs: Sequence[Config]) -> None:
    longest = max(config.trainer.max_epochs for config in configs)
    budget = any(config.trainer.budget for config in configs)
    if definition.halving is not None and not budget and definition.halving.min_iter >= longest:
        raise ConfigError(
            f"early_terminate would not be used: its first {definition.halving.min_iter} epochs are the whole run "
            f"(trainer.max_epochs={longest})"
        )
