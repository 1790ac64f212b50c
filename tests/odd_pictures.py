"""Pictures as people have them: every mode and format, any size, some of them stored on their side."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

Save = Callable[[Image.Image, Path], None]
ON_ITS_SIDE = 6  # the EXIF orientation that asks a viewer to turn a picture by 90 degrees


def write_odd_pictures(root: Path, pictures: Iterable[tuple[np.ndarray, str]]) -> dict[str, str]:
    """Write grey pictures uint8[H,W] with their class as ``root/class/number.suffix``; return class by path."""
    labels = {}
    generator = np.random.default_rng(0)
    for number, (pixels, label) in enumerate(pictures):
        kind = list(_KINDS)[number % len(_KINDS)]
        width, height = (int(side) for side in generator.integers(17, 90, 2))
        picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
        path = root / label / f"{number:04d} {kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        _KINDS[kind](picture, path)
        labels[path.relative_to(root).as_posix()] = label
    return labels


def _as_mode(mode: str) -> Save:
    return lambda picture, path: picture.convert(mode).save(path)


def _coloured(picture: Image.Image, path: Path) -> None:
    ImageOps.colorize(picture, "midnightblue", "ivory").save(path, quality=85)


def _sixteen_bit(picture: Image.Image, path: Path) -> None:
    Image.fromarray(np.asarray(picture).astype(np.uint16) * 257).save(path)


def _palette(picture: Image.Image, path: Path) -> None:
    ImageOps.colorize(picture, "black", "gold").quantize(64).save(path)


def _see_through(picture: Image.Image, path: Path) -> None:
    image = ImageOps.colorize(picture, "darkgreen", "white").convert("RGBA")
    image.putalpha(ImageOps.invert(picture).point(lambda level: 128 + level // 2))
    image.save(path)


def _on_its_side(picture: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = ON_ITS_SIDE
    picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=90)


_KINDS: dict[str, Save] = {
    "grey.png": _as_mode("L"),
    "colour.jpg": _coloured,
    "cmyk.jpg": _as_mode("CMYK"),
    "palette.gif": _palette,
    "see-through.png": _see_through,
    "grey with alpha.png": _as_mode("LA"),
    "16 bit.png": _sixteen_bit,
    "black and white.tif": _as_mode("1"),
    "on its side.jpg": _on_its_side,
    "lossy.webp": _coloured,
    "bitmap.bmp": _as_mode("RGB"),
}
