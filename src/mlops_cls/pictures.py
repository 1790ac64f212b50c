"""One geometry for every consumer: a picture file becomes the uint8 array that a network sees.

Preparation, evaluation, prediction and the service all call `load_picture`, so none of them can differ. Only Pillow and
numpy are used.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from mlops_cls.errors import DataError

Pixels = NDArray[np.uint8]
PictureSource = str | Path | bytes | IO[bytes] | Image.Image | Pixels

SUFFIXES = (".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# Pillow has forty more readers, of which one starts Ghostscript and most were never fuzzed; what a file is called does
# not matter to it.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L"})
SMALLEST_SIDE = 2
# libjpeg decodes at 1/2, 1/4 or 1/8 for little more than reading the file. What that changes, in grey levels of 255
# against decoding in full, by the times that the reduced short side exceeds the shown one (bilinear, 107 photographs of
# dogs; mean, mean of the worst picture, most in any pixel; scale 1/2, the others are alike):
#   times    as sharp as photographs get    enlarged to 4000x3000
#   1.0      3.2  11.5  89                  0.7  0.8  12
#   1.5      1.1   4.0  33                  0.4  0.6   7
#   2.0      0.8   2.3  19                  0.3  0.4   5
#   3.0      0.4   1.2  11                  0.2  0.4   4
# A factor of 2 would save a quarter of the time at 2400x1800 and nothing at 4000x3000, where both lead to 1/4.
REDUCED = 3.0
_MODES = {1: "L", 3: "RGB"}
_SOURCES = "give a path, bytes, an open file, a PIL image, or an array uint8[H,W] or uint8[H,W,C]"
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class PictureError(DataError):
    """A file that is no picture, or one that cannot be used; the message is the reason alone."""


class Loaded(NamedTuple):
    """A picture upright, perhaps at a reduced scale; as it was fitted, uint8[size,size,C]; and its sides.

    `sides` are width and height of the whole picture as it lies in its file, before it was set upright.
    """

    picture: Image.Image
    pixels: Pixels
    sides: tuple[int, int]


def load_picture(
    source: PictureSource,
    size: int,
    *,
    resize: str,
    crop: float,
    interpolation: str,
    channels: int,
    max_pixels: int | None = None,
) -> Loaded:
    """Return a picture as `read_picture` gives it for these sides, and as `fit_picture` fits it.

    Raises:
        PictureError: as both of them do.
    """
    with reasons(), open_picture(source, max_pixels) as opened:
        sides = opened.size
        picture = _upright(opened, shown=size / crop)
    fitted = fit_picture(picture, size, resize=resize, crop=crop, interpolation=interpolation, channels=channels)
    return Loaded(picture, fitted, sides)


def read_picture(source: PictureSource, *, shown: float | None = None) -> Image.Image:
    """Decode a picture upright, in mode L or RGB.

    Handles EXIF orientation, CMYK, 16-bit grey (its high byte is kept) and palettes; transparency is laid over white.

    Args:
        source: path, bytes, binary file, PIL image, or array uint8[H,W] or uint8[H,W,C] with 1, 3 or 4 channels.
        shown: pixels to which the short side will be resized. A JPEG with many more may then come at a half, a quarter
            or an eighth of its scale, which takes a fraction of the time; without it every pixel is decoded.

    Raises:
        PictureError: not a picture, truncated, of an unsupported mode, or smaller than 2x2 pixels.
    """
    with reasons(), open_picture(source) as picture:
        return _upright(picture, shown)


def _upright(picture: Image.Image, shown: float | None) -> Image.Image:
    if shown is not None:
        _reduce(picture, shown)
    ImageOps.exif_transpose(picture, in_place=True)
    if min(picture.size) < SMALLEST_SIDE:
        raise PictureError(f"only {picture.width}x{picture.height} pixels")
    return _grey_or_rgb(picture)


def _reduce(picture: Image.Image, shown: float) -> None:
    """Have a JPEG decoded at the smallest scale that leaves `REDUCED` times the pixels shown."""
    for scale in (8, 4, 2):
        # Of sides that do not divide, the last row or column would cover more than the picture, and shift it.
        divides = not (picture.width % scale or picture.height % scale)
        if divides and min(picture.size) >= REDUCED * scale * shown:
            picture.draft(None, (picture.width // scale, picture.height // scale))
            return


def open_picture(source: PictureSource, max_pixels: int | None = None) -> Image.Image:
    """Open a picture without decoding its pixels; its `size` and `mode` are known then.

    Args:
        source: as for `read_picture`.
        max_pixels: of a picture that may be decoded; never more than Pillow's own limit, `Image.MAX_IMAGE_PIXELS`.

    Raises:
        PictureError: too large, an array of another kind, a URL, or nothing that can hold a picture.
    """
    most = min((limit for limit in (max_pixels, Image.MAX_IMAGE_PIXELS) if limit), default=None)
    try:
        picture = _opened(source)
    except Image.DecompressionBombError:
        raise _too_large(most) from None
    if most is not None and picture.width * picture.height > most:
        if picture is not source:
            picture.close()
        raise _too_large(most)
    return picture.copy() if picture is source else picture


def _opened(source: PictureSource) -> Image.Image:
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, bytes):
        return Image.open(io.BytesIO(source), formats=_formats())
    if isinstance(source, str) and is_url(source):
        raise PictureError("a URL, and nothing is fetched from one: save the picture and give its path or its bytes")
    if not isinstance(source, str | Path) and not hasattr(source, "read"):
        raise PictureError(f"{type(source).__name__} is no picture: {_SOURCES}")
    return Image.open(source, formats=_formats())


@cache
def _formats() -> tuple[str, ...]:
    """Return those of `FORMATS` that this Pillow can read."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def is_url(text: str) -> bool:
    """Tell whether the text is an address and no path; a Path made of https://… says https:/…"""
    return re.match(r"[a-z][a-z0-9+.-]+:/|data:", text, re.IGNORECASE) is not None


