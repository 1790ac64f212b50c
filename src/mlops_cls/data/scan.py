"""A look at every picture's header before anything is decoded: what lies in the files, and the geometry it suggests."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median

from mlops_cls.data.manifest import Geometry, Plan
from mlops_cls.data.source import Sample, Source
from mlops_cls.pictures import GREY_MODES, PictureError, PictureSource, open_picture, reasons

GRID, SMALLEST, LARGEST = 32, 32, 224
NO_FILE = "array"
RUN = 32  # pictures handed to a thread at once, since handing one over costs more than reading its header


@dataclass(frozen=True, slots=True)
class Header:
    """A picture as it lies in the raw data: file format and mode in Pillow's words, sides in pixels, file in bytes.

    Pictures that lie in no file of their own have the format ``array`` and 0 bytes.
    """

    format: str
    mode: str
    width: int
    height: int
    bytes: int


def scan(source: Source, samples: Sequence[Sample]) -> dict[str, Header]:
    """Return the header of each sample by id; files without one are left to decoding, which names them."""

    def headers(run: Sequence[Sample]) -> list[tuple[str, Header]]:
        found: list[tuple[str, Header]] = []
        for sample in run:
            with suppress(PictureError), reasons():
                found.append((sample.id, _header(source.picture(sample))))
        return found

    with ThreadPoolExecutor() as pool:
        return dict(chain.from_iterable(pool.map(headers, (samples[i : i + RUN] for i in range(0, len(samples), RUN)))))


def _header(raw: PictureSource) -> Header:
    with open_picture(raw) as picture:
        return Header(picture.format or NO_FILE, picture.mode, *picture.size, _size_in_bytes(raw))


def _size_in_bytes(raw: PictureSource) -> int:
    if isinstance(raw, bytes):
        return len(raw)
    return Path(raw).stat().st_size if isinstance(raw, str | Path) else 0


def resolve(plan: Plan, headers: Mapping[str, Header]) -> Geometry:
    """Return the plan's geometry; where it leaves a choice, one that suits the pictures.

    Size: the median short side, rounded up to a multiple of 32 that most networks divide well, within 32..224.
    Channels: 1 if every picture is grey, else 3.
    """
    size = plan.size or _size_near([min(header.width, header.height) for header in headers.values()])
    return Geometry(
        size=size,
        resize=plan.resize,
        crop=plan.crop,
        interpolation=plan.interpolation,
        channels=1 if _grey(plan, (header.mode for header in headers.values())) else 3,
    )


def _grey(plan: Plan, modes: Iterable[str]) -> bool:
    return set(modes) <= GREY_MODES if plan.channels == "auto" else plan.channels == "grey"


def _size_near(short_sides: Sequence[int]) -> int:
    middle = int(median(short_sides)) if short_sides else LARGEST
    return min(max(-(-middle // GRID) * GRID, SMALLEST), LARGEST)
