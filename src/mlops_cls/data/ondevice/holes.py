"""Rectangles cut out of pictures."""

from typing import Any

import torch
from torch import Tensor

from mlops_cls.data.ondevice.geometry import colour
from mlops_cls.data.ondevice.operation import UntranslatableError, each
from mlops_cls.data.ondevice.uniforms import Uniforms

Holes = tuple[Tensor, Tensor, Tensor, Tensor]


class CoarseDropout:
    """One or more holes, by the range of their sides: in pixels, or in parts of the picture if that is below 1."""

    def __init__(self, given: Any) -> None:
        self.given, self.fill = given, Fill(given.fill)

    def __call__(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        height, width = images.shape[2:]
        few, many = map(int, self.given.num_holes_range)
        number = uniforms.whole(few, many)
        for hole in range(many):
            tall, wide = self._sides(uniforms, height, width)
            top, left = uniforms.whole(0, height - tall), uniforms.whole(0, width - wide)
            there = inside(images, top, left, tall, wide) & each(hole < number)
            images = torch.where(there, self.fill(images, uniforms), images)
        return images

    def _sides(self, uniforms: Uniforms, height: int, width: int) -> tuple[Tensor, Tensor]:
        tall, wide = self.given.hole_height_range, self.given.hole_width_range
        if tall[1] >= 1:
            return _whole(uniforms, tall, height), _whole(uniforms, wide, width)
        return (height * uniforms.between(*tall)).long(), (width * uniforms.between(*wide)).long()


class Erasing:
    """One hole, by the range of its area in parts of the picture and of its width over its height."""

    def __init__(self, given: Any) -> None:
        self.scale, self.ratio, self.fill = given.scale, given.ratio, Fill(given.fill)

    def __call__(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        height, width = images.shape[2:]
        narrowest, widest = self.ratio
        least = height * width * self.scale[0]
        most = min(height * width * self.scale[1], narrowest * height**2, width**2 / widest)
        area = uniforms.between(least, most)
        high, low = (width**2 / area).clamp(max=widest), (area / height**2).clamp(min=narrowest)
        ratio = uniforms.between(low, high)
        tall, wide = (area / ratio).sqrt().round().long(), (area * ratio).sqrt().round().long()
        top, left = uniforms.whole(0, height - tall), uniforms.whole(0, width - wide)
        there = inside(images, top, left, tall, wide) & each((low <= high) & (least <= most))
        return torch.where(there, self.fill(images, uniforms), images)


class Fill:
    """What is in a hole: a colour, a random colour (random_uniform), or random pixels (random)."""

    def __init__(self, fill: Any) -> None:
        if isinstance(fill, str) and fill not in ("random", "random_uniform"):
            raise UntranslatableError(f"fill={fill}")
        self.fill = fill

    def __call__(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        """Return uint8 that can be broadcast to the shape of `images`."""
        if not isinstance(self.fill, str):
            return colour(self.fill, images).to(images.dtype)
        shape = images.shape[1:] if self.fill == "random" else torch.Size([images.shape[1], 1, 1])
        return (uniforms.take(shape.numel()) * 256).byte().view(-1, *shape)


def inside(images: Tensor, top: Tensor, left: Tensor, tall: Tensor, wide: Tensor) -> Tensor:
    """Return bool[B,1,H,W], true within each picture's rectangle."""
    down = torch.arange(images.shape[2], device=images.device)[:, None]
    across = torch.arange(images.shape[3], device=images.device)
    top, left, tall, wide = map(each, (top, left, tall, wide))
    return (down >= top) & (down < top + tall) & (across >= left) & (across < left + wide)


def _whole(uniforms: Uniforms, span: tuple[float, float], side: int) -> Tensor:
    return uniforms.whole(int(span[0]), int(min(span[1], side)))
