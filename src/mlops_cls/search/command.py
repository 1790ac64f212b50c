"""The command line of a trial: what the sweep file's `command` says, with the trial's values where its macro stands."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_cls.errors import ConfigError, did_you_mean
from mlops_cls.overrides import written

TRAIN = "mlops_cls.train"
# W&B's macros for a trial's values that Hydra can read, and what they put before each.
PREFIXES = {"${args_no_hyphens}": "", "${args_append_hydra}": "+", "${args_override_hydra}": "++"}
EXAMPLE = '["${env}", "${interpreter}", "-m", "mlops_cls.train", "experiment=quickstart", "${args_no_hyphens}"]'


@dataclass(frozen=True, slots=True)
class Command:
    """The overrides before and after a trial's values, what precedes each of these, and the user's own yaml folder."""

    before: tuple[str, ...]
    prefix: str
    after: tuple[str, ...]
    config_dir: str | None = None

    @property
    def fixed(self) -> tuple[str, ...]:
        """The overrides that all trials have."""
        return (*self.before, *self.after)

    def overrides(self, values: Mapping[str, Any], nested: frozenset[str] = frozenset()) -> list[str]:
        """Return the arguments of a trial as W&B's agent writes them.

        Args:
            values: by name of the setting.
            nested: names that the sweep file gives as parameters within parameters, which the agent writes in Python.
        """
        given = [f"{self.prefix}{name}={written(value) if name in nested else value}" for name, value in values.items()]
        return [*self.before, *given, *self.after]

    def line(self, overrides: Sequence[str]) -> str:
        """Return the line to type for a run with these overrides."""
        own = ["--config-dir", self.config_dir] if self.config_dir else []
        return shlex.join(["python", "-m", TRAIN, *own, *overrides])


def read_command(given: object, program: object, more: Sequence[str]) -> Command:
    """Return the command of a sweep file; `more` are overrides for all trials.

    Raises:
        ConfigError: it does not start the training of this package, or not with the trial's values.
    """
    if given is None:
        raise ConfigError(f"command is missing; W&B's own would start training with --key=value. Write\n{EXAMPLE}")
    words = [given] if isinstance(given, str) else list(given) if isinstance(given, list) else []
    words = [_filled(str(word), str(program)) for word in words]
    arguments = _arguments(words)
    macros = [word for word in arguments if word.startswith("${")]
    for word in macros:
        if word not in PREFIXES:
            raise ConfigError(f"command: {word} cannot be read by training{_cure(word)}")
    if len(macros) != 1:
        raise ConfigError(
            f"command: ${{args_no_hyphens}} must stand in it once, where the values belong, as in\n{EXAMPLE}"
        )
    place = arguments.index(macros[0])
    before, config_dir = _without_config_dir(arguments[:place])
    after, other = _without_config_dir(arguments[place + 1 :])
    return Command(tuple(before), PREFIXES[macros[0]], (*after, *more), config_dir or other)


def _filled(word: str, program: str) -> str:
    word = re.sub(r"\$\{envvar:(\w*)\}", lambda found: os.environ.get(found[1], found[1]), word)
    return program if word == "${program}" else word


def _arguments(words: Sequence[str]) -> Sequence[str]:
    for place, word in enumerate(words):
        if word == TRAIN or word.endswith(f"{TRAIN.replace('.', '/')}.py"):
            return words[place + 1 :]
        if word.endswith("mlops-cls") and words[place + 1 : place + 2] == ["train"]:
            return words[place + 2 :]
    raise ConfigError(f"command: {' '.join(words) or 'nothing'} does not start mlops_cls.train; write\n{EXAMPLE}")


def _cure(word: str) -> str:
    if word.startswith("${args"):
        return ", which takes key=value: write ${args_no_hyphens}"
    return did_you_mean(word, PREFIXES) or f" (allowed: {', '.join(PREFIXES)})"


def _without_config_dir(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    rest, folder = list(arguments), None
    for place, word in enumerate(rest):
        if word in ("--config-dir", "-cd") and place + 1 < len(rest):
            folder = rest[place + 1]
            return rest[:place] + rest[place + 2 :], folder
        if word.startswith("--config-dir="):
            return rest[:place] + rest[place + 1 :], word.partition("=")[2]
    return rest, folder
