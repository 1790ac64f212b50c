"""Whether a sweep that was begun may go on with another file."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import optuna
from optuna.distributions import check_distribution_compatibility

from mlops_cls.errors import ConfigError
from mlops_cls.search.definition import Definition


def check_change(kept: Mapping[str, Any], study: optuna.Study, definition: Definition, *, allowed: bool) -> None:
    """Refuse to go on with another sweep than was begun.

    Raises:
        ConfigError: naming what is different.
    """
    differences = "\n".join(f"  {line}" for line in _differences(kept, definition.given))
    choice = "give the new one a name of its own with --name NAME"
    if not allowed:
        raise ConfigError(
            f"the sweep {definition.name} was begun with other settings:\n{differences}\n{choice}, or go on with what "
            "was tried so far with --changed"
        )
    if "grid" in (kept["method"], definition.method):
        raise ConfigError(f"--changed is impossible with a grid, whose points have other numbers now: {choice}")
    for trial in study.get_trials(deepcopy=False):
        for name, parameter in definition.parameters.items():
            try:
                check_distribution_compatibility(
                    trial.distributions.get(name, parameter.distribution), parameter.distribution
                )
            except ValueError as error:
                raise ConfigError(
                    f"--changed is impossible, {name} has other choices now:\n{differences}\n{choice}"
                ) from error


def _differences(old: Any, new: Any, place: str = "") -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(old.get(key), new.get(key), f"{place}.{key}" if place else str(key))
    elif old != new:
        yield f"{place}: {json.dumps(old)}, now {json.dumps(new)}"
