"""A list of albumentations as one function of a batch on the device that trains."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mlops_cls.data.augment import Augment
from mlops_cls.data.ondevice.colours import ColorJitter, GaussNoise, RandomBrightnessContrast
from mlops_cls.data.ondevice.flips import D4, HorizontalFlip, VerticalFlip
from mlops_cls.data.ondevice.geometry import Affine, Pad, RandomCrop, RandomResizedCrop
from mlops_cls.data.ondevice.holes import CoarseDropout, Erasing
from mlops_cls.data.ondevice.operation import Operation, UntranslatableError, each
from mlops_cls.data.ondevice.uniforms import Uniforms
from mlops_cls.data.sampling import MIRROR
from mlops_cls.errors import ConfigError

ALTERNATING = "AlternatingFlip"
OPERATIONS: Mapping[str, type[Operation]] = {
    "HorizontalFlip": HorizontalFlip,
    "VerticalFlip": VerticalFlip,
    ALTERNATING: HorizontalFlip,
    "D4": D4,
    "Pad": Pad,
    "PadIfNeeded": Pad,
    "RandomCrop": RandomCrop,
    "RandomResizedCrop": RandomResizedCrop,
    "Affine": Affine,
    "RandomBrightnessContrast": RandomBrightnessContrast,
    "ColorJitter": ColorJitter,
    "CoarseDropout": CoarseDropout,
    "Erasing": Erasing,
    "GaussNoise": GaussNoise,
}


class BatchAugment:
    """The chain of `augment` for whole batches: the same transforms with the same probabilities, but other draws.

    Raises:
        ConfigError: a transform, or a setting of one, that only albumentations has.
    """

    def __init__(self, augment: Augment) -> None:
        self.steps = [(_operation(given), _chance(given)) for given in augment.transforms]

    @torch.no_grad()
    def __call__(self, images: Tensor, seeds: Tensor) -> Tensor:
        """Return pictures uint8[B,C,H,W], channels last, each after the one draw that its seed (int64[B]) fixes.

        Raises:
            ConfigError: the chain changes the pictures' size, which the network is not built for.
        """
        uniforms, mirrored = Uniforms(seeds % MIRROR), seeds >= MIRROR
        drawn = images
        for operation, chance in self.steps:
            drawn = _by_chance(operation, mirrored if chance is None else chance, drawn, uniforms)
        if drawn.shape != images.shape:
            was, became = (list(batch.shape[2:]) for batch in (images, drawn))
            raise ConfigError(f"augment.transforms turn {was} into {became}; only such that keep the size can be used")
        return drawn.contiguous(memory_format=torch.channels_last)


def _by_chance(operation: Operation, chance: float | Tensor, images: Tensor, uniforms: Uniforms) -> Tensor:
    chosen = chance if isinstance(chance, Tensor) else uniforms.take(1)[:, 0] < chance
    changed = operation(images, uniforms)
    if not isinstance(chance, Tensor) and chance >= 1:
        return changed
    if changed.shape != images.shape:
        raise ConfigError("augment.transforms: a crop or a rim changes the size, so it needs p: 1.0")
    return torch.where(each(chosen), changed, images)


def _operation(given: Any) -> Operation:
    name = type(given).__name__
    if name not in OPERATIONS:
        raise ConfigError(f"{name} can only be drawn by albumentations, picture by picture{_WAY_OUT}")
    try:
        return OPERATIONS[name](given)
    except UntranslatableError as setting:
        raise ConfigError(f"{name} with {setting} can only be drawn by albumentations{_WAY_OUT}") from None


def _chance(given: Any) -> float | None:
    """Return how often a transform is applied; None if that is decided by the seed's own bit."""
    return None if type(given).__name__ == ALTERNATING else float(given.p)


_WAY_OUT = (
    f": leave it out of augment.transforms, or set augment.where=worker (and data.home=disk); on the device there are "
    f"{', '.join(OPERATIONS)}"
)
