"""A sweep file, read: https://docs.wandb.ai/models/sweeps/sweep-config-keys."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mlops_cls.compose import SWEEPS, config_folder
from mlops_cls.errors import ConfigError, did_you_mean, unknown_name
from mlops_cls.search.command import Command, read_command
from mlops_cls.search.space import Parameter, make_parameter

METHODS = ("grid", "random", "bayes")
SCORES = ("loss", "accuracy", "balanced_accuracy", "macro_f1")
METRICS = tuple(f"{split}/{score}" for split in ("train", "val") for score in SCORES)
# What W&B alone reads is allowed, so that one file serves both.
WANDB_ONLY = ("project", "entity", "description", "controller", "image_uri", "job", "settings")
KEYS = ("name", "program", "command", "method", "metric", "parameters", "early_terminate", "run_cap", *WANDB_ONLY)
RUN_PLACE = ("run.folder", "run.name")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Metric:
    """The score that trials are compared by; no more are started once it has reached `target`."""

    name: str
    maximize: bool
    target: float | None = None

    def reached(self, value: float) -> bool:
        """Whether `value` is as good as the target."""
        return self.target is not None and (value >= self.target if self.maximize else value <= self.target)


@dataclass(frozen=True, slots=True)
class Halving:
    """After `min_iter` epochs, and each time `eta` times as many, only the best of `eta` trials go on."""

    min_iter: int
    eta: int


@dataclass(frozen=True, slots=True)
class Definition:
    """What a sweep file asks for; `given` is the part of it that makes one sweep another."""

    name: str
    method: str
    metric: Metric
    parameters: Mapping[str, Parameter]
    nested: frozenset[str]
    command: Command
    halving: Halving | None
    run_cap: int | None
    given: Mapping[str, Any]

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """Return the arguments of a trial with these values."""
        return self.command.overrides(values, self.nested)

    @property
    def grid(self) -> int | None:
        """How many trials the grid has; None for other methods."""
        if self.method != "grid":
            return None
        number = 1
        for parameter in self.parameters.values():
            number *= len(parameter.points or ())
        return number


def find_file(given: str) -> Path:
    """Return the sweep file that is meant: a path, or the name of one that comes with the package.

    Raises:
        ConfigError: there is none.
    """
    path = Path(given)
    if path.is_file():
        return path
    shipped = {file.stem: file for file in sorted((config_folder() / SWEEPS).glob("*.yaml"))}
    shipped["sweep"] = config_folder() / "sweep.yaml"
    if path.stem in shipped and path.parent.name in ("", "configs", SWEEPS):
        return shipped[path.stem]
    raise ConfigError(f"{given} does not exist{did_you_mean(given, shipped)} (shipped: {', '.join(shipped)})")


def read(path: Path, more: Sequence[str] = (), name: str | None = None) -> Definition:
    """Return what the file asks for.

    Args:
        path: a yaml file as W&B's.
        more: overrides for all trials.
        name: instead of the file's own.

    Raises:
        ConfigError: naming everything that is wrong with the file.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no yaml: {' '.join(str(error).split())}") from error
    if not isinstance(given, dict):
        raise ConfigError(f"{path} holds no sweep: it needs method, metric, parameters and command")
    try:
        return _definition(given, more, name or str(given.get("name", path.stem)))
    except ConfigError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from error


def _definition(given: Mapping[str, Any], more: Sequence[str], name: str) -> Definition:
    problems: list[str] = [
        f"{key} is no key of a sweep{did_you_mean(key, KEYS)}" for key in map(str, given) if key not in KEYS
    ]

    def attempt(part: Callable[..., T], *arguments: Any) -> T | None:
        try:
            return part(*arguments)
        except ConfigError as error:
            problems.append(str(error))
            return None

    method = attempt(_method, given.get("method"))
    metric = attempt(_metric, given.get("metric"))
    flat = attempt(lambda: dict(_flatten(given.get("parameters"))))
    parameters = {key: attempt(_parameter, key, spec, method) for key, spec in (flat or {}).items()}
    command = attempt(read_command, given.get("command"), given.get("program"), more)
    halving = attempt(_halving, given.get("early_terminate"), metric)
    run_cap = attempt(_run_cap, given.get("run_cap"))
    attempt(_check_name, name)
    problems += _swept_and_given(parameters, command)
    if problems:
        raise ConfigError("\n".join(problems))
    assert method and metric and command and flat
    return Definition(
        name=name,
        method=method,
        metric=metric,
        parameters={key: parameter for key, parameter in parameters.items() if parameter is not None},
        nested=frozenset(flat) - set(given["parameters"]),
        command=command,
        halving=halving,
        run_cap=run_cap,
        given=_identity(given, command),
    )


def _identity(given: Mapping[str, Any], command: Command) -> dict[str, Any]:
    keys = ("method", "metric", "parameters", "early_terminate")
    same = {key: given[key] for key in keys if key in given} | {"command": list(command.fixed)}
    # As it will come back from storage.
    return dict(json.loads(json.dumps(same, default=str)))


