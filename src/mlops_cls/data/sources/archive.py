"""A published data set: its name, class order and attributes, and the layouts in which its raw files are found."""

import csv
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from mlops_cls.data.source import Sample
from mlops_cls.data.tree import Tree, describe, open_trees
from mlops_cls.errors import DataError, first_few
from mlops_cls.pictures import SUFFIXES

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """What a layout found: the samples, and the file of each in the tree.

    Ids name the picture as the data set does, not where it lies, so that a split is the same zipped or unpacked, nested
    or not.
    """

    samples: list[Sample]
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Layout:
    """One form of a raw data set: what it looks like in words, and how it is found; None where it is not."""

    looks_like: str
    find: Callable[[Tree], Found | None]


@dataclass(frozen=True, slots=True)
class DataSet:
    """The facts of a published data set. `attributes` are per class, such as ``is_cancer``.

    `kaggle` is its place there: ``datasets/OWNER/NAME`` or ``competitions/NAME``.
    """

    name: str
    classes: tuple[str, ...] | None
    layouts: tuple[Layout, ...]
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    kaggle: str | None = None


class ArchiveSource:
    """The `Source` of a published data set, wherever in `root` its raw files lie: unpacked, zipped, nested or not."""

    def __init__(self, data_set: DataSet, root: str | Path) -> None:
        self.data_set, self.root = data_set, Path(root)

    @property
    def name(self) -> str:
        return self.data_set.name

    @property
    def classes(self) -> Sequence[str] | None:
        return self.data_set.classes

    @property
    def attributes(self) -> Mapping[str, Mapping[str, Any]]:
        return self.data_set.attributes

    def fingerprint(self) -> str:
        tree, found = self._located
        digest = hashlib.sha256()
        for sample in found.samples:
            facts = (sample.id, sample.label, sample.split, sample.group, tree.stamp(found.files[sample.id]))
            digest.update(repr(facts).encode())
        return digest.hexdigest()

    def samples(self) -> list[Sample]:
        return list(self._located[1].samples)

    def picture(self, sample: Sample) -> bytes:
        tree, found = self._located
        return tree.read(found.files[sample.id])

    @cached_property
    def _located(self) -> tuple[Tree, Found]:
        trees = open_trees(self.root)
        places = [
            (tree, found)
            for tree in trees
            for layout in self.data_set.layouts
            if (found := layout.find(tree)) is not None
        ]
        if not places:
            looked_for = "; or ".join(layout.looks_like for layout in self.data_set.layouts)
            raise DataError(f"no {self.name} data in {self.root}. Looked for: {looked_for}. Found: {describe(trees)}")
        if len(places) > 1:
            roots = first_few([tree.root for tree, _ in places])
            raise DataError(
                f"{self.root} holds {self.name} data more than once ({roots}): give one of them as data.root"
            )
        return places[0]


def find_table(tree: Tree, columns: Sequence[str]) -> tuple[str, list[Row]] | None:
    """Return the first CSV file of the tree that has all `columns`, with its rows; None if there is none."""
    for name in tree.names:
        if name.lower().endswith(".csv"):
            table = _table(tree, name)
            # By the header alone: some archives hold tables of pixels too, which nobody wants to parse.
            if set(columns) <= set(table.fieldnames or ()):
                return name, list(table)
    return None


def _table(tree: Tree, name: str) -> "csv.DictReader[str]":
    try:
        return csv.DictReader(io.StringIO(tree.read(name).decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise DataError(f"{tree.root}: {name} cannot be read as CSV ({error})") from error


def pictures_of(tree: Tree) -> list[str]:
    """Return the tree's files that have a picture's ending."""
    return [name for name in tree.names if name.lower().endswith(SUFFIXES)]


def match_rows(
    tree: Tree, table: str, keys: Sequence[str], samples: Callable[[int, str], Sample], *, with_ending: bool
) -> Found:
    """Pair table rows with pictures by file name (or stem); pictures that no row names are left out.

    Raises:
        DataError: rows without a picture, or two pictures of the same name.
    """
    by_key: dict[str, str] = {}
    for name in pictures_of(tree):
        path = PurePosixPath(name)
        key = path.name if with_ending else path.stem
        # Kaggle's HAM10000 holds its two picture folders twice, in capitals and in small letters.
        if key in by_key and by_key[key].lower() != name.lower():
            raise DataError(f"{tree.root} has two pictures named {key}: {by_key[key]} and {name}")
        by_key.setdefault(key, name)
    missing = [key for key in keys if key not in by_key]
    if missing:
        raise DataError(
            f"{tree.root}: {len(missing)} of {len(keys)} rows of {table} have no picture: {first_few(missing)}"
        )
    found = [samples(i, key) for i, key in enumerate(keys)]
    return Found(found, {sample.id: by_key[key] for sample, key in zip(found, keys, strict=True)})
