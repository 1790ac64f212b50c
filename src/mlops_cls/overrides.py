"""Overrides that W&B's agent writes, in Hydra's words.

The agent puts values on the command line as Python prints them: ``trainer.patience=None``, and ``optim={'lr': 0.1}``
for nested parameters. Hydra would take the first for a text and cannot read the second.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from mlops_cls.config import Config

# Only what starts like this can mean something else in Python than in Hydra.
PYTHON_ONLY = ("None", "[", "{")


def in_hydra_words(arguments: Iterable[str]) -> list[str]:
    """Return the arguments with Python's None, lists and dictionaries written as Hydra reads them."""
    return [word for argument in arguments for word in _retell(argument)]


def _retell(argument: str) -> Iterator[str]:
    key, _, text = argument.partition("=")
    if not text.startswith(PYTHON_ONLY):
        yield argument
        return
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        # Hydra's own notation, such as [a, b], or a text.
        yield argument
        return
    if isinstance(value, dict) and key.lstrip("+") in _sections():
        for name, part in value.items():
            yield _assign(f"{key}.{name}", part)
    else:
        yield _assign(key, value)


def _assign(key: str, value: object) -> str:
    # A setting that is a dictionary, such as model.kwargs, takes new keys only where they are said to be new.
    added = "+" if isinstance(value, dict) and not key.startswith("+") else ""
    return f"{added}{key}={written(value)}"


def written(value: Any) -> str:
    """Return a plain value in Hydra's notation, texts in quotes."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {written(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, str):
        # A backslash means something before a quote only.
        return "'" + re.sub(r"\\*(?='|$)", lambda found: 2 * found[0], value).replace("'", r"\'") + "'"
    return str(value)


def _sections() -> set[str]:
    return {setting.name for setting in fields(Config) if is_dataclass(setting.type)}
