"""Every setting of a run: from the classes of `mlops_cls.config`, their bounds, and the texts below their fields."""

import ast
import inspect
import types
from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, get_args, get_origin, get_type_hints

import yaml
from setting_groups import group_folders
from writing import code, heading

from mlops_cls.config import Config

WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text", dict: "mapping", list: "list"}


def described() -> str:
    """Return a heading for each section, and below it one for each of its settings."""
    config, groups = Config(), {folder.name for folder in group_folders()}
    parts = list(_settings(config, "", level=2))
    for each in fields(config):
        section = getattr(config, each.name)
        if is_dataclass(section):
            parts += [heading(2, each.name, each.name), inspect.getdoc(section) or ""]
            parts += [f"Files that set several: [{each.name}=](configs.md#{each.name})."] * (each.name in groups)
            parts += _settings(section, f"{each.name}.", level=3)
    return "\n\n".join(parts)


def _settings(section: Any, prefix: str, *, level: int) -> Iterator[str]:
    texts, kinds = _texts(type(section)), get_type_hints(type(section))
    for setting in fields(section):
        name, value = setting.name, getattr(section, setting.name)
        if not is_dataclass(value):
            yield heading(level, prefix + name, prefix + name)
            yield f"{_allowed(kinds[name], setting)}; default {code(_as_yaml(value))}\n{{ .allowed }}"
            yield texts[name]


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


def _texts(section: type) -> dict[str, str]:
    """Return the text below each field, which Python itself does not keep."""
    (parsed,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(parsed, ast.ClassDef)
    found = {}
    for field, below in pairwise(parsed.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = inspect.cleandoc(text)
    return found
