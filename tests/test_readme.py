"""The README's own promises: its commands compose, and its two opening commands are those that are checked."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from mlops_cls.build import check
from mlops_cls.cli import VERBS
from mlops_cls.compose import load_config

README = Path(__file__).parents[1] / "README.md"
TRAIN = "uv run python -m mlops_cls.train "


def commands(prefix: str) -> list[str]:
    return [line for line in README.read_text().splitlines() if line.startswith(prefix)]


def test_readme_opens_with_the_two_commands_that_do_everything() -> None:
    first, second = commands("pip install uv && ")
    assert first == "pip install uv && uv run python -m mlops_cls.train experiment=quickstart"
    assert second == "pip install uv && uv run pytest"


@pytest.mark.parametrize("line", [line for line in commands(TRAIN) if "--help" not in line])
def test_train_commands_of_the_readme_would_start(line: str) -> None:
    overrides = [word for word in shlex.split(line.removeprefix(TRAIN), comments=True) if word != "-m"]
    check(load_config(*(re.sub(",.*", "", override) for override in overrides)))


def options_of(pages: list[Path]) -> list[str]:
    """Return every command of ours in the pages whose verb has options, as it is typed."""
    lines = [line.strip() for page in pages for line in page.read_text().splitlines()]
    found = [line for line in lines if re.match(r"(uv run )?python -m mlops_cls\.\w+ [^`]*$", line)]
    return [line.removeprefix("uv run ").removeprefix("python -m mlops_cls.") for line in found]


@pytest.mark.parametrize("line", sorted(set(options_of([README, *(README.parent / "docs").glob("*.md")]))))
def test_options_that_the_pages_name_are_refused(line: str) -> None:
    verb, *words = shlex.split(line.partition(" > ")[0], comments=True)
    module = import_module(f"mlops_cls.google_cloud.{words.pop(0)}" if verb == "cloud" else f"mlops_cls.{verb}")
    if parser := getattr(module, "_parser", None):
        assert vars(parser().parse_intermixed_args(words))  # what is refused ends the process


def test_verbs_of_the_readme_exist() -> None:
    assert set(re.findall(r"python -m mlops_cls\.(\w+)", README.read_text())) <= set(VERBS)
