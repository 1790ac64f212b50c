"""A look at every picture's header before anything is decoded: sizes and modes, and the geometry they suggest."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

from mlops_cls.data.manifest import Geometry, Plan
from mlops_cls.data.source import Sample, Source
from mlops_cls.pictures import GREY_MODES, PictureError, open_picture, reasons

GRID, SMALLEST, LARGEST = 32, 32, 224


@dataclass(frozen=True, slots=True)
class Scan:
    """Short sides in pixels and number of pictures per Pillow mode, of the files whose header could be read."""

    short_sides: list[int]
    modes: dict[str, int]


def scan(source: Source, samples: Sequence[Sample]) -> Scan:
    """Read the headers; files without one are left to decoding, which names them."""

    def header(sample: Sample) -> tuple[int, str] | None:
        try:
            with reasons(), open_picture(source.picture(sample)) as picture:
                return min(picture.size), picture.mode
        except PictureError:
            return None

    with ThreadPoolExecutor() as pool:
        found = [entry for entry in pool.map(header, samples) if entry is not None]
    return Scan([side for side, _ in found], dict(Counter(mode for _, mode in found)))


def resolve(plan: Plan, found: Scan) -> Geometry:
    """Return the plan's geometry; where it leaves a choice, one that suits the pictures.

    Size: the median short side, rounded up to a multiple of 32 that most networks divide well, within 32..224.
    Channels: 1 if every picture is grey, else 3.
    """
    size = plan.size or _size_near(found.short_sides)
    grey = set(found.modes) <= GREY_MODES if plan.channels == "auto" else plan.channels == "grey"
    return Geometry(
        size=size, resize=plan.resize, crop=plan.crop, interpolation=plan.interpolation, channels=1 if grey else 3
    )


def _size_near(short_sides: Sequence[int]) -> int:
    middle = int(median(short_sides)) if short_sides else LARGEST
    return min(max(-(-middle // GRID) * GRID, SMALLEST), LARGEST)
