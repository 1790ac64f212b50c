"""Read weights from files without ever running code from them."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mlops_cls.card import ModelCard
from mlops_cls.errors import ArtifactError, first_few

PREFIX = "network."


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What came of loading weights into a network."""

    loaded: int
    missing: list[str]
    unexpected: list[str]
    misshapen: list[str]

    def __str__(self) -> str:
        parts = {
            "not in the file": self.missing,
            "not in the network": self.unexpected,
            "of another shape": self.misshapen,
        }
        details = [f"{len(names)} {what} ({first_few(names, 3)})" for what, names in parts.items() if names]
        return f"{self.loaded} tensors loaded" + "".join(f", {detail}" for detail in details)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a .ckpt or .pt file: tensors and plain values only.

    Raises:
        ArtifactError: missing, damaged, or holding Python objects, which could run code when loaded.
    """
    if not path.is_file():
        raise ArtifactError(f"no checkpoint at {path}")
    try:
        with warnings.catch_warnings():
            # torch warns of other versions of pickle, then reads or refuses them.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read ({error})") from error
    # Over damaged bytes torch's unpickler stumbles with almost any exception, struct.error and AssertionError included.
    except Exception as error:
        if isinstance(error, UnpicklingError) and "GLOBAL" in str(error):
            raise ArtifactError(
                f"{path} is refused: it holds Python objects (a pickle), which can run any code when loaded. Only "
                "tensors and plain values are read; save it again as a state dict or as safetensors where you trust it"
            ) from error
        raise ArtifactError(f"{path} is damaged or no checkpoint") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} is no checkpoint: it holds a {type(content).__name__}")
    return content


def read_weights(path: Path) -> tuple[dict[str, Tensor], ModelCard | None]:
    """Return a network's tensors, and the card if the file is one of our checkpoints."""
    if path.suffix == ".safetensors":
        return _read_safetensors(path), None
    content = read_checkpoint(path)
    card = ModelCard.from_dict(content["card"]) if isinstance(content.get("card"), dict) else None
    nested = (content.get(key) for key in ("state_dict", "model"))
    state = next((inner for inner in nested if isinstance(inner, dict)), content)
    tensors = {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise ArtifactError(f"{path} holds no tensors")
    ours = {name.removeprefix(PREFIX): value for name, value in tensors.items() if name.startswith(PREFIX)}
    return ours or tensors, card


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path} cannot be read as safetensors ({error})") from error


def by_class(
    network: nn.Module, tensors: Mapping[str, Tensor], theirs: Sequence[str], ours: Sequence[str]
) -> dict[str, Tensor]:
    """Return the tensors with a row of the last layer for each of our classes: theirs of that name, or our own.

    Without this a head would be taken over by number, and begin by calling each class another's name.
    """
    own, arranged = network.state_dict(), dict(tensors)
    places = [(ours.index(name), theirs.index(name)) for name in ours if name in theirs]
    if tuple(theirs) == tuple(ours) or not places:
        return arranged
    here, there = (torch.tensor(rows) for rows in zip(*places, strict=True))
    for name in _names_of_rows(network, len(ours)):
        if name in tensors and tensors[name].shape == (len(theirs), *own[name].shape[1:]):
            arranged[name] = own[name].clone()
            arranged[name][here] = tensors[name][there].to(own[name])
    return arranged


def _names_of_rows(network: nn.Module, number: int) -> list[str]:
    """Return the names of what has a row for each class: weight and bias of the last layer, if there is one."""
    find = getattr(network, "get_classifier", None)
    head = list(find().parameters()) if find else []
    last = {id(parameter) for parameter in head[-2:] if len(parameter) == number}
    return [name for name, parameter in network.named_parameters() if id(parameter) in last]


def load_into(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> LoadReport:
    """Copy the tensors that fit by name and shape, and report the rest; a head for other classes is left as it was.

    Raises:
        ArtifactError: nothing fits, so the file belongs to another network.
    """
    own = network.state_dict()
    fitting = {name: value for name, value in tensors.items() if name in own and own[name].shape == value.shape}
    report = LoadReport(
        loaded=len(fitting),
        missing=[name for name in own if name not in tensors],
        unexpected=[name for name in tensors if name not in own],
        misshapen=[name for name in tensors if name in own and name not in fitting],
    )
    if not fitting:
        raise ArtifactError(
            f"nothing in {path} fits: it has {first_few(list(tensors), 3)}, the network has {first_few(list(own), 3)}"
        )
    network.load_state_dict(fitting, strict=False)
    return report