def _check_name(name: str) -> None:
    if not name or set(name) & set('/\\:*?"<>|') or name.startswith("."):
        raise ConfigError(f"name: {name!r} is impossible: it is a folder's name, use letters, digits, - and _")


def _method(given: object) -> str:
    if given not in METHODS:
        raise unknown_name("method", str(given), METHODS)
    return str(given)


def _metric(given: object) -> Metric:
    if not isinstance(given, dict) or "name" not in given:
        raise ConfigError("metric needs a name and a goal, such as {name: val/accuracy, goal: maximize}")
    name, goal, target = str(given["name"]), given.get("goal", "minimize"), given.get("target")
    if unknown := set(given) - {"name", "goal", "target"}:
        raise ConfigError(f"metric: {min(unknown)} would not be used: it has name, goal and target")
    if name.startswith("test/"):
        raise ConfigError(f"metric: {name} would choose by the test split, whose score then means nothing: use val/…")
    if name not in METRICS:
        raise unknown_name("metric: name", name, METRICS)
    if goal not in ("minimize", "maximize"):
        raise unknown_name("metric: goal", str(goal), ("minimize", "maximize"))
    if (goal == "minimize") != name.endswith("loss"):
        raise ConfigError(f"metric: goal={goal} looks for the worst {name}: write goal: {_better(name)}")
    if target is not None and not isinstance(target, int | float):
        raise ConfigError(f"metric: target={target!r} is no number")
    return Metric(name, goal == "maximize", target)


def _better(name: str) -> str:
    return "minimize" if name.endswith("loss") else "maximize"


def _flatten(given: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield name and description; the name of what is nested is joined with dots."""
    if not isinstance(given, dict) or not given:
        raise ConfigError(f"parameters{' of ' + prefix[:-1] if prefix else ''}: nothing is varied")
    for key, spec in given.items():
        if isinstance(spec, dict) and "parameters" in spec:
            yield from _flatten(spec["parameters"], f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", spec


def _parameter(name: str, spec: object, method: str | None) -> Parameter:
    if not isinstance(spec, dict):
        raise ConfigError(f"{name}: write {name}: {{values: [{spec}]}}, or {{min: …, max: …}}")
    if name.lstrip("+") in RUN_PLACE:
        raise ConfigError(f"{name} cannot be varied: the sweep gives each trial its own")
    parameter = make_parameter(name, spec)
    if method != "grid":
        return parameter
    if parameter.points is None:
        raise ConfigError(f"{name}: method: grid needs values (or whole numbers from min to max)")
    return make_parameter(name, {"values": list(parameter.points)})


def _halving(given: object, metric: Metric | None) -> Halving | None:
    if given is None:
        return None
    if not isinstance(given, dict) or given.get("type") != "hyperband":
        raise ConfigError("early_terminate: type must be hyperband, as in {type: hyperband, min_iter: 3}")
    if unknown := set(given) - {"type", "min_iter", "max_iter", "s", "eta"}:
        raise ConfigError(f"early_terminate: {min(unknown)} would not be used: it has min_iter, or max_iter and s; eta")
    if metric is not None and not metric.name.startswith("val/"):
        raise ConfigError(f"early_terminate compares epochs by a val score, and metric is {metric.name}")
    eta = _whole("early_terminate: eta", given.get("eta", 3), least=2)
    return Halving(_first_rung(given, eta), eta)


def _first_rung(given: Mapping[str, Any], eta: int) -> int:
    """Return the epochs after which trials are first compared: `min_iter`, or `max_iter` divided `s` times by `eta`."""
    if ("min_iter" in given) == bool({"max_iter", "s"} & set(given)):
        raise ConfigError("early_terminate needs min_iter, or max_iter and s, and not both")
    if "min_iter" in given:
        return _whole("early_terminate: min_iter", given["min_iter"], least=1)
    longest = _whole("early_terminate: max_iter", given.get("max_iter"), least=1)
    first = longest // int(eta ** _whole("early_terminate: s", given.get("s"), least=1))
    if first < 1:
        raise ConfigError(f"early_terminate: max_iter={longest} divided s={given['s']} times by eta={eta} is below 1")
    return first


def _run_cap(given: object) -> int | None:
    return None if given is None else _whole("run_cap", given, least=1)


def _whole(name: str, value: object, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name}={value} must be a whole number, at least {least}")
    return value


def _swept_and_given(parameters: Mapping[str, Any], command: Command | None) -> list[str]:
    given = {word.partition("=")[0].lstrip("+"): word for word in (command.fixed if command else ())}
    both = [name for name in parameters if name.lstrip("+") in given]
    return [
        f"{name} is varied by the sweep and also given as {given[name.lstrip('+')]}: leave one out" for name in both
    ]
