"""Small archives in each data set's own raw layout, so that every run can be rehearsed without the real data.

A class is the direction of a striped pattern; brightness, contrast, phase, tint and noise are drawn apart from it, so a
classifier has something to learn and nothing to cheat with. Pictures of one group (a lesion) share those draws. The
same call writes the same pixels.
"""

import csv
import gzip
import io
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mlops_cls.data.sources.emotion import EMOTION
from mlops_cls.data.sources.fmnist import PARTS, FashionMnistSource
from mlops_cls.data.sources.seabed import SEABED
from mlops_cls.data.sources.skin_lesion import SKIN_LESION
from mlops_cls.errors import unknown_name
from mlops_cls.pictures import Pixels

VERSION = 2  # of the pictures and layouts below; part of the file's name
PER_CLASS = 40
BREEDS = ("affenpinscher", "beagle", "collie", "dingo")
EPOCH = (2020, 1, 1, 0, 0, 0)  # one time for all entries, or no two archives would be equal
Entries = Iterator[tuple[str, bytes]]


def write_synthetic(name: str, path: Path, *, per_class: int = PER_CLASS, seed: int = 0) -> Path:
    """Write the archive of a data set to `path`, whole or not at all, and return the path.

    Args:
        name: seabed, skin_lesion, fmnist, emotion or dog_breed.
        path: the .zip to write; what is there is replaced.
        per_class: pictures per class; for fmnist of the training part, its test part has half as many.
        seed: of every draw.

    Raises:
        ConfigError: no such data set.
    """
    if name not in _WRITERS:
        raise unknown_name("data set", name, _WRITERS)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own, so that two processes that start at once do not write into one file.
    aside = path.with_suffix(f".{os.getpid()}.partial")
    with zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
        for entry, content in _WRITERS[name](per_class, seed):
            archive.writestr(zipfile.ZipInfo(entry, EPOCH), content)
    aside.replace(path)
    return path


def stripes(label: int, classes: int, size: tuple[int, int], *, group: Sequence[int], number: int = 0) -> Pixels:
    """Return uint8[H,W,3]: stripes whose direction tells the class, in the look of the group, with their own noise."""
    look, own = np.random.default_rng([*group, 0]), np.random.default_rng([*group, 1 + number])
    height, width = size
    y, x = np.mgrid[0:height, 0:width] / min(size)
    angle = np.pi * (label + own.uniform(-0.2, 0.2)) / classes
    wave = np.sin(2 * np.pi * (look.uniform(4, 6) * (x * np.cos(angle) + y * np.sin(angle)) + own.uniform()))
    light, contrast = look.uniform(90, 165), look.uniform(35, 60)
    tint = look.uniform(0.85, 1.15, 3)
    noisy = (light + contrast * wave)[..., None] * tint + own.normal(0, 12, (height, width, 3))
    pixels: Pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    return pixels


def _seabed(per_class: int, seed: int) -> Entries:
    rows: list[tuple[str, str]] = []
    for label, name in enumerate(SEABED.classes or ()):
        for i in range(per_class):
            certainty = ("Sure", "Unsure")[i % 4 == 3]
            file = f"{name}_{certainty}.{i:05d}.png"
            pixels = stripes(label, len(SEABED.classes or ()), (150, 150), group=(seed, label, i))
            yield f"imgs/{file}", _encoded(Image.fromarray(pixels).convert("L"), "PNG")
            rows.append((file, name))
    yield "labels/labels.csv", _table(("id", "seafloor"), rows)


def _skin_lesion(per_class: int, seed: int) -> Entries:
    classes = SKIN_LESION.classes or ()
    rows: list[tuple[object, ...]] = []
    for label, name in enumerate(classes):
        for i in range(per_class):
            # One to three pictures of a lesion, as in the real set.
            lesion = i // 2 if i % 5 else i
            group = (seed, label, lesion)
            image = f"ISIC_{label:02d}{i:05d}"
            pixels = stripes(label, len(classes), (90, 120), group=group, number=i)
            yield f"images/{image}.jpg", _encoded(Image.fromarray(pixels), "JPEG")
            age, sex = 5 * (4 + (label + lesion) % 13), ("male", "female")[lesion % 2]
            rows.append((f"HAM_{label:02d}{lesion:05d}", image, name, "histo", float(age), sex, "back"))
    columns = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
    yield "metadata/HAM10000_metadata.csv", _table(columns, rows)


def _fmnist(per_class: int, seed: int) -> Entries:
    classes = len(FashionMnistSource.classes)
    for part, (split, prefix) in enumerate(PARTS.items()):
        number = per_class if split == "train" else max(per_class // 2, 1)
        labels = np.tile(np.arange(classes, dtype=np.uint8), number)
        pictures = [stripes(int(label), classes, (28, 28), group=(seed, part, i)) for i, label in enumerate(labels)]
        grey = np.stack([np.asarray(Image.fromarray(pixels).convert("L")) for pixels in pictures])
        yield f"FashionMNIST/raw/{prefix}-images-idx3-ubyte.gz", _idx(2051, grey)
        yield f"FashionMNIST/raw/{prefix}-labels-idx1-ubyte.gz", _idx(2049, labels)


def _emotion(per_class: int, seed: int) -> Entries:
    classes = EMOTION.classes or ()
    shares = {"train": 0.6, "valid": 0.2, "test": 0.2}
    for part, (split, share) in enumerate(shares.items()):
        for label in range(len(classes)):
            for i in range(max(round(per_class * share), 1)):
                stem = f"image{part}{label}{i:05d}"
                picture = Image.fromarray(stripes(label, len(classes), (96, 96), group=(seed, part, label, i)))
                # Both endings occur in every class: in the real set they give one class away.
                ending, form = (("png", "PNG"), ("jpg", "JPEG"))[i % 2]
                yield f"YOLO_format/{split}/images/{stem}.{ending}", _encoded(picture, form)
                yield f"YOLO_format/{split}/labels/{stem}.txt", f"{label} 0.5 0.5 1 1\n".encode()
    names = "\n".join(f"  {i}: {name}" for i, name in enumerate(classes))
    yield "YOLO_format/data.yaml", f"nc: {len(classes)}\nnames:\n{names}\n".encode()


def _dog_breed(per_class: int, seed: int) -> Entries:
    rows: list[tuple[str, str]] = []
    for label, breed in enumerate(BREEDS):
        for i in range(per_class):
            sizes = ((120, 160), (160, 120), (140, 140))
            pixels = stripes(label, len(BREEDS), sizes[i % 3], group=(seed, label, i))
            rows.append((f"{label:08x}{i:024x}", breed))
            yield f"train/{rows[-1][0]}.jpg", _encoded(Image.fromarray(pixels), "JPEG")
    yield "labels.csv", _table(("id", "breed"), sorted(rows))


_WRITERS: Mapping[str, Callable[[int, int], Entries]] = {
    "seabed": _seabed,
    "skin_lesion": _skin_lesion,
    "fmnist": _fmnist,
    "emotion": _emotion,
    "dog_breed": _dog_breed,
}


def _encoded(picture: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, quality=92)
    return buffer.getvalue()


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([columns, *rows])
    return buffer.getvalue().encode()


def _idx(magic: int, values: Pixels) -> bytes:
    header = np.array([magic, *values.shape], ">u4").tobytes()
    return gzip.compress(header + values.tobytes(), mtime=0)
