"""What every batched transform is: made from an albumentations transform, applied to pictures by their own draws."""

from typing import Any, Protocol

from torch import Tensor

from mlops_cls.data.ondevice.uniforms import Uniforms


class Operation(Protocol):
    """A transform of a batch uint8[B,C,H,W] that takes its random numbers from `Uniforms`."""

    def __init__(self, given: Any) -> None:
        """Take over the settings of an albumentations transform, as albumentations has read them.

        Raises:
            UntranslatableError: one of them has no translation.
        """

    def __call__(self, images: Tensor, uniforms: Uniforms) -> Tensor: ...


class UntranslatableError(Exception):
    """A setting of a transform that exists in albumentations only."""


def require(given: Any, **values: Any) -> None:
    """Raise `UntranslatableError` unless the settings of the transform have these values."""
    for name, value in values.items():
        if getattr(given, name) != value:
            raise UntranslatableError(f"{name}={getattr(given, name)}")


def each(values: Tensor) -> Tensor:
    """Return the values [B] of B pictures as [B,1,1,1]."""
    return values[:, None, None, None]


def to_bytes(pixels: Tensor) -> Tensor:
    """Return float pixels, which are used up, as uint8: cut off, as albumentations does where OpenCV would round."""
    return pixels.clamp_(0, 255).byte()
