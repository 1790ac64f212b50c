"""Every setting of a run: from the classes of `mlops_cls.config`, their bounds, and the texts below their fields."""

import ast
import inspect
import types
from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from itertools import pairwise
from typing import Any, get_args, get_origin, get_type_hints

import yaml
from writing import code, heading

from mlops_cls.config import Config

WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text", dict: "mapping", list: "list"}


def described() -> str:
    """Return a heading for each section, and below it one for each of its settings."""
    return "\n\n".join([*_one("", Config(), "seed"), *_sections()])


def _sections() -> Iterator[str]:
    config = Config()
    for setting in fields(config):
        section = getattr(config, setting.name)
        if is_dataclass(section):
            yield heading(2, setting.name, setting.name)
            yield f"{section.__doc__}"
            for own in fields(section):
                yield from _one(f"{setting.name}.", section, own.name)


def _one(prefix: str, section: Any, name: str) -> Iterator[str]:
    key, setting = prefix + name, next(each for each in fields(section) if each.name == name)
    kind = get_type_hints(type(section))[name]
    yield heading(3 if prefix else 2, key, key)
    yield f"{_allowed(kind, setting)}; default {code(_as_yaml(getattr(section, name)))}\n{{ .allowed }}"
    yield _texts(type(section))[name]


def _allowed(kind: Any, setting: Field[Any]) -> str:
    bounds = setting.metadata.get("bounds")
    return ", ".join(filter(None, [_in_words(kind), str(bounds) if bounds else ""]))


def _in_words(kind: Any) -> str:
    if isinstance(kind, types.UnionType):
        return " or ".join(_in_words(each) for each in get_args(kind) if each is not types.NoneType)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return ", ".join(code(choice.value) for choice in kind)
    if get_origin(kind) is list:
        (of_what,) = get_args(kind)
        return f"list of {_in_words(get_origin(of_what) or of_what)}s"
    return WORDS[get_origin(kind) or kind]


def _as_yaml(value: Any) -> str:
    """Return a value as it is typed: null, true, [], 0.05."""
    written: str = yaml.safe_dump(value.value if isinstance(value, StrEnum) else value)
    return written.removesuffix("...\n").strip()


@cache
def _texts(section: type[object]) -> dict[str, str]:
    """Return the text below each field, which Python itself does not keep."""
    (parsed,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(parsed, ast.ClassDef)
    found = {}
    for field, below in pairwise(parsed.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = inspect.cleandoc(text)
    return found
