"""Files that claim to be pictures: cut, bent, blown up, or something else altogether."""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
from PIL import Image

Files = Iterator[tuple[str, bytes]]

SIDE = 48
KINDS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000")
FOREIGN = {
    "empty": b"",
    "one byte": b"\xff",
    "zeros": b"\0" * 4096,
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script><image href="file:///etc/passwd"/></svg>',
    "svg of entities": b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><svg>&b;</svg>',
    "html": b"<!doctype html><html><body><img src=x onerror=alert(1)></body></html>",
    "json": b'{"file": "picture", "predictions": []}',
    "pdf": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer << /Root 1 0 R >>\n%%EOF",
    "exe": b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff\0\0\xb8" + b"\0" * 43 + b"\x80\0\0\0PE\0\0d\x86",
    "elf": b"\x7fELF\2\1\1" + b"\0" * 57,
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n/x (/etc/passwd) (r) file def\nshowpage\n%%EOF",
    "eps with a preview": b"\xc5\xd0\xd3\xc6" + b"\0" * 28 + b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "script": b"#!/bin/sh\nid\n",
    "pickle": b"\x80\4\x95\x1d\0\0\0\0\0\0\0\x8c\5posix\x94\x8c\6system\x94\x93\x94\x8c\2id\x94\x85\x94R\x94.",
    "url": b"https://example.org/picture.png",
    "path": b"/etc/passwd",
    "mvg": b"push graphic-context\nimage over 0,0 0,0 'https://example.org/'\npop graphic-context\n",
    "xpm": b'/* XPM */\nstatic char *x[] = {"1000000000 1000000000 1 1", "a c #000000"};',
    "fits": b"SIMPLE  =                    T".ljust(80)
    + b"BITPIX  =                    8".ljust(80)
    + b"END".ljust(80),
    "gbr": struct.pack(">5I", 28, 2, 65535, 65535, 4) + b"GIMP" + b"\0" * 16,
    "mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0" * 64,
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 64,
    "avif without a picture": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + b"\0" * 64,
}


def malformed(count: int = 300, seed: int = 0) -> Files:
    """Give so many files with what is wrong with each: all special ones, then cut and bent ones of every format."""
    return islice(_all(seed), count)


