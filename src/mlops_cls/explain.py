"""Retell what Hydra and OmegaConf refuse, as a `ConfigError` with the key, the file and the nearest right name."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from mlops_cls.config import Config
from mlops_cls.errors import ConfigError, did_you_mean, first_few


def explain(error: Exception) -> ConfigError:
    """Return the `ConfigError` that says the same as `error` in our words."""
    text, cause = str(error), _cause_with_key(error)
    if isinstance(error, MissingConfigException):
        return _unknown_option(error)
    if isinstance(error, OverrideParseException):
        return _not_an_override(error.override)
    if isinstance(error, AttributeError):
        return _lost_key(text)
    if ambiguous := re.match(r"Ambiguous value for argument '([^=]+)=(.*)'", text):
        return _several_values(*ambiguous.groups())
    place = re.match(r"In '([^']+)'", text)
    where = f"in {place[1]}.yaml: " if place and place[1] != "train" else ""
    return ConfigError(where + _key_and_reason(text, cause))


def _key_and_reason(text: str, cause: OmegaConfBaseException | None) -> str:
    if unknown := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key(unknown[1])
    if cause is None:
        return text
    if re.search(r"Key '[^']+' (is )?not in", str(cause)):
        return _unknown_key(str(cause.full_key))
    return f"{cause.full_key}: {str(cause).splitlines()[0]}{_nearest_choice(str(cause))}"


def _cause_with_key(error: BaseException) -> OmegaConfBaseException | None:
    """Return the outermost OmegaConf error of the chain that knows its key."""
    step: BaseException | None = error
    while step is not None:
        if isinstance(step, OmegaConfBaseException) and step.full_key:
            return step
        step = step.__cause__ or step.__context__
    return None


def _unknown_option(error: MissingConfigException) -> ConfigError:
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    options = error.options or []
    listing = f"allowed: {', '.join(options)}" if options else "no such file"
    return ConfigError(f"{group}={option} is not known{did_you_mean(option, options)} ({listing})")


def _not_an_override(override: str) -> ConfigError:
    key, given, value = override.partition("=")
    if given and value and "'" not in value:
        return ConfigError(
            f"{override!r} cannot be read; a value with signs such as = or & wants quotes: \"{key}='{value}'\""
        )
    example = "experiment=" + override if override.isidentifier() else "optim.lr=1e-3"
    return ConfigError(f"{override!r} is not of the form key=value, such as {example}")


def _several_values(key: str, value: str) -> ConfigError:
    ways = f"""a list wants brackets, {key}=[{value}]; a text wants quotes, "{key}='{value}'"; several runs want -m"""
    return ConfigError(f"{key}={value} can mean several things: {ways}")


def _lost_key(text: str) -> ConfigError:
    """Retell the AttributeError by which a slotted section refuses a key that was added with `+key=value`."""
    section, key = re.findall(r"'(\w+)'", text)[:2]
    prefix = section.removesuffix("Config").lower()
    return ConfigError(_unknown_key(f"{prefix}.{key}" if prefix else key))


def _unknown_key(key: str) -> str:
    if key == "experiment":
        return "the first line of an experiment file must be: # @package _global_"
    if key.startswith("model.kwargs."):
        return f"{key} is an argument of the network itself: write +{key}=VALUE"
    if key == "model.kwargs":
        return "model.kwargs takes any argument of the network, so say that you add them: '+model.kwargs={KEY: VALUE}'"
    section, _, name = key.rpartition(".")
    siblings = [k.rpartition(".")[2] for k in _all_keys() if k.rpartition(".")[0] == section]
    return f"{key} is not a setting{_nearest_key(key, name)} ({section or 'at the top'} has: {first_few(siblings, 30)})"


def _nearest_key(key: str, name: str) -> str:
    namesakes = [k for k in _all_keys() if k.rpartition(".")[2] == name]
    level = [k for k in _all_keys() if k.count(".") == key.count(".")]
    close = namesakes or get_close_matches(key, level, n=2, cutoff=0.7)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _nearest_choice(message: str) -> str:
    choice = re.search(r"Invalid value '([^']+)', expected one of \[([^\]]+)\]", message)
    return did_you_mean(choice[1], choice[2].split(", ")) if choice else ""


@cache
def _all_keys() -> tuple[str, ...]:
    return tuple(_walk(Config(), ""))


def _walk(section: object, prefix: str) -> Iterator[str]:
    assert is_dataclass(section)
    for setting in fields(section):
        yield prefix + setting.name
        value = getattr(section, setting.name)
        if is_dataclass(value):
            yield from _walk(value, f"{prefix}{setting.name}.")
