"""Crop, stretch and pad give the pixels that plain Pillow code gives."""

import numpy as np
import pytest
from PIL import Image

from mlops_cls.pictures import PictureError, Pixels, fit_picture, read_picture

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def noise(*shape: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def fit(picture: Image.Image, size: int, channels: int = 3, **options: object) -> Pixels:
    geometry = {"resize": "crop", "crop": 1.0, "interpolation": "bilinear"} | options
    return fit_picture(picture, size, channels=channels, **geometry)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resize", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("interpolation", FILTERS)
def test_the_fitted_array_has_another_shape_or_type(resize: str, interpolation: str, channels: int) -> None:
    for shape in ((40, 70, 3), (70, 40, 3), (5, 9)):
        fitted = fit(Image.fromarray(noise(*shape)), 24, channels, resize=resize, interpolation=interpolation)
        assert fitted.shape == (24, 24, channels)
        assert fitted.dtype == np.uint8


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("box", [(40, 60), (60, 40), (40, 40), (10, 16)])
def test_the_whole_short_side_is_not_kept(box: tuple[int, int], interpolation: str) -> None:
    picture = Image.fromarray(noise(box[1], box[0], 3))
    scale = 20 / min(box)
    whole = picture.resize((round(box[0] * scale), round(box[1] * scale)), FILTERS[interpolation])
    left, top = (whole.width - 20) // 2, (whole.height - 20) // 2
    expected = np.asarray(whole.crop((left, top, left + 20, top + 20)))
    np.testing.assert_array_equal(fit(picture, 20, interpolation=interpolation), expected)


def test_a_crop_of_less_than_the_short_side_differs_from_resizing_and_cropping() -> None:
    picture = Image.fromarray(noise(200, 160, 3))
    # torchvision's recipe for evaluation: resize the short side to 80, keep the middle 70.
    expected = picture.resize((80, 100), Image.Resampling.BICUBIC).crop((5, 15, 75, 85))
    fitted = fit(picture, 70, crop=0.875, interpolation="bicubic")
    np.testing.assert_array_equal(fitted, np.asarray(expected))


def test_stretching_keeps_the_aspect_ratio() -> None:
    picture = Image.fromarray(noise(30, 50, 3))
    expected = picture.resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(fit(picture, 16, resize="stretch"), np.asarray(expected))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("box", [(60, 20), (20, 60), (20, 20)])
def test_padding_is_off_centre_or_not_black(box: tuple[int, int], channels: int) -> None:
    picture = Image.fromarray(noise(box[1], box[0], 3)).convert("RGB" if channels == 3 else "L")
    width, height = (round(side * 30 / max(box)) for side in box)
    small = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC)).reshape(height, width, channels)
    expected = np.zeros((30, 30, channels), np.uint8)
    top, left = (30 - height) // 2, (30 - width) // 2
    expected[top : top + height, left : left + width] = small
    np.testing.assert_array_equal(fit(picture, 30, channels, resize="pad", interpolation="bicubic"), expected)


def test_a_thread_of_a_picture_becomes_padding_alone() -> None:
    white = Image.new("L", (600, 2), 255)
    assert fit(white, 224, 1, resize="pad").max() == 255
    with pytest.raises(PictureError, match="600x2 pixels are too narrow to be padded to 64x64"):
        fit(white, 64, 1, resize="pad")


@pytest.mark.parametrize("resize", ["crop", "stretch", "pad"])
def test_a_picture_of_the_right_size_is_resampled(resize: str) -> None:
    array = noise(28, 28, 1)
    np.testing.assert_array_equal(fit(read_picture(array), 28, 1, resize=resize), array)


def test_grey_becomes_coloured() -> None:
    array = noise(12, 12)
    np.testing.assert_array_equal(fit(Image.fromarray(array), 12, 3), np.repeat(array[..., None], 3, axis=2))


def test_colours_are_weighted_otherwise_when_they_become_grey() -> None:
    array = noise(12, 12, 3)
    luma = array @ np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
    np.testing.assert_allclose(fit(Image.fromarray(array), 12, 1)[..., 0], luma, atol=1)
