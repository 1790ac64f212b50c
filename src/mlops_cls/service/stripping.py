"""Pictures without what cameras, phones and programs write beside them: place, time, names, serial numbers, thumbnails.

JPEG, PNG and WebP keep every byte that pixels are decoded from, and the turn that EXIF may give them. All other kinds,
and files that are not quite what their format says, become PNG.
"""

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from mlops_cls.pictures import open_picture, read_picture, reasons

ORIENTATION, UPRIGHT = 0x0112, 1
_PNG, _PNG_KEPT = (
    b"\x89PNG\r\n\x1a\n",
    {b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"IDAT", b"IEND"},
)
_WEBP_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"}
_WEBP_ICC_EXIF_XMP, _WEBP_EXIF = 0b101100, 0b1000
_SOI, _EOI, _SOS, _COM, _APP0, _APP1, _APP14, _APP15 = 0xD8, 0xD9, 0xDA, 0xFE, 0xE0, 0xE1, 0xEE, 0xEF
_INSIDE_SCAN = {0, *range(0xD0, 0xD8)}
"""After 0xFF in entropy-coded data: a byte 0xFF itself, and restart markers."""


def without_metadata(data: bytes) -> tuple[str, bytes]:
    """Return the ending of a picture's format, and the picture; decoded it has the same pixels.

    Raises:
        PictureError: it cannot be decoded.
    """
    with reasons(), open_picture(data) as picture:
        kind, turn = picture.format, picture.getexif().get(ORIENTATION, UPRIGHT)
    exif = _exif(turn) if turn in range(UPRIGHT + 1, 9) else b""
    try:
        if kind in ("JPEG", "MPO"):
            return "jpg", b"".join(_jpeg(data, exif))
        if kind == "PNG":
            return "png", b"".join(_png(data, exif))
        if kind == "WEBP":
            return "webp", _webp(data, exif)
    except (struct.error, IndexError, ValueError):
        pass  # decoders forgive what is not quite its format
    return "png", _decoded(data)


def _exif(turn: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    return exif.tobytes()


def _decoded(data: bytes) -> bytes:
    file = io.BytesIO()
    read_picture(data).save(file, "PNG")
    return file.getvalue()


def _jpeg(data: bytes, exif: bytes) -> Iterator[bytes]:
    """Keep what ISO/IEC 10918-1 decodes with, JFIF's header, and Adobe's, which names the colours."""
    yield bytes((0xFF, _SOI))
    if exif:
        yield bytes((0xFF, _APP1)) + struct.pack(">H", len(exif) + 2) + exif
    at = 2
    while (marker := _marker(data, at)) != _EOI:
        (length,) = struct.unpack_from(">H", data, at + 2)
        content, at = data[at + 4 : at + 2 + length], at + 2 + length
        needed = _needed(marker, content)
        if needed is not None:
            yield bytes((0xFF, marker)) + struct.pack(">H", len(needed) + 2) + needed
        if marker == _SOS:
            end = _end_of_scan(data, at)
            yield data[at:end]
            at = end
    yield bytes((0xFF, _EOI))


def _needed(marker: int, content: bytes) -> bytes | None:
    if marker == _APP0 and content.startswith(b"JFIF\0"):
        return content[:12] + bytes(2)  # without its thumbnail
    if marker == _APP14 and content.startswith(b"Adobe"):
        return content[:12]
    return None if marker == _COM or _APP0 <= marker <= _APP15 else content


def _marker(data: bytes, at: int) -> int:
    if data[at] != 0xFF or data[at + 1] in (0x00, 0xFF):
        raise ValueError("no marker where one is expected")
    return data[at + 1]


def _end_of_scan(data: bytes, at: int) -> int:
    while (at := data.index(b"\xff", at)) and data[at + 1] in _INSIDE_SCAN:
        at += 2
    return at


def _png(data: bytes, exif: bytes) -> Iterator[bytes]:
    yield _PNG
    at, kind = len(_PNG), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in _PNG_KEPT:
            yield data[at : at + 12 + length]
        if kind == b"IHDR" and exif:
            yield _png_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
        at += 12 + length


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _webp(data: bytes, exif: bytes) -> bytes:
    kept, at = [], 12
    while at < len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + length]
        if kind == b"VP8X":
            flags = content[0] & ~_WEBP_ICC_EXIF_XMP | (_WEBP_EXIF if exif else 0)
            content = bytes((flags,)) + content[1:]
        if kind in _WEBP_KEPT:
            kept.append(_webp_chunk(kind, content))
        at += 8 + length + length % 2
    body = b"WEBP" + b"".join(kept) + (_webp_chunk(b"EXIF", exif) if exif else b"")
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
