"""Pictures as people have them: every mode, format, turn and size, each with a scene that tells its class."""

import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

Save = Callable[[Image.Image], tuple[str, bytes]]


def write_odd_pictures(root: Path, classes: Mapping[str, tuple[int, int, int]], per_class: int = 14) -> Path:
    """Write ``root/class/*`` pictures, whose colour is near the class's own, and return root.

    Args:
        root: folder to make.
        classes: names with their colours.
        per_class: pictures of a class; `ODD` has 14 kinds, which come in turn.
    """
    generator = np.random.default_rng(0)
    for label, colour in classes.items():
        (root / label).mkdir(parents=True)
        for number in range(per_class):
            name, save = list(ODD.items())[number % len(ODD)]
            width, height = (int(side) for side in generator.integers(17, 90, 2))
            if name in ("tall", "wide"):
                width, height = (9, 160) if name == "tall" else (160, 9)
            noise = generator.integers(-40, 41, (height, width, 3))
            picture = Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))
            ending, content = save(picture)
            (root / label / f"{number:02d} {name}.{ending}").write_bytes(content)
    return root


def write_in_odd_ways(root: Path, pictures: Iterable[tuple[np.ndarray, str]]) -> dict[str, str]:
    """Write grey pictures uint8[H,W] of any class in each of `ODD` in turn; return the class by the path below root."""
    generator, labels = np.random.default_rng(0), {}
    for number, (pixels, label) in enumerate(pictures):
        name, save = list(ODD.items())[number % len(ODD)]
        width, height = (int(side) for side in generator.integers(17, 90, 2))
        grey = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
        ending, content = save(ImageOps.colorize(grey, "midnightblue", "ivory"))
        path = root / label / f"{number:04d} {name}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        labels[path.relative_to(root).as_posix()] = label
    return labels


def _saved(kind: str, ending: str, mode: str = "RGB", **options: object) -> Save:
    def save(picture: Image.Image) -> tuple[str, bytes]:
        file = io.BytesIO()
        picture.convert(mode).save(file, kind, **options)
        return ending, file.getvalue()

    return save


def _turned(orientation: int) -> Save:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _saved("JPEG", "jpg", quality=92, exif=exif)


def _deep(picture: Image.Image) -> tuple[str, bytes]:
    grey = np.asarray(picture.convert("L")).astype(np.uint16)
    file = io.BytesIO()
    Image.fromarray(grey * 257).save(file, "PNG")
    return "png", file.getvalue()


def _through(picture: Image.Image) -> tuple[str, bytes]:
    alpha = Image.linear_gradient("L").resize(picture.size)
    file = io.BytesIO()
    picture.putalpha(alpha)
    picture.save(file, "PNG")
    return "PNG", file.getvalue()  # endings in capitals too


def _large(picture: Image.Image) -> tuple[str, bytes]:
    return _saved("JPEG", "jpeg")(picture.resize((1280, 960)))  # decoded at a part of its scale


ODD: dict[str, Save] = {
    "rgb": _saved("PNG", "png"),
    "palette": _saved("PNG", "png", "P"),
    "cmyk": _saved("JPEG", "jpg", "CMYK"),
    "see-through": _through,
    "16 bit": _deep,
    "upside down": _turned(3),
    "on its side": _turned(6),
    "mirrored": _turned(5),
    "1 bit": _saved("TIFF", "tif", "1"),
    "grey": _saved("BMP", "bmp", "L"),
    "tall": _saved("WEBP", "webp", lossless=True),
    "wide": _saved("PNG", "png"),
    "large": _large,
    "gif": _saved("GIF", "gif", "P"),
}
