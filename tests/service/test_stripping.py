"""Pictures that are kept tell what they show, and nothing of who took them where."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mlops_cls.pictures import PictureError, load_picture, read_picture
from mlops_cls.service.stripping import without_metadata
from odd_pictures import ODD, write_odd_pictures

SECRET = b"52.5163N 13.3777E, Ada Lovelace"
GPS, ARTIST, ORIENTATION, ICC = 0x8825, 0x013B, 0x0112, b"icc of Ada Lovelace's screen, 52.5163N 13.3777E, Ada Lovelace"


def scene(mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return Image.fromarray(np.kron(pixels, np.ones((8, 8, 1), np.uint8))).convert(mode)


def exif(turn: int = 6) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION], tags[ARTIST] = turn, SECRET.decode()
    tags.get_ifd(GPS)[29] = SECRET.decode()  # the day, which is text
    return tags


def saved(kind: str, *, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    scene(mode).save(file, kind, **options)
    return file.getvalue()


def png_text() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", SECRET.decode())
    info.add_itxt("XML:com.adobe.xmp", f"<x>{SECRET.decode()}</x>")
    return info


def with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    return jpeg[:2] + bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content + jpeg[2:]


def motion_photo() -> bytes:
    """A JPEG with a film behind its end, and notes of all kinds before its beginning."""
    jpeg = saved("JPEG", exif=exif(), comment=SECRET, progressive=True, icc_profile=ICC)
    for marker, content in ((0xED, b"Adobe_Photoshop2.5:" + SECRET), (0xE0, b"JFXX\0\x10" + SECRET)):
        jpeg = with_segment(jpeg, marker, content)
    return jpeg + b"film" + SECRET + b"\xff\xd9"


FILES: dict[str, Callable[[], bytes]] = {
    "jpg": lambda: saved("JPEG", exif=exif(), comment=SECRET, quality=90, icc_profile=ICC),
    "jpg motion": motion_photo,
    "jpg cmyk": lambda: saved("JPEG", mode="CMYK", exif=exif(3), comment=SECRET),
    "jpg grey restarts": lambda: saved("JPEG", mode="L", comment=SECRET, restart_marker_blocks=1, exif=exif(5)),
    "jpg without exif": lambda: saved("JPEG", comment=SECRET),
    "png": lambda: saved("PNG", exif=exif(8), pnginfo=png_text(), icc_profile=ICC),
    "png palette": lambda: saved("PNG", mode="P", pnginfo=png_text(), transparency=3),
    "webp": lambda: saved("WEBP", exif=exif(7), xmp=SECRET, icc_profile=ICC),
    "webp lossless": lambda: saved("WEBP", mode="RGBA", exif=exif(1), lossless=True),
    "png of tif": lambda: saved("TIFF", exif=exif(), description=SECRET.decode()),
    "png of gif": lambda: saved("GIF", mode="P", comment=SECRET),
}


@pytest.mark.parametrize("name", FILES)
def test_a_kept_picture_tells_of_its_photographer_or_shows_something_else(name: str) -> None:
    data = FILES[name]()
    assert SECRET in data or b"Lovelace" in data or name == "png palette"
    ending, kept = without_metadata(data)
    assert ending == name.partition(" ")[0]
    assert SECRET not in kept
    assert b"Lovelace" not in kept
    np.testing.assert_array_equal(np.asarray(read_picture(kept)), np.asarray(read_picture(data)))
    with Image.open(io.BytesIO(kept)) as again:
        assert again.format == {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[ending]
        assert set(again.getexif()) <= {ORIENTATION}
        assert not {"icc_profile", "comment", "xmp", "Author"} & again.info.keys()


def test_lossless_is_not_lossless_for_pictures_as_people_have_them(tmp_path: Path) -> None:
    geometry = {"size": 32, "resize": "crop", "crop": 1.0, "interpolation": "bilinear", "channels": 3}
    paths = [*write_odd_pictures(tmp_path / "raw", {"red": (200, 30, 30)}, len(ODD)).rglob("*.*")]
    assert len(paths) == len(ODD)
    for path in paths:
        data = path.read_bytes()
        ending, kept = without_metadata(data)
        before, after = load_picture(data, **geometry), load_picture(kept, **geometry)
        np.testing.assert_array_equal(before.pixels, after.pixels, path.name)
        if ending in path.suffix:
            assert len(kept) <= len(data)
        assert without_metadata(kept) == (ending, kept)


def test_a_file_that_decoders_forgive_is_not_kept() -> None:
    whole = saved("JPEG", exif=exif(1))
    filled = whole[:2] + b"\xff\xff" + whole[3:]  # fill bytes before a marker
    ending, kept = without_metadata(filled)
    assert ending == "png"
    assert SECRET not in kept
    np.testing.assert_array_equal(np.asarray(read_picture(kept)), np.asarray(read_picture(filled)))
    with pytest.raises(PictureError):
        without_metadata(b"no picture")
