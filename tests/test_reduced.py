"""A large JPEG is decoded at a reduced scale where hardly a pixel changes, and nowhere else."""

import io

import numpy as np
import pytest
from PIL import Image

from mlops_cls.pictures import PictureError, fit_picture, levels, load_picture, read_picture

GEOMETRY = {"resize": "crop", "crop": 1.0, "interpolation": "bilinear", "channels": 3}
MODES = {"grey": "L", "colour": "RGB", "cmyk": "CMYK"}


def scene(width: int, height: int) -> Image.Image:
    """Return smooth colours with edges and grain; no corner is like another."""
    generator = np.random.default_rng(0)
    colours = Image.fromarray(generator.integers(0, 256, (9, 12, 3)).astype(np.uint8))
    smooth = np.asarray(colours.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    smooth[: height // 3, : width // 2] += 60
    return Image.fromarray(np.clip(smooth + generator.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8))


def jpeg(picture: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("size", "shown", "expected"),
    [
        ((480, 384), 16, (60, 48)),  # an eighth leaves 3 times 16
        ((480, 384), 17, (120, 96)),
        ((480, 384), 33, (240, 192)),
        ((480, 384), 65, (480, 384)),
        ((384, 480), 32, (96, 120)),
        ((484, 384), 16, (121, 96)),  # 484 is no multiple of 8
        ((482, 384), 16, (241, 192)),
        ((481, 384), 16, (481, 384)),
    ],
)
def test_the_scale_leaves_too_few_pixels_or_cuts_one(
    size: tuple[int, int], shown: int, expected: tuple[int, int]
) -> None:
    data = jpeg(scene(*size))
    assert read_picture(data, shown=shown).size == expected
    assert read_picture(data).size == size


@pytest.mark.parametrize("kind", MODES)
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}], ids=str)
def test_reduced_decoding_changes_the_picture(kind: str, options: dict[str, object]) -> None:
    data = jpeg(scene(800, 608).convert(MODES[kind]), **options)
    for resize, crop in (("crop", 1.0), ("crop", 0.875), ("stretch", 1.0), ("pad", 1.0)):
        geometry = GEOMETRY | {"resize": resize, "crop": crop}
        picture, fitted, _ = load_picture(data, 44, **geometry)
        assert picture.size == (200, 152)
        assert picture.mode == ("L" if kind == "grey" else "RGB")
        difference = np.abs(fitted.astype(int) - fit_picture(read_picture(data), 44, **geometry))
        assert difference.mean() < 0.8
        assert difference.max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_is_reduced_on_its_side(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg(scene(800, 608), exif=exif)
    picture, fitted, _ = load_picture(data, 48, **GEOMETRY)
    assert picture.size == ((200, 152) if orientation < 5 else (152, 200))
    difference = np.abs(fitted.astype(int) - fit_picture(read_picture(data), 48, **GEOMETRY))
    assert difference.mean() < 0.8


def test_other_files_and_pixels_at_hand_are_reduced() -> None:
    whole = scene(480, 384)
    png = io.BytesIO()
    whole.save(png, "PNG")
    for source in (png.getvalue(), whole, np.asarray(whole)):
        picture, fitted, _ = load_picture(source, 16, **GEOMETRY)
        assert picture.size == whole.size
        np.testing.assert_array_equal(fitted, fit_picture(whole, 16, **GEOMETRY))


def test_half_of_a_large_jpeg_is_filled_up() -> None:
    data = jpeg(scene(480, 384))
    with pytest.raises(PictureError, match="cannot be decoded"):
        load_picture(data[: len(data) // 2], 16, **GEOMETRY)


def test_the_callers_jpeg_is_reduced() -> None:
    with Image.open(io.BytesIO(jpeg(scene(480, 384)))) as picture:
        load_picture(picture, 16, **GEOMETRY)
        assert picture.size == (480, 384)


@pytest.mark.parametrize("channels", [1, 3])
def test_levels_are_miscounted(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, channels)).astype(np.uint8)
    expected = [np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(channels)]
    np.testing.assert_array_equal(levels(pixels), expected)
