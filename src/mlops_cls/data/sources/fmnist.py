"""Fashion-MNIST from its four idx files, plain, gzipped or in a zip, nested or not; no pickle is read."""

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mlops_cls.data.source import Sample
from mlops_cls.data.tree import Tree, open_trees
from mlops_cls.errors import DataError
from mlops_cls.pictures import Pixels

PARTS = {"train": "train", "test": "t10k"}
KAGGLE = "datasets/zalando-research/fashionmnist"  # the idx files, beside tables of pixels that are not read
IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049


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
        for file in self._files.values():
            digest.update(file.read())
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
    def _files(self) -> dict[str, "_File"]:
        found = self._find()
        if len(found) < len(_file_names()) and self.download:
            _download(self.root)
            found = self._find()
        if len(found) < len(_file_names()):
            raise DataError(_what_to_place(self.root))
        return found

    def _find(self) -> dict[str, "_File"]:
        trees = open_trees(self.root) if self.root.exists() else []
        lying = {(PurePosixPath(name).name): _File(tree, name) for tree in reversed(trees) for name in tree.names}
        wanted = {key: lying.get(name) or lying.get(f"{name}.gz") for key, name in _file_names().items()}
        return {key: file for key, file in wanted.items() if file is not None}


@dataclass(frozen=True, slots=True)
class _File:
    """A file where it lies."""

    tree: Tree
    name: str

    def read(self) -> bytes:
        return self.tree.read(self.name)

    def __str__(self) -> str:
        return str(self.tree.root / self.name)


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


def _read_idx(file: _File, magic: int, header: int, shape: tuple[int, ...]) -> Pixels:
    """Read an idx file of bytes: big-endian magic number and dimensions, then the values."""
    try:
        content = gzip.decompress(file.read()) if file.name.endswith(".gz") else file.read()
        values = np.frombuffer(content, np.uint8, offset=header).reshape(-1, *shape)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{file} is damaged ({error}): fetch it again") from error
    found, number = np.frombuffer(content, ">u4", count=2)
    if found != magic or number != len(values):
        raise DataError(
            f"{file} is no Fashion-MNIST file: magic {found}, {number} entries announced, {len(values)} found"
        )
    return values
