"""Pictures moved, turned, scaled, cropped and padded."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mlops_cls.data.ondevice.operation import UntranslatableError, require
from mlops_cls.data.ondevice.uniforms import Uniforms
from mlops_cls.errors import ConfigError

# OpenCV's numbers.
LINEAR = 1
CONSTANT, REPLICATE, REFLECT, WRAP, REFLECT_101 = range(5)

# What is beyond the border: padding_mode and align_corners of torch's grid_sample that do as OpenCV.
_BEYOND = {
    CONSTANT: ("zeros", False),
    REPLICATE: ("border", False),
    REFLECT: ("reflection", False),
    REFLECT_101: ("reflection", True),
}


class Affine:
    """albumentations' Affine: scaled, turned, sheared, then moved by whole pixels, about the middle of the picture."""

    def __init__(self, given: Any) -> None:
        require(given, interpolation=LINEAR, fit_output=False, balanced_scale=False)
        if given.border_mode not in _BEYOND:
            raise UntranslatableError(f"border_mode={given.border_mode}")
        self.given = given

    def __call__(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        height, width = images.shape[2:]
        shift_x, shift_y = self._shift(uniforms, width, "x"), self._shift(uniforms, height, "y")
        (a, b), (c, d) = self._inverse(uniforms)
        middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
        x = torch.arange(width, device=images.device) - middle_x - shift_x.view(-1, 1, 1)
        y = torch.arange(height, device=images.device)[:, None] - middle_y - shift_y.view(-1, 1, 1)
        across, down = (a * x, b * y + middle_x), (c * x, d * y + middle_y)
        return sample(images, across, down, border=self.given.border_mode, fill=self.given.fill)

    def _shift(self, uniforms: Uniforms, side: int, axis: str) -> Tensor:
        if self.given.translate_percent is not None:
            return (uniforms.between(*self.given.translate_percent[axis]) * side).trunc()
        return uniforms.whole(*map(int, self.given.translate_px[axis])).float()

    def _inverse(self, uniforms: Uniforms) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return the matrix that takes a place of the new picture back into the old one, [B,1,1] each."""
        tan_x, tan_y = (-uniforms.between(*self.given.shear[axis]).deg2rad().tan() for axis in "xy")
        scale_x, scale_y = (uniforms.between(*self.given.scale[axis]) for axis in "xy")
        scale_y = scale_x if self.given.keep_ratio else scale_y
        angle = uniforms.between(*self.given.rotate).deg2rad()
        cos, sin = angle.cos(), angle.sin()
        # The product of shear, rotation and scale, as albumentations' create_affine_transformation_matrix has it.
        a, b = (cos - tan_x * sin) * scale_x, (sin + tan_x * cos) * scale_y
        c, d = (tan_y * cos - sin) * scale_x, (tan_y * sin + cos) * scale_y
        determinant = a * d - b * c
        a, b, c, d = ((value / determinant).view(-1, 1, 1) for value in (d, -b, -c, a))
        return (a, b), (c, d)


class RandomResizedCrop:
    """A part of the picture, of random area and shape, as large as asked for."""

    TRIES = 10

    def __init__(self, given: Any) -> None:
        require(given, interpolation=LINEAR, area_for_downscale=None)
        self.size, self.scale, self.ratio = given.size, given.scale, given.ratio

    def __call__(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        height, width = images.shape[2:]
        crop_height, crop_width, top, left = self._crop(uniforms, height, width)
        across = _stretched(left, crop_width, self.size[1])[:, None, :], images.new_zeros(1, self.size[0], 1)
        down = images.new_zeros(1, 1, self.size[1]), _stretched(top, crop_height, self.size[0])[:, :, None]
        return sample(images, across, down, border=REPLICATE, fill=0)

    def _crop(self, uniforms: Uniforms, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return height, width, top and left of the first try that lies within the picture, float[B] each."""
        area = height * width * (self.scale[0] + (self.scale[1] - self.scale[0]) * uniforms.take(self.TRIES))
        low, high = map(math.log, self.ratio)
        ratio = (low + (high - low) * uniforms.take(self.TRIES)).exp()
        heights, widths = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
        fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
        first = fits.int().argmax(1, keepdim=True)  # the first of the largest
        crop_height, crop_width = heights.gather(1, first)[:, 0], widths.gather(1, first)[:, 0]
        top, left = uniforms.whole(0, height - crop_height).float(), uniforms.whole(0, width - crop_width).float()
        drawn, fallback = (crop_height, crop_width, top, left), self._central(height, width)
        one, two, three, four = (torch.where(fits.any(1), a, b) for a, b in zip(drawn, fallback, strict=True))
        return one, two, three, four

    def _central(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return height, width, top and left of the crop where no try fitted."""
        crop_height, crop_width = height, width
        if width / height < self.ratio[0]:
            crop_height = round(width / self.ratio[0])
        elif width / height > self.ratio[1]:
            crop_width = round(height * self.ratio[1])
        return crop_height, crop_width, (height - crop_height) // 2, (width - crop_width) // 2


class Pad:
    """The picture with a rim around it, by a number of pixels or up to a size."""

    def __init__(self, given: Any) -> None:
        if type(given).__name__ == "PadIfNeeded":
            require(given, position="center")
        self.given = given

    def __call__(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        height, width = images.shape[2:]
        left, top, right, bottom = self._rims(height, width)
        across = torch.arange(-left, width + right, device=images.device)
        down = torch.arange(-top, height + bottom, device=images.device)
        mode = self.given.border_mode
        padded = images[:, :, _within(down, height, mode)][:, :, :, _within(across, width, mode)]
        if mode != CONSTANT:
            return padded
        inside = ((down >= 0) & (down < height))[:, None] & (across >= 0) & (across < width)
        return torch.where(inside, padded, colour(self.given.fill, images).to(images.dtype))

    def _rims(self, height: int, width: int) -> tuple[int, int, int, int]:
        if type(self.given).__name__ == "PadIfNeeded":
            top, bottom = _up_to(height, self.given.min_height, self.given.pad_height_divisor)
            left, right = _up_to(width, self.given.min_width, self.given.pad_width_divisor)
            return left, top, right, bottom
        padding = self.given.padding
        sides = [padding] * 4 if isinstance(padding, int | float) else [*padding, *padding][:4]
        left, top, right, bottom = map(int, sides)
        return left, top, right, bottom


class RandomCrop:
    """A window of the picture, of fixed size, anywhere in it."""

    def __init__(self, given: Any) -> None:
        self.height, self.width = given.height, given.width

    def __call__(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        height, width = images.shape[2:]
        if height < self.height or width < self.width:
            raise ConfigError(
                f"augment.transforms: RandomCrop cannot take {self.height}x{self.width} out of {height}x{width}: "
                "put {name: Pad, padding: 4} before it"
            )
        down = uniforms.whole(0, height - self.height)[:, None] + torch.arange(self.height, device=images.device)
        across = uniforms.whole(0, width - self.width)[:, None] + torch.arange(self.width, device=images.device)
        picture = torch.arange(len(images), device=images.device)[:, None, None]
        return images.permute(0, 2, 3, 1)[picture, down[:, :, None], across[:, None, :]].permute(0, 3, 1, 2)


Places = tuple[Tensor, Tensor]
"""Coordinates [B,h,w], as a sum of what depends on the column, [B,1,w], and on the row, [B,h,1]: cheap to work with."""


def sample(images: Tensor, across: Places, down: Places, *, border: int, fill: Any) -> Tensor:
    """Return the pictures uint8[B,C,h,w] whose pixels lie at these places of `images`, linearly interpolated."""
    padding, by_middles = _BEYOND[border]
    grid = torch.stack(
        [_counted(*across, images.shape[3], by_middles), _counted(*down, images.shape[2], by_middles)], -1
    )
    # Sampled one channel after the other, which torch does twice as fast as channels last.
    pixels = images.to(torch.float32, memory_format=torch.contiguous_format)
    background = colour(fill, images) if border == CONSTANT and fill != 0 else None
    if background is not None:
        pixels -= background
    drawn = F.grid_sample(pixels, grid, padding_mode=padding, align_corners=by_middles)
    if background is not None:
        drawn += background
    return drawn.round_().clamp_(0, 255).byte()


def _counted(by_column: Tensor, by_row: Tensor, side: int, by_middles: bool) -> Tensor:
    """Return pixels counted as grid_sample does: -1 to 1 from middle to middle of the outer pixels, or edge to edge."""
    scale, start = (2 / max(side - 1, 1), -1) if by_middles else (2 / side, 1 / side - 1)
    return by_column * scale + (by_row * scale + start)


def colour(fill: Any, images: Tensor) -> Tensor:
    """Return a number or one per channel as float32[1,C or 1,1,1]."""
    return torch.as_tensor(fill, dtype=torch.float32, device=images.device).reshape(1, -1, 1, 1)


def _stretched(start: Tensor, length: Tensor, pixels: int) -> Tensor:
    """Return the places float[B,pixels] of new pixels along a side, none outside the part that is stretched."""
    places = (torch.arange(pixels, device=start.device) + 0.5) * (length / pixels)[:, None] - 0.5
    return start[:, None] + torch.minimum(places.clamp(min=0), length[:, None] - 1)


def _within(places: Tensor, side: int, mode: int) -> Tensor:
    """Return the pixel of a row that stands at each place, some of them beyond its ends."""
    if mode == WRAP:
        return places % side
    if mode == REFLECT:
        places = places % (2 * side)
        return torch.minimum(places, 2 * side - 1 - places)
    if mode == REFLECT_101:
        places = places % max(2 * side - 2, 1)
        return torch.minimum(places, (2 * side - 2 - places).abs())
    return places.clamp(0, side - 1)


def _up_to(side: int, least: int | None, divisor: int | None) -> tuple[int, int]:
    rim = max(least - side, 0) if least is not None else -side % (divisor or 1)
    return rim // 2, rim - rim // 2
