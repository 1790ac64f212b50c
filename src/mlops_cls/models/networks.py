"""Build any network timm knows from an `Architecture`, and tell how its pretrained weights want their pictures."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import timm
from timm.models import is_model
from torch import nn

from mlops_cls.card import Architecture, Preprocess
from mlops_cls.errors import ConfigError, first_few, unknown_name
from mlops_cls.models import small
from mlops_cls.plugins import NETWORKS, load_plugin, plugin_names

OURS = [name.partition(".")[0] for name in small.default_cfgs]
# The data decide the first two; the others load files, which is for model.pretrained and model.weights alone: the card
# of a checkpoint from elsewhere could name any file.
NOT_KWARGS = frozenset(
    {
        "num_classes",
        "in_chans",
        "pretrained",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "checkpoint_path",
        "cache_dir",
    }
)


def make_network(architecture: Architecture, *, num_classes: int, channels: int, pretrained: bool = False) -> nn.Module:
    """Return the network: float[B,channels,H,W], normalised, to logits float[B,num_classes].

    Raises:
        ConfigError: timm has no such network, it refuses an argument, or published weights cannot be had.
    """
    check_name(architecture.name)
    taken = sorted(NOT_KWARGS.intersection(architecture.kwargs))
    if taken:
        raise ConfigError(f"model.kwargs cannot set {first_few(taken)}: data, model.pretrained and model.weights do")
    arguments: dict[str, Any] = {"num_classes": num_classes, "in_chans": channels, **architecture.kwargs}
    if architecture.drop_rate:
        arguments["drop_rate"] = architecture.drop_rate
    try:
        network: nn.Module = timm.create_model(architecture.name, pretrained=pretrained, **arguments)
    except (OSError, RuntimeError, TypeError, ValueError, AssertionError, AttributeError, KeyError) as error:
        lacks_weights = pretrained and isinstance(error, OSError | RuntimeError)
        raise ConfigError((_no_weights if lacks_weights else _refused)(architecture.name, error)) from error
    if not hasattr(network, "get_classifier"):  # All of timm's have it; an export would be the first to miss it.
        raise ConfigError(
            f"model.name={architecture.name}: {type(network).__name__} does not tell its last layer; give it a method "
            "get_classifier(self) that returns it, as timm's networks have"
        )
    if architecture.small_stem:
        _shrink_stem(network, architecture.name)
    if architecture.head_width:
        _deepen_head(network, architecture.name, architecture.head_width)
    return network


def _shrink_stem(network: nn.Module, name: str) -> None:
    """Let the first convolution see every pixel: He et al. 2016 (arXiv:1512.03385), section 4.2, for small pictures."""
    first = getattr(network, "conv1", None)
    if not isinstance(first, nn.Conv2d):
        raise ConfigError(f"model.small_stem=true: {name} has no single first convolution `conv1`; ResNets have")
    smaller = nn.Conv2d(first.in_channels, first.out_channels, 3, padding=1, bias=first.bias is not None)
    nn.init.kaiming_normal_(smaller.weight, mode="fan_out", nonlinearity="relu")
    network.conv1 = smaller


def _deepen_head(network: nn.Module, name: str, width: int) -> None:
    """Put a hidden layer of `width` units before the linear layer that timm calls the network's classifier."""
    place = getattr(network, "default_cfg", {}).get("classifier")
    last = network.get_submodule(place) if isinstance(place, str) else None
    if not (isinstance(place, str) and isinstance(last, nn.Linear)):
        raise ConfigError(f"model.head_width={width}: {name} has no single linear classifier to deepen")
    parent, _, attribute = place.rpartition(".")
    hidden = nn.Sequential(
        nn.Linear(last.in_features, width), nn.ReLU(inplace=True), nn.Linear(width, last.out_features)
    )
    setattr(network.get_submodule(parent), attribute, hidden)


def classifier_of(network: nn.Module) -> nn.Module:
    """Return the network's last layer, or layers with `head_width`: what is trained while the rest is frozen.

    Raises:
        ConfigError: the network does not say which of its parts that is.
    """
    find: Any = getattr(network, "get_classifier", None)
    head = find() if find else None
    if not isinstance(head, nn.Module) or not any(True for _ in head.parameters()):
        raise ConfigError(f"{type(network).__name__} has no single last layer, which model.freeze and export need")
    return head


def check_name(name: str) -> None:
    """Raise `ConfigError` with the nearest names unless timm can build the network."""
    base = name.partition(".")[0]
    if not is_model(base) and base in plugin_names(NETWORKS):
        load_plugin(NETWORKS, base)  # its module registers it with timm
    if not is_model(base):
        hint = f"ours: {first_few(OURS)}; timm's: python -c 'import timm; print(timm.list_models())'"
        raise unknown_name("model.name", name, timm.list_models(), hint=hint)
    try:
        timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        tagged = timm.list_models(f"{base}.*", pretrained=True)
        raise unknown_name("model.name", name, [base, *tagged]) from error


def check_published(name: str) -> None:
    """Raise `ConfigError` unless weights of the network were published."""
    published = timm.get_pretrained_cfg(name)
    if published is None or not published.has_weights:
        raise ConfigError(f"model.pretrained=true: timm has no published weights of {name}; use model.weights=FILE")


def check_any_size(name: str, kwargs: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if the network is built for pictures of one size only."""
    if _takes_one_size(name) or "img_size" in kwargs:
        raise ConfigError(
            f"trainer.progressive=true is impossible with model.name={name}, which is built for pictures of one size: "
            "leave it out, or choose a convolutional network such as resnet18"
        )


def fit_to_size(architecture: Architecture, size: int) -> Architecture:
    """Return the architecture with `img_size` set where the network (a transformer) is built for one size only."""
    if not _takes_one_size(architecture.name) or "img_size" in architecture.kwargs:
        return architecture
    return replace(architecture, kwargs={**architecture.kwargs, "img_size": size})


def _takes_one_size(name: str) -> bool:
    published = timm.get_pretrained_cfg(name)
    return published is not None and bool(published.fixed_input_size)


def pretrained_preprocess(name: str) -> Preprocess | None:
    """Return how the published weights of a network want their RGB pictures; None if nothing was published of it."""
    check_name(name)
    known = timm.get_pretrained_cfg(name)
    if known is None:
        return None
    published = timm.data.resolve_data_config({}, pretrained_cfg=known.to_dict())
    return Preprocess(
        size=published["input_size"][-1],
        crop=published["crop_pct"],
        interpolation="bicubic" if published["interpolation"] == "bicubic" else "bilinear",
        mean=tuple(published["mean"]),
        std=tuple(published["std"]),
    )


def _refused(name: str, error: Exception) -> str:
    return f"model.kwargs: {name} refuses an argument: {str(error) or type(error).__name__}"


def _no_weights(name: str, error: Exception) -> str:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return (
        f"model.pretrained=true: the published weights of {name} could not be had ({reason}). Fetch them on a "
        "machine with network and give the file: model.weights=FILE.safetensors"
    )
