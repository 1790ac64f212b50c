"""Any picture file becomes the pixels that a straightforward reading of it gives, or a short reason why not."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from mlops_cls.pictures import PictureError, Pixels, read_picture, reasons

FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "JPEG2000", "PPM")
# What a viewer does for each EXIF orientation, in numpy's words.
UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.swapaxes(np.rot90(a, 2), 0, 1),
    8: np.rot90,
}


def noise(*shape: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def pixels(source: object) -> Pixels:
    return np.asarray(read_picture(source))


def test_a_picture_differs_by_the_way_it_is_handed_over(tmp_path: Path) -> None:
    array = noise(9, 12, 3)
    path = tmp_path / "a picture.png"
    Image.fromarray(array).save(path)
    with path.open("rb") as file:
        sources = [str(path), path, path.read_bytes(), file, io.BytesIO(path.read_bytes()), Image.open(path), array]
        for source in sources:
            np.testing.assert_array_equal(pixels(source), array, err_msg=type(source).__name__)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3), (5, 4, 4)])
def test_an_array_is_read_with_another_shape(shape: tuple[int, ...]) -> None:
    array = noise(*shape)
    if array.ndim == 3:
        array[..., 3:] = 255  # opaque
    np.testing.assert_array_equal(pixels(array), array[:, :, :3].squeeze() if array.ndim == 3 else array)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 3), np.int64),
        np.zeros((4, 4), bool),
        np.zeros(4, np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_an_array_of_another_kind_is_guessed_at(array: object) -> None:
    with pytest.raises(PictureError, match=r"allowed: uint8\[H,W\]"):
        read_picture(array)


def test_the_callers_picture_is_closed(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(6, 6, 3, seed=seed)) for seed in (0, 1)]
    frames[0].save(tmp_path / "two.tif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "two.tif") as picture:
        np.testing.assert_array_equal(pixels(picture), noise(6, 6, 3))
        picture.seek(1)
        np.testing.assert_array_equal(np.asarray(picture), noise(6, 6, 3, seed=1))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_not_turned_into_rgb(kind: str) -> None:
    data = encoded(Image.fromarray(noise(8, 8, 3)).convert("CMYK"), kind)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.mode == "CMYK"
        np.testing.assert_array_equal(pixels(data), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_16_bit_grey_loses_its_high_byte(kind: str, order: str) -> None:
    deep = np.array([[0, 255, 256], [4660, 65279, 65535]], order)
    if kind == "PNG" and order == ">u2":
        deep = deep.astype("<u2")  # PNG has one byte order only, and Pillow writes it from this one
    data = encoded(Image.fromarray(deep), kind)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.mode.startswith("I;16")
    np.testing.assert_array_equal(pixels(data), [[0, 0, 1], [18, 254, 255]])


def test_32_bit_grey_beyond_16_bits_wraps_around() -> None:
    data = encoded(Image.fromarray(np.array([[-5, 0], [65535, 70000]], np.int32)), "TIFF")
    np.testing.assert_array_equal(pixels(data), [[0, 0], [255, 255]])


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_not_laid_over_white(mode: str) -> None:
    layer = noise(16, 16, len(mode)) if mode == "RGBA" else noise(16, 16, 2)
    layer[:4, ..., -1], layer[4:8, ..., -1] = 0, 255
    picture = Image.frombytes(mode, (16, 16), layer.tobytes())
    alpha = layer[..., -1:] / 255
    expected = np.round(layer[..., :-1] * alpha + 255 * (1 - alpha)).squeeze()
    for source in (picture, encoded(picture, "PNG"), encoded(picture, "TIFF")):
        result = pixels(source)
        np.testing.assert_allclose(result, expected, atol=1)
        assert (result[:4] == 255).all()
        np.testing.assert_array_equal(result[4:8], layer[4:8, ..., :-1].squeeze())


def test_premultiplied_grey_is_refused() -> None:
    picture = Image.merge("LA", [Image.new("L", (4, 4), 0), Image.new("L", (4, 4), 128)])
    assert np.unique(pixels(picture.convert("La"))).tolist() == [127]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_entry_shows_its_colour(kind: str) -> None:
    index = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    picture = Image.fromarray(index).convert("P")
    picture.putpalette([200, 0, 0, 0, 150, 0, 0, 0, 100])
    picture.putdata(index.ravel().tolist())
    data = encoded(picture, kind, transparency=1)
    colours = np.array([(200, 0, 0), (255, 255, 255), (0, 0, 100)], np.uint8)
    np.testing.assert_array_equal(pixels(data), colours[index])


def test_a_palette_stays_a_palette() -> None:
    picture = Image.fromarray(noise(8, 8, 3)).quantize(8)
    np.testing.assert_array_equal(pixels(encoded(picture, "PNG")), np.asarray(picture.convert("RGB")))


def test_the_one_transparent_colour_of_a_png_is_not_laid_over_white() -> None:
    grey = np.array([[7, 8], [9, 7]], np.uint8)
    data = encoded(Image.fromarray(grey), "PNG", transparency=7)
    np.testing.assert_array_equal(pixels(data), [[255, 8], [9, 255]])
    data = encoded(Image.fromarray(np.repeat(grey[..., None], 3, axis=2)), "PNG", transparency=(7, 7, 7))
    np.testing.assert_array_equal(pixels(data)[..., 0], [[255, 8], [9, 255]])


def test_black_and_white_is_not_read_as_grey() -> None:
    data = encoded(Image.fromarray(np.array([[True, False], [False, True]])), "PNG")
    np.testing.assert_array_equal(pixels(data), [[255, 0], [0, 255]])


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_a_turned_photograph_is_not_set_upright(kind: str, orientation: int) -> None:
    array = noise(6, 9, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(array), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    np.testing.assert_array_equal(pixels(data), UPRIGHT[orientation](array))


def test_32_bit_float_is_given_a_guessed_range() -> None:
    data = encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")
    with pytest.raises(PictureError, match="no fixed range: convert to 8 or 16 bit"):
        read_picture(data)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1)])
def test_a_picture_of_one_pixel_passes(size: tuple[int, int]) -> None:
    data = encoded(Image.new("RGB", size), "PNG")
    with pytest.raises(PictureError, match=f"^only {size[0]}x{size[1]} pixels$"):
        read_picture(data)
    assert pixels(encoded(Image.new("L", (2, 2), 7), "PNG")).tolist() == [[7, 7], [7, 7]]


@pytest.mark.parametrize("data", [b"", b"path,label\n", b"\x00" * 500, b"\x89PNG\r\n\x1a\n"], ids=len)
def test_a_file_that_is_no_picture_is_called_otherwise(data: bytes) -> None:
    with pytest.raises(PictureError, match=r"^not a picture$"):
        read_picture(data)


def test_a_missing_file_is_called_otherwise(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"^no such file$"):
        read_picture(tmp_path / "gone.png")
    with pytest.raises(PictureError, match="cannot be decoded"):
        read_picture(tmp_path)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("kept", [0.6, 0.9])
def test_half_a_picture_is_filled_up(kind: str, kept: float) -> None:
    data = encoded(Image.fromarray(noise(24, 20, 3)), kind)
    assert pixels(data).shape == (24, 20, 3)
    with pytest.raises(PictureError, match="cannot be decoded"):
        read_picture(data[: int(len(data) * kept)])


def test_flipped_bits_pass_for_a_picture() -> None:
    data = bytearray(encoded(Image.fromarray(noise(24, 20, 3)), "PNG"))
    data[len(data) // 2] ^= 1
    with pytest.raises(PictureError, match="cannot be decoded"):
        read_picture(bytes(data))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_stops_the_program(kind: str) -> None:
    data = encoded(Image.fromarray(noise(24, 20, 3)), kind)
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(80):
        damaged = bytearray(data)
        for position in generator.integers(0, min(len(data), 200), 3):
            damaged[position] = generator.integers(256)
        try:
            read_picture(bytes(damaged))
        except PictureError as reason:
            refused += 1
            assert "\n" not in str(reason)
    assert refused > 5


@pytest.mark.parametrize("kind", ["EPS", "DDS", "PCX", "TGA", "ICO", "SGI", "SPIDER", "MSP", "XBM"])
def test_a_format_that_nobody_means_to_read_is_read(kind: str) -> None:
    # That of EPS starts Ghostscript.
    mode = {"MSP": "1", "XBM": "1", "SPIDER": "F"}.get(kind, "RGB")
    data = encoded(Image.fromarray(noise(16, 16, 3)).convert(mode), kind)
    with pytest.raises(PictureError, match=r"^not a picture$"):
        read_picture(data)


def test_a_decoder_that_gives_up_stops_the_program() -> None:
    indexed = encoded(Image.new("P", (8, 8)), "PNG")
    start = indexed.index(b"PLTE") - 4
    without_palette = indexed[:start] + indexed[indexed.index(b"IDAT") - 4 :]
    with pytest.raises(PictureError, match="cannot be decoded"):
        read_picture(without_palette)  # Pillow raises AssertionError


@pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")
def test_a_damaged_avif_stops_the_program() -> None:
    data = encoded(Image.fromarray(noise(24, 20, 3)), "AVIF")
    blank = data[: data.index(b"mdat") + 4].ljust(len(data), b"\0")
    # Its reader raises RuntimeError, as no other does.
    with pytest.raises(PictureError, match="cannot be decoded"):
        read_picture(blank)


@pytest.mark.parametrize("side", [11, 30])  # Pillow only warns up to twice its limit, and raises above
def test_a_decompression_bomb_is_decoded(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("L", (side, 10), 3), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(PictureError, match=r"^more than 100 pixels$"):
        read_picture(data)
    assert pixels(encoded(Image.new("L", (10, 10), 3), "PNG")).shape == (10, 10)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert pixels(data).shape == (10, side)


def test_odd_metadata_makes_noise_or_costs_the_picture() -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01"  # five entries announced, none there
    data = encoded(Image.fromarray(noise(8, 8, 3)), "JPEG", exif=exif)
    with pytest.warns(UserWarning, match="Corrupt EXIF"), Image.open(io.BytesIO(data)) as picture:
        picture.load()
    assert pixels(data).shape == (8, 8, 3)  # warnings are errors here


def test_decoding_in_threads_changes_the_process_wide_warning_filters() -> None:
    before = list(warnings.filters)
    first, second = reasons(), reasons()
    # Two threads that overlap: the one that came first leaves first.
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    warnings.warn("hidden while one is still decoding", stacklevel=1)
    second.__exit__(None, None, None)
    assert list(warnings.filters) == before
