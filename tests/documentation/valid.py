"""Whether a command that is not run would start: its verb, options, settings, files and names exist."""

import ast
import inspect
import re
import tomllib
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from itertools import pairwise
from types import ModuleType
from typing import Any

from commands import calls
from pages import ROOT

from mlops_cls import cloud
from mlops_cls.build import check
from mlops_cls.cli import VERBS
from mlops_cls.compose import combinations, load_config

FROM_HYDRA = ("train", "prepare", "check", "augment")
ALSO_SETTINGS = ("cluster", "sweep", "vertex")
"""Verbs whose overrides are settings of a training; those of others are about data of a run that is there."""
OURS = re.compile(r"(?:\.ci|\.github|benchmarks|configs|dockerfiles|docs|notebooks|src|tests)/[\w./-]+")


def check_command(text: str) -> None:
    """Fail with what is wrong with a command of bash."""
    for call in calls(text):
        for path in filter(OURS.fullmatch, call.words):
            assert (ROOT / path).exists(), f"{path} is not in the repository"
        if call.program == "uv" and call.words[:1] == ("sync",):
            _check_extras(call.words)
        if call.verb is not None:
            _check_verb(call.verb, call.rest)


def _check_extras(words: Sequence[str]) -> None:
    project = _project()
    offered = {"--extra": project["project"]["optional-dependencies"], "--group": project["dependency-groups"]}
    for option, name in pairwise(words):
        if option in offered:
            assert name in offered[option], f"{option} {name} is not in pyproject.toml"


@cache
def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _check_verb(verb: str, words: list[str]) -> None:
    assert verb in VERBS, f"{verb} is not a verb"
    if {"-h", "--help"} & set(words):
        return
    if verb in FROM_HYDRA:
        _check_settings(words)
        return
    if verb == "cloud":
        verb, *words = words
        assert verb in cloud.VERBS, f"cloud {verb} is not a verb"
        options = _parse(import_module(f"mlops_cls.google_cloud.{verb}"), words)
    else:
        options = _parse(import_module(f"mlops_cls.{verb}"), words)
    if verb in ALSO_SETTINGS and getattr(options, "overrides", None):
        _check_settings(options.overrides)


def _parse(module: ModuleType, words: list[str]) -> Namespace:
    parser: ArgumentParser = module._parser()
    try:
        return parser.parse_intermixed_args(words)
    except SystemExit as stop:
        raise AssertionError(f"{parser.prog} refuses {words}") from stop


def _check_settings(words: Sequence[str]) -> None:
    overrides = [word for word in words if not word.startswith("-")]
    for chosen in combinations(overrides)[:2]:
        check(load_config(*chosen))


def check_python(text: str) -> None:
    """Fail if a block of Python imports, reads or calls something of ours that is not there."""
    names: dict[str, Any] = {}
    for node in ast.walk(tree := ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(compile(ast.Module([node], []), "page", "exec"), names)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        function = _found(call.func, names)
        if inspect.isfunction(function):
            inspect.signature(function).bind_partial(**{word.arg: None for word in call.keywords if word.arg})
        if function is load_config:
            check(load_config(*_constants(call.args)))


def _found(node: ast.expr, names: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and inspect.ismodule(module := _found(node.value, names)):
        return getattr(module, node.attr)
    return None


def _constants(nodes: Sequence[ast.expr]) -> Iterator[str]:
    return (str(node.value) for node in nodes if isinstance(node, ast.Constant))
