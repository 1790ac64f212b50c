"""Mirror images and quarter turns."""

from typing import Any

import torch
from torch import Tensor

from mlops_cls.data.ondevice.operation import each
from mlops_cls.data.ondevice.uniforms import Uniforms


class HorizontalFlip:
    """Left and right exchanged."""

    def __init__(self, given: Any) -> None: ...

    def __call__(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        return _left_right(images)


class VerticalFlip:
    """Top and bottom exchanged."""

    def __init__(self, given: Any) -> None: ...

    def __call__(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        return _top_bottom(images)


class D4:
    """One of the eight symmetries of the square: three independent mirrors make each equally often."""

    def __init__(self, given: Any) -> None: ...

    def __call__(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        for mirror in (_diagonal, _left_right, _top_bottom):
            images = torch.where(each(uniforms.take(1)[:, 0] < 0.5), mirror(images), images)
        return images


def _diagonal(images: Tensor) -> Tensor:
    return images.mT


def _left_right(images: Tensor) -> Tensor:
    return images.flip(3)


def _top_bottom(images: Tensor) -> Tensor:
    return images.flip(2)