def sound() -> Files:
    """Give small pictures of every format that a service takes, with its name."""
    pixels = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    for kind in KINDS:
        yield kind, encoded(Image.fromarray(pixels), kind)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    """Return a picture as a file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _all(seed: int) -> Files:
    yield from FOREIGN.items()
    for make in (_bombs, _odd_metadata, _odd_pixels, _wrong_headers):
        yield from make()
    yield from _damaged(np.random.default_rng(seed))


def _bombs() -> Files:
    yield "png of 2 thousand million pixels", _png(50_000, 50_000)
    yield "png of the largest sides", _png(2**31 - 1, 2**31 - 1)
    yield "png of no pixels", _png(0, 0)
    yield "png of one row", _png(2**31 - 1, 1)
    yield "png that inflates a thousandfold", _png(7000, 7000, zlib.compress(b"\0" * 7000 * 7001, 9))
    yield "png that inflates beyond its sides", _png(8, 8, zlib.compress(b"\0" * 50_000_000, 9))
    for chunk in (b"zTXt", b"iTXt", b"iCCP"):
        inflated = b"x\0" + (b"\1\0\0\0" if chunk == b"iTXt" else b"\0") + zlib.compress(b"a" * 80_000_000, 9)
        yield f"png whose {chunk.decode()} inflates", _png(8, 8, extra=_chunk(chunk, inflated))
    yield "gif of the largest sides", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\2D\1\0;"
    yield "bmp of the largest sides", _bmp(2**31 - 1, 2**31 - 1)
    yield "bmp of a negative height", _bmp(64, -(2**31))
    yield "ppm of the largest sides", b"P6 99999999 99999999 255\n" + b"x" * 100
    yield "ppm of endless digits", b"P6 " + b"9" * 100_000 + b" 1 255\n"
    yield "plain ppm without an end", b"P3 60 60 255\n" + b"1 " * 100
    yield "webp of the largest sides", b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0/\xff\xff\xff\x0f" + b"\0" * 9
    yield "jpeg of the largest sides", _jpeg_sides(65535, 65535)
    yield "jpeg of no height", _jpeg_sides(64, 0)
    yield "tiff of the largest sides", _tiff(2**31 - 1, 2**31 - 1)
    yield "gif of thousands of frames", _animated("GIF", 3000)
    yield "png of hundreds of frames", _animated("PNG", 300)
    yield "webp of hundreds of frames", _animated("WEBP", 300)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("picture.png", b"\0" * 20_000_000)
    yield "zip bomb", packed.getvalue()
    yield "gzip bomb", gzip.compress(b"\0" * 20_000_000)


def _odd_metadata() -> Files:
    base = Image.new("RGB", (SIDE, SIDE), "teal")
    yield "jpeg with ICC garbage", encoded(base, "JPEG", icc_profile=b"\xff" * 60_000)
    yield "png with ICC garbage", encoded(base, "PNG", icc_profile=b"no profile")
    for name, exif in {
        "announces entries that are not there": b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01",
        "points to itself": b"Exif\0\0II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0",
        "counts thousands of millions": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\xff\xff\xff\xff\1\0\0\0\0\0\0\0",
        "turns it in a ninth way": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x63\0\0\0\0\0\0\0",
        "is of text": b"Exif\0\0" + b"no tags at all " * 100,
        "is large": b"Exif\0\0II*\0\x08\0\0\0\1\0\x86\x92\2\0\xf0\xfa\0\0\x1a\0\0\0\0\0\0\0" + b"x" * 64_000,
        "turns by text": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\2\0\4\0\0\0abc\0\0\0\0\0",
    }.items():
        yield f"jpeg whose EXIF {name}", encoded(base, "JPEG", exif=exif)
        yield f"png whose EXIF {name}", _png(SIDE, SIDE, extra=_chunk(b"eXIf", exif[6:]))
    xmp = b"http://ns.adobe.com/xap/1.0/\0" + b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + b"<a>" * 9000
    yield "jpeg with unclosed XMP", _with_segment(encoded(base, "JPEG"), 0xE1, xmp)
    for marker in (0xE0, 0xED, 0xEE, 0xFE, 0xDB, 0xC4, 0xDA):
        yield f"jpeg with a broken segment {marker:X}", _with_segment(encoded(base, "JPEG"), marker, b"\xff\0" * 40)
    for tag, kind, length, value in (
        (259, 3, 1, 65000), (258, 3, 3, 999999), (262, 3, 1, 999), (277, 3, 1, 65535), (273, 4, 99999, 8),
        (278, 4, 1, 0), (279, 4, 1, 2**32 - 1), (322, 4, 1, 2**31), (330, 4, 9999, 8), (34377, 1, 2**31, 8),
        (317, 3, 1, 77), (256, 4, 1, 0), (257, 12, 1, 8), (274, 3, 1, 200), (339, 3, 4, 8), (320, 3, 7, 8),
        (338, 3, 60000, 8),
    ):  # fmt: skip
        yield f"tiff whose tag {tag} is odd", _tiff(8, 8, (tag, kind, length, value))
    yield "tiff whose directories go round", _tiff(8, 8, following=8)


def _odd_pixels() -> Files:
    grey = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    yield "32-bit float", encoded(Image.fromarray(grey.astype(np.float32)), "TIFF")
    yield "float of no number", encoded(Image.fromarray(np.full((SIDE, SIDE), np.nan, np.float32)), "TIFF")
    yield "16 bit", encoded(Image.fromarray(grey.astype(np.uint16)), "PNG")
    yield "32 bit", encoded(Image.fromarray((grey * 70000).astype(np.int32)), "TIFF")
    for kind in ("JPEG", "TIFF"):
        yield f"cmyk {kind.lower()}", encoded(Image.new("CMYK", (SIDE, SIDE), (1, 2, 3, 4)), kind)
    yield "lab", encoded(Image.new("LAB", (SIDE, SIDE)), "TIFF")
    yield "ycbcr", encoded(Image.new("YCbCr", (SIDE, SIDE)), "TIFF")
    yield "palette without colours", _png(8, 8, zlib.compress(b"\0" * 72), colour=3)
    yield (
        "palette with a colour too few",
        _png(8, 8, zlib.compress(b"\0\1" * 36), colour=3, extra=_chunk(b"PLTE", b"abc")),
    )
    yield "transparency of the wrong length", _png(8, 8, extra=_chunk(b"tRNS", b"x" * 99))
    for sides in ((1, 1), (1, 900), (900, 1), (2, 30_000)):
        yield f"{sides[0]}x{sides[1]} pixels", encoded(Image.new("RGB", sides), "PNG")


def _wrong_headers() -> Files:
    files = dict(sound())
    heads = {"PNG": 8, "JPEG": 3, "GIF": 6, "BMP": 2, "WEBP": 12, "TIFF": 4}
    for kind, size in heads.items():
        for other in heads:
            if other != kind:
                yield f"{other.lower()} that begins as {kind.lower()}", files[kind][:size] + files[other][size:]
    for kind, data in files.items():
        yield f"{kind.lower()} after html", b"<html>" + data
        yield f"{kind.lower()} followed by a zip", data + b"PK\3\4" + b"\0" * 1000
        yield f"half a {kind.lower()}", data[: len(data) // 2]


def _damaged(generator: np.random.Generator) -> Files:
    """Give cut and bent files for ever."""
    ways: dict[str, Callable[[bytearray, np.random.Generator], None]] = {"cut": _cut, "bent": _bend, "spliced": _splice}
    while True:
        for kind, data in sound():
            for way, damage in ways.items():
                damaged = bytearray(data)
                damage(damaged, generator)
                yield f"{way} {kind.lower()}", bytes(damaged)


def _cut(data: bytearray, generator: np.random.Generator) -> None:
    del data[generator.integers(1, len(data)) :]


def _bend(data: bytearray, generator: np.random.Generator) -> None:
    # Most of them in the headers, where a byte says how many others follow.
    for limit in (64, 64, 400, len(data)):
        data[generator.integers(min(limit, len(data)))] ^= 1 << int(generator.integers(8))


def _splice(data: bytearray, generator: np.random.Generator) -> None:
    start, end, to = sorted(generator.integers(0, len(data), 3))
    data[to:to] = data[start:end]


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png(width: int, height: int, pixels: bytes | None = None, *, colour: int = 0, extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    if pixels is None:
        pixels = zlib.compress(b"\0" * (width + 1) * height if width * height < 10_000 else b"\0")
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + extra + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _bmp(width: int, height: int) -> bytes:
    return (
        b"BM" + struct.pack("<IIIIiiHHIIIIII", 154, 0, 54, 40, width, height, 1, 24, 0, 100, 0, 0, 0, 0) + b"\0" * 100
    )


def _jpeg_sides(width: int, height: int) -> bytes:
    data = bytearray(encoded(Image.new("RGB", (SIDE, SIDE)), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def _with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def _tiff(width: int, height: int, *odd: tuple[int, int, int, int], following: int = 0) -> bytes:
    tags = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 400)}
    tags |= {277: (3, 1, 1), 278: (4, 1, height % 2**32), 279: (4, 1, 64)}
    tags |= {tag: (kind, length, value) for tag, kind, length, value in odd}
    entries = b"".join(struct.pack("<HHII", tag, *tags[tag]) for tag in sorted(tags))
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
    return (b"II*\0\x08\0\0\0" + directory).ljust(400, b"\0") + b"\0" * 64


def _animated(kind: str, frames: int) -> bytes:
    pictures = [Image.new("L", (4, 4), number % 256) for number in range(frames)]
    return encoded(pictures[0], kind, save_all=True, append_images=pictures[1:])
