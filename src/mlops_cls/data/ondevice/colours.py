"""Light, contrast, colour and noise, with pixels cut to whole numbers where albumentations and OpenCV do so."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mlops_cls.data.ondevice.operation import each, require, to_bytes
from mlops_cls.data.ondevice.uniforms import Uniforms

GREY = (0.299, 0.587, 0.114)  # of red, green and blue, as OpenCV's RGB2GRAY weighs them


class RandomBrightnessContrast:
    """Pixels times a random factor plus a random number."""

    def __init__(self, given: Any) -> None:
        require(given, ensure_safe_range=False)
        self.given = given

    def __call__(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        pixels = images.float()
        factor = 1 + uniforms.between(*self.given.contrast_limit)
        by = 255 if self.given.brightness_by_max else pixels.mean((1, 2, 3))
        shift = uniforms.between(*self.given.brightness_limit) * by
        return to_bytes(pixels.mul_(each(factor)).add_(each(shift)))


class ColorJitter:
    """Brightness, contrast, saturation and hue, in random order."""

    def __init__(self, given: Any) -> None:
        changes: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], float, bool]] = {
            "brightness": (_brightness, 1, False),
            "contrast": (_contrast, 1, False),
            "saturation": (_saturation, 1, True),
            "hue": (_hue, 0, True),
        }
        ranges = {name: getattr(given, name) for name in changes}
        # What never changes anything is left out: the order of the others stays as random.
        self.changes = [
            (change, ranges[name], needs_colour)
            for name, (change, neutral, needs_colour) in changes.items()
            if tuple(ranges[name]) != (neutral, neutral)
        ]

    def __call__(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        strengths = [uniforms.between(*span) for _, span, _ in self.changes]
        order = uniforms.take(len(self.changes)).argsort(1)
        coloured = images.shape[1] == 3
        for turn in order.T:
            changed = images
            for i, (change, _, needs_colour) in enumerate(self.changes):
                if coloured or not needs_colour:
                    changed = torch.where(each(turn == i), change(images, each(strengths[i])), changed)
            images = changed
        return images


class GaussNoise:
    """Normal noise of random strength, for each pixel and, unless per_channel=False, each channel."""

    def __init__(self, given: Any) -> None:
        require(given, noise_scale_factor=1)
        self.given = given

    def __call__(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        std, mean = uniforms.between(*self.given.std_range), uniforms.between(*self.given.mean_range)
        shape = (images.shape[1] if self.given.per_channel else 1, *images.shape[2:])
        noise = uniforms.normal(math.prod(shape)).view(-1, *shape) * each(std) + each(mean)
        return to_bytes(images.float().add_(noise, alpha=255))


def grey(images: Tensor) -> Tensor:
    """Return uint8-valued float[B,1,H,W]."""
    if images.shape[1] == 1:
        return images.float()
    weights = torch.tensor(GREY, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True).round()


def _brightness(images: Tensor, factor: Tensor) -> Tensor:
    return to_bytes(images.float().mul_(factor))


def _contrast(images: Tensor, factor: Tensor) -> Tensor:
    mean = grey(images).mean((1, 2, 3), keepdim=True)
    return to_bytes(images.float().mul_(factor).add_(mean * (1 - factor)))


def _saturation(images: Tensor, factor: Tensor) -> Tensor:
    return to_bytes(images.float().mul_(factor).add_(grey(images) * (1 - factor)).round_())


def _hue(images: Tensor, turn: Tensor) -> Tensor:
    hue, saturation, value = _to_hsv(images)
    return _from_hsv(((hue + 180 * turn) % 180).floor(), saturation, value)


def _to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return hue (0 to below 180), saturation and value (0 to 255), rounded as OpenCV's RGB2HSV of 8 bits has them."""
    red, green, blue = (images[:, channel : channel + 1].float() for channel in range(3))
    value = images.amax(1, keepdim=True).float()
    span = value - images.amin(1, keepdim=True)
    sixth = 30 / span.clamp(min=1)
    hue = torch.where(
        value == red,
        (green - blue) * sixth,
        torch.where(value == green, (blue - red) * sixth + 60, (red - green) * sixth + 120),
    )
    return hue.round() % 180, (255 * span / value.clamp(min=1)).round(), value


def _from_hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Undo `_to_hsv`: Smith, Color gamut transform pairs, SIGGRAPH 1978, doi:10.1145/965139.807361."""
    places = torch.tensor([5, 3, 1], device=hue.device).view(1, 3, 1, 1)
    k = (places + hue / 30) % 6
    return (value - value * saturation / 255 * torch.minimum(k, 4 - k).clamp(0, 1)).round().clamp(0, 255).byte()