class _Quiet:
    """Hides Pillow's warnings of odd metadata while any thread decodes.

    The filters belong to the whole process: were each thread to set and restore them, as `warnings.catch_warnings`
    does, one would restore what another had set, and they would stay changed for good.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._filters = Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters.enter_context(warnings.catch_warnings(action="ignore"))
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.close()


_QUIET = _Quiet()


@contextmanager
def reasons() -> Iterator[None]:
    """Turn whatever Pillow raises for a bad file into `PictureError` with a short reason."""
    try:
        with _QUIET:
            yield
    except UnidentifiedImageError:
        raise PictureError("not a picture") from None
    except FileNotFoundError:
        raise PictureError("no such file") from None
    except PictureError:
        raise
    except Exception as error:  # a dozen kinds; AssertionError and struct.error among them
        raise PictureError(f"cannot be decoded ({str(error) or type(error).__name__})") from None


def fit_picture(
    picture: Image.Image, size: int, *, resize: str, crop: float, interpolation: str, channels: int
) -> Pixels:
    """Return uint8[size, size, channels]: `picture` in the geometry that `Preprocess` describes."""
    converted = picture if picture.mode == _MODES[channels] else picture.convert(_MODES[channels])
    kind = _FILTERS[interpolation]
    if resize == "stretch":
        fitted = converted.resize((size, size), kind)
    elif resize == "pad":
        fitted = _padded(converted, size, kind)
    else:
        fitted = _centre_crop(converted, size, crop, kind)
    return np.asarray(fitted, dtype=np.uint8).reshape(size, size, channels)


def levels(pixels: Pixels) -> NDArray[np.int64]:
    """Return int64[C,256]: how often each level occurs in uint8[H,W,C], with C 1 or 3."""
    return np.array(_from_array(pixels).histogram(), np.int64).reshape(pixels.shape[2], 256)


def _padded(picture: Image.Image, size: int, kind: Image.Resampling) -> Image.Image:
    if round(min(picture.size) / max(picture.size) * size) == 0:
        # Pillow would return padding alone.
        raise PictureError(f"{picture.width}x{picture.height} pixels are too narrow to be padded to {size}x{size}")
    return ImageOps.pad(picture, (size, size), kind)


def _centre_crop(picture: Image.Image, size: int, crop: float, kind: Image.Resampling) -> Image.Image:
    # One resampling of the kept square alone: the same pixels as resizing everything, for less work.
    side = min(picture.size) * crop
    left, top = (picture.width - side) / 2, (picture.height - side) / 2
    if side == size and picture.size == (size, size):
        return picture
    return picture.resize((size, size), kind, box=(left, top, left + side, top + side))


def _grey_or_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        high_byte = np.clip(np.asarray(picture), 0, 65535) >> 8
        return Image.fromarray(high_byte.astype(np.uint8))
    if picture.mode == "F":
        raise PictureError("32-bit float pixels have no fixed range: convert to 8 or 16 bit")
    if picture.has_transparency_data:
        return _over_white(picture)
    if picture.mode in ("L", "RGB"):
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _over_white(picture: Image.Image) -> Image.Image:
    grey = picture.mode in ("LA", "La", "L")
    # Pillow converts premultiplied grey to LA alone.
    layer = (picture.convert("LA") if picture.mode == "La" else picture).convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return flat.convert("L" if grey else "RGB")


def _too_large(most: int | None) -> PictureError:
    return PictureError(f"more than {most} pixels")


def _from_array(pixels: Pixels) -> Image.Image:
    shape_known = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4))
    if pixels.dtype != np.uint8 or not shape_known:
        raise PictureError(
            f"array {pixels.dtype}{list(pixels.shape)}; allowed: uint8[H,W] or uint8[H,W,C] with C 1, 3 or 4"
        )
    return Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
