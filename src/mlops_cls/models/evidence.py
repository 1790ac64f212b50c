"""Where in a picture a network found what speaks for a class.

Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) for networks that pool a map of features; gradient-weighted attention
(Chefer et al. 2021, arXiv:2103.15679) for transformers that classify a token of its own; for any other network the
gradient times the input (Shrikumar et al. 2016, arXiv:1605.01713).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.pictures import Pixels

BATCH = 8
LEAST_CELLS = 5  # a side; of coarser maps an earlier one is taken, as the last of a ResNet has 3x3 cells at 96 pixels
Explain = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Maps float32[B,H,W], not negative, as large as the pictures; `method` says how they were made.

    The maps of one picture for several classes share a scale; those of two pictures do not.
    """

    method: str
    maps: NDArray[np.float32]


def find_evidence(classifier: ImageClassifier, images: Pixels, classes: Sequence[int]) -> Evidence:
    """Return for pictures uint8[B,H,W,C] where each has what speaks for the class (an index) that is asked of it."""
    classifier.eval()
    pictures = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(classifier.device)
    wanted = torch.tensor(classes, device=classifier.device)
    exact = torch.autocast(classifier.device.type, enabled=False)
    with exact, classifier.uncompiled(), torch.enable_grad():
        method, explain = _choose(classifier.network, classifier.normalise(pictures[:1]))
        # Of a frozen network too there is a gradient, since it is asked of the pictures.
        parts = [
            explain(classifier.normalise(some).requires_grad_(), asked).detach()
            for some, asked in zip(torch.split(pictures, BATCH), torch.split(wanted, BATCH), strict=True)
        ]
    maps = F.interpolate(torch.cat(parts)[:, None], images.shape[1:3], mode="bicubic", align_corners=False)
    return Evidence(method, maps[:, 0].clamp(min=0).cpu().numpy())


def _choose(network: nn.Module, example: Tensor) -> tuple[str, Explain]:
    """Return the method that suits the network, by what happens in it to one picture float[1,C,H,W]."""
    if getattr(network, "global_pool", "") == "token" and _all_see_all(network, example):
        return "gradient-weighted attention", lambda x, classes: _attention_map(network, x, classes)
    layer = _feature_layer(network, example)
    if layer is None:
        return "gradient times input", lambda x, classes: _input_map(network, x, classes)
    name, module = layer
    return f"Grad-CAM at {name}", lambda x, classes: _grad_cam(network, module, x, classes)


def _grad_cam(network: nn.Module, layer: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    with _outputs_of([layer]) as outputs:
        score = _score(network, x, classes)
    (gradient,) = torch.autograd.grad(score, outputs[layer])
    weights = _channels_first(network, gradient).mean((2, 3), keepdim=True)
    return (weights * _channels_first(network, outputs[layer])).sum(1).relu()


def _attention_map(network: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """Return what all layers pass on to the first token, attention weighted by its gradient: equations 5 and 6."""
    with _attention(network) as outputs:
        score = _score(network, x, classes)
    weights = list(outputs.values())
    relevance = torch.eye(weights[0].shape[-1], device=x.device)
    for weight, gradient in zip(weights, torch.autograd.grad(score, weights), strict=True):
        relevance = relevance + (weight * gradient).relu().mean(1) @ relevance
    return relevance[:, 0, _prefix(network) :].reshape(len(x), *_grid(network))


def _input_map(network: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(_score(network, x, classes), x)
    return (gradient * x).sum(1).relu()


def _score(network: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    logits: Tensor = network(x)
    return logits.gather(1, classes[:, None]).sum()


@torch.no_grad()
def _feature_layer(network: nn.Module, example: Tensor) -> tuple[str, nn.Module] | None:
    """Return the last layer of the chain that gives a map of enough cells, else of any map; None without maps."""
    features: Any = getattr(network, "forward_features", network)(example)
    if not isinstance(features, Tensor) or features.ndim == 3:
        return None  # Of tokens, or of several scales; what has the form of a map there is none that is pooled.
    chain = dict(_chain(network))
    with _outputs_of(chain.values()) as outputs:
        network(example)
    maps = {name: outputs[module] for name, module in chain.items() if module in outputs and outputs[module].ndim == 4}
    sides = {name: min(_channels_first(network, values).shape[2:]) for name, values in maps.items()}
    fine = [name for name, side in sides.items() if side >= LEAST_CELLS] or [
        name for name, side in sides.items() if side > 1
    ]
    return (fine[-1], chain[fine[-1]]) if fine else None


def _chain(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules that a picture passes one after the other: what has a shortcut around it is not among them."""
    for name, child in module.named_children():
        if isinstance(child, nn.Sequential):
            yield from _chain(child, f"{prefix}{name}.")
        yield f"{prefix}{name}", child


@torch.no_grad()
def _all_see_all(network: nn.Module, example: Tensor) -> bool:
    """Tell whether in each layer every token of the picture attends to every other: not so with windows."""
    with _attention(network) as outputs:
        network(example)
    tokens = _prefix(network) + math.prod(_grid(network))
    return bool(outputs) and all(weight.shape[2:] == (tokens, tokens) for weight in outputs.values())


def _channels_first(network: nn.Module, values: Tensor) -> Tensor:
    """Return a map of features as [B,C,h,w]."""
    return values.permute(0, 3, 1, 2) if getattr(network, "output_fmt", "NCHW") == "NHWC" else values


def _grid(network: nn.Module) -> tuple[int, int]:
    """Return how many tokens high and wide a picture is; 0 and 0 if the network does not say."""
    return getattr(getattr(network, "patch_embed", None), "grid_size", None) or (0, 0)


def _prefix(network: nn.Module) -> int:
    """Return the number of tokens before those of the picture."""
    return int(getattr(network, "num_prefix_tokens", 0))


@contextmanager
def _attention(network: nn.Module) -> Iterator[dict[nn.Module, Tensor]]:
    """Keep the attention weights [B,heads,N,N], which fused attention never writes down."""
    layers: list[Any] = [
        layer for layer in network.modules() if hasattr(layer, "fused_attn") and hasattr(layer, "attn_drop")
    ]
    before = [layer.fused_attn for layer in layers]
    try:
        for layer in layers:
            layer.fused_attn = False
        with _outputs_of(layer.attn_drop for layer in layers) as outputs:
            yield outputs
    finally:
        for layer, fused in zip(layers, before, strict=True):
            layer.fused_attn = fused


@contextmanager
def _outputs_of(modules: Iterable[nn.Module]) -> Iterator[dict[nn.Module, Tensor]]:
    """Keep what each module puts out when the network is called, in the order in which they do."""
    outputs: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            outputs[module] = output

    hooks = [module.register_forward_hook(keep) for module in modules]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
