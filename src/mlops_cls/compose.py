"""From yaml files and the command line to a `Config`: the only module that uses Hydra.

Hydra composes, OmegaConf checks names and types against the classes of `config/`, and whatever either of them
refuses is retold as a `ConfigError` that names the key, the file and the nearest right name.
"""

import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from mlops_cls.config import Config
from mlops_cls.errors import ConfigError, MlopsError
from mlops_cls.explain import explain
from mlops_cls.overrides import in_hydra_words

HYDRA_VERSION = "1.3"
SWEEPS = "sweeps"  # a folder beside the groups
Result = TypeVar("Result")


def config_folder() -> Path:
    """Return the folder of the yaml tree: `configs/` of a checkout, else the copy inside the installed package."""
    package = Path(__file__).resolve().parent
    checkout = package.parents[1] / "configs"
    return checkout if package.parent.name == "src" and checkout.is_dir() else package / "configs"


def load_config(*overrides: str, config_dir: str | Path | None = None) -> Config:
    """Compose a `Config` as `python -m mlops_cls.train` would.

    Args:
        overrides: what would follow on the command line, such as ``"experiment=resnet18"``.
        config_dir: folder with yaml files of your own, searched before ours.

    Raises:
        ConfigError: a name, type or value is wrong; the message says where and what is allowed.
    """
    search = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
    folder = str(config_folder())
    with _retold(), hydra.initialize_config_dir(folder, version_base=HYDRA_VERSION):
        _register_schema()
        return _to_config(hydra.compose("train", overrides=[*search, *in_hydra_words(overrides)]))


def combinations(overrides: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each run that `python -m mlops_cls.train -m` would make of these, in its order.

    Raises:
        ConfigError: an override cannot be read, or asks for values without end.
    """
    with _retold():
        parsed = OverridesParser.create().parse_overrides(in_hydra_words(overrides))
        return [list(run) for run in product(*map(_each, parsed))]


def _each(override: Override) -> list[str]:
    """Return an override once for each of its values."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if not override.is_discrete_sweep():
        raise ConfigError(f"{override.input_line} has values without end: list some, separated by commas")
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def change_data(values: Mapping[str, Any], overrides: Sequence[str]) -> Config:
    """Return a run's config from the plain values of its card, with other data settings.

    Args:
        values: as kept in the card's provenance.
        overrides: ``data=NAME`` and ``data.KEY=VALUE`` only.

    Raises:
        ConfigError: an override is wrong, or is not about data.
    """
    others = [override for override in overrides if not override.startswith(("data=", "data."))]
    if others:
        raise ConfigError(
            f"{others[0]}: only data=NAME and data.KEY=VALUE can be changed here, the rest is the model's own"
        )
    names = [override for override in overrides if override.startswith("data=")]
    keys = [override for override in overrides if override.startswith("data.")]
    data = asdict(load_config(names[-1], *keys, "logger=none").data) if names else values["data"]
    return restore({**values, "data": data}, keys)


def restore(values: Mapping[str, Any], overrides: Sequence[str]) -> Config:
    """Return a run's config from the plain values of its card and ``section.key=value`` overrides.

    Raises:
        ConfigError: a key is not a setting of this version, or a value is not possible.
    """
    recorded: dict[Any, Any] = {**values}
    with _retold():
        merged = OmegaConf.merge(OmegaConf.structured(Config), recorded, OmegaConf.from_dotlist([*overrides]))
        assert isinstance(merged, DictConfig)
        return _to_config(merged)


def run_with_config(
    task: Callable[[Config], Result],
    program: str,
    arguments: list[str],
    *,
    usage: str,
    at_end: Callable[[list[Result]], object] | None = None,
) -> None:
    """Run `task` with the config that the command line asks for; with `-m`, once per combination.

    `at_end` is given what the tasks returned, of those that did not fail; then the first failure is raised.
    `--help` prints `usage`, the config groups and every setting.
    """
    if {"-h", "--help"} & set(arguments):
        print(_help(usage))
        return

    results: list[Result] = []
    failures: list[MlopsError] = []

    def with_config(composed: DictConfig) -> None:
        # Raised after Hydra is done: it would add lines of its own, and give up the other runs of a multirun.
        try:
            results.append(task(_to_config(composed)))
        except MlopsError as error:
            failures.append(error)

    _register_schema()
    main = hydra.main(version_base=HYDRA_VERSION, config_path=str(config_folder()), config_name="train")
    with _command_line(program, in_hydra_words(arguments)), _retold():
        main(with_config)()
    if at_end is not None:
        at_end(results)
    if failures:
        raise failures[0]


def _register_schema() -> None:
    ConfigStore.instance().store(name="schema", node=Config)


def _to_config(composed: DictConfig) -> Config:
    try:
        config = OmegaConf.to_object(composed)
    except AttributeError as error:
        raise explain(error) from error
    assert isinstance(config, Config)
    return config


def _help(usage: str) -> str:
    folder = config_folder()
    groups = [
        f"  {group.name}: {', '.join(sorted(option.stem for option in group.glob('*.yaml')))}"
        for group in sorted(folder.iterdir())
        if group.is_dir() and group.name != SWEEPS
    ]
    settings = OmegaConf.to_yaml(OmegaConf.structured(load_config()))
    parts = [
        usage,
        "Choose one of each group (group=option); folder with yaml files of your own: --config-dir FOLDER",
        "\n".join(groups),
        "Change any setting (section.key=value); their meaning: mlops_cls/config/",
        textwrap.indent(settings, "  ").rstrip(),
    ]
    return "\n\n".join(parts)


@contextmanager
def _command_line(program: str, arguments: list[str]) -> Iterator[None]:
    # hydra.main reads sys.argv, and prints errors itself unless told to raise them.
    saved, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = [program, *arguments], "1"
    try:
        yield
    finally:
        sys.argv = saved
        os.environ.pop("HYDRA_FULL_ERROR")
        if full_error is not None:
            os.environ["HYDRA_FULL_ERROR"] = full_error
        GlobalHydra.instance().clear()


@contextmanager
def _retold() -> Iterator[None]:
    try:
        yield
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise explain(error) from error
