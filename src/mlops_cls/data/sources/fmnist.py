"""Fashion-MNIST from its four idx files, as torchvision lays them out; no pickle is read."""

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mlops_cls.data.source import Sample
from mlops_cls.errors import DataError
from mlops_cls.pictures import Pixels

PARTS = {"train": "train", "test": "t10k"}
IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049
NESTED = (".", "raw", "FashionMNIST/raw")


class FashionMnistSource:
    """Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747: 60,000 training and 10,000 test pictures, 28x28 grey."""

    name = "fmnist"
    classes = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
    attributes: Mapping[str, Mapping[str, Any]] = {}

    def __init__(self, root: str | Path | None = None, *, download: bool = True) -> None:
        self.root = Path(root or "data/fmnist")
        self.download = download

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for path in self._files.values():
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def samples(self) -> list[Sample]:
        return [
            Sample(f"{split}/{i:05d}", self.classes[label], split)
            for split in PARTS
            for i, label in enumerate(self._labels(split))
        ]

    def picture(self, sample: Sample) -> Pixels:
        split, _, number = sample.id.partition("/")
        pixels: Pixels = self._pixels[split][int(number)]
        return pixels

    @cached_property
    def _pixels(self) -> dict[str, Pixels]:
        return {split: _read_idx(self._files[f"{split}/images"], IMAGES_MAGIC, 16, (28, 28)) for split in PARTS}

    def _labels(self, split: str) -> Pixels:
        labels = _read_idx(self._files[f"{split}/labels"], LABELS_MAGIC, 8, ())
        if len(labels) != len(self._pixels[split]) or labels.max(initial=0) >= len(self.classes):
            raise DataError(f"{self._files[f'{split}/labels']} does not belong to {self._files[f'{split}/images']}")
        return labels

    @cached_property
    def _files(self) -> dict[str, Path]:
        found = self._find()
        if len(found) < len(_file_names()) and self.download:
            _download(self.root)
            found = self._find()
        if len(found) < len(_file_names()):
            raise DataError(_what_to_place(self.root))
        return found

    def _find(self) -> dict[str, Path]:
        candidates = {
            key: [self.root / nested / (name + end) for nested in NESTED for end in ("", ".gz")]
            for key, name in _file_names().items()
        }
        found = {key: next((path for path in paths if path.is_file()), None) for key, paths in candidates.items()}
        return {key: path for key, path in found.items() if path is not None}


def _file_names() -> dict[str, str]:
    kinds = {"images": "images-idx3-ubyte", "labels": "labels-idx1-ubyte"}
    return {f"{split}/{kind}": f"{part}-{name}" for split, part in PARTS.items() for kind, name in kinds.items()}


def _what_to_place(root: Path) -> str:
    names = ", ".join(f"{name}.gz" for name in _file_names().values())
    return (
        f"Fashion-MNIST is not complete in {root.resolve()}: place {names} there, or set data.root=FOLDER that has them"
    )


def _download(root: Path) -> None:
    """Fetch the four files from torchvision's mirrors into `root`/FashionMNIST/raw, md5-checked."""
    from torchvision.datasets import FashionMNIST

    try:
        FashionMNIST(str(root), download=True)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{_what_to_place(root)}. (The download failed: {reason})") from error


def _read_idx(path: Path, magic: int, header: int, shape: tuple[int, ...]) -> Pixels:
    """Read an idx file of bytes: big-endian magic number and dimensions, then the values."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        values = np.frombuffer(content, np.uint8, offset=header).reshape(-1, *shape)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error}): fetch it again") from error
    found, number = np.frombuffer(content, ">u4", count=2)
    if found != magic or number != len(values):
        raise DataError(
            f"{path} is no Fashion-MNIST file: magic {found}, {number} entries announced, {len(values)} found"
        )
    return values
