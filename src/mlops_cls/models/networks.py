"""Build any network timm knows from an `Architecture`, and tell how its pretrained weights want their pictures."""

from dataclasses import replace
from typing import Any

import timm
from timm.models import is_model
from torch import nn

from mlops_cls.card import Architecture, Preprocess
from mlops_cls.errors import ConfigError, first_few, unknown_name
from mlops_cls.models import small

OURS = [name.partition(".")[0] for name in small.default_cfgs]


def make_network(architecture: Architecture, *, num_classes: int, channels: int, pretrained: bool = False) -> nn.Module:
    """Return the network: float[B,channels,H,W], normalised, to logits float[B,num_classes].

    Raises:
        ConfigError: timm has no such network, it refuses an argument, or published weights cannot be had.
    """
    check_name(architecture.name)
    arguments: dict[str, Any] = {"num_classes": num_classes, "in_chans": channels, **architecture.kwargs}
    if architecture.drop_rate:
        arguments["drop_rate"] = architecture.drop_rate
    try:
        network: nn.Module = timm.create_model(architecture.name, pretrained=pretrained, **arguments)
    except TypeError as error:
        raise ConfigError(f"model.kwargs: {architecture.name} refuses an argument: {error}") from error
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        raise ConfigError(_no_weights(architecture.name, error)) from error
    return network


def check_name(name: str) -> None:
    """Raise `ConfigError` with the nearest names unless timm can build the network."""
    if not is_model(name.partition(".")[0]):
        hint = f"ours: {first_few(OURS)}; timm's: python -c 'import timm; print(timm.list_models())'"
        raise unknown_name("model.name", name, timm.list_models(), hint=hint)


def fit_to_size(architecture: Architecture, size: int) -> Architecture:
    """Return the architecture with `img_size` set where the network (a transformer) is built for one size only."""
    published = timm.get_pretrained_cfg(architecture.name)
    if published is None or not published.fixed_input_size or "img_size" in architecture.kwargs:
        return architecture
    return replace(architecture, kwargs={**architecture.kwargs, "img_size": size})


def pretrained_preprocess(name: str) -> Preprocess:
    """Return how the published weights of a network want their RGB pictures."""
    check_name(name)
    published = timm.data.resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    return Preprocess(
        size=published["input_size"][-1],
        crop=published["crop_pct"],
        interpolation="bicubic" if published["interpolation"] == "bicubic" else "bilinear",
        mean=tuple(published["mean"]),
        std=tuple(published["std"]),
    )


def _no_weights(name: str, error: Exception) -> str:
    reason = str(error).splitlines()[0]
    return (
        f"model.pretrained=true: the published weights of {name} could not be had ({reason}). Fetch them on a "
        "machine with network and give the file: model.weights=FILE.safetensors"
    )
