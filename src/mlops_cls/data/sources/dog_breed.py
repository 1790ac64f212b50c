"""Dog breeds: Kaggle's dog-breed-identification, or Stanford Dogs (Khosla et al. 2011)."""

import re
from pathlib import PurePosixPath

from mlops_cls.data.source import Sample
from mlops_cls.data.sources.archive import DataSet, Found, Layout, find_table, match_rows, pictures_of
from mlops_cls.data.tree import Tree

BREED_FOLDER = re.compile(r"^n\d{8}-(?P<breed>.+)$")


def _find_kaggle(tree: Tree) -> Found | None:
    located = find_table(tree, ("id", "breed"))
    if located is None:
        return None
    name, rows = located
    return match_rows(
        tree, name, [row["id"] for row in rows], lambda i, key: Sample(key, rows[i]["breed"]), with_ending=False
    )


def _find_stanford(tree: Tree) -> Found | None:
    files: dict[str, str] = {}
    samples: list[Sample] = []
    for name in pictures_of(tree):
        folder, file = PurePosixPath(name).parts[-2:] if "/" in name else ("", name)
        if breed := BREED_FOLDER.match(folder):
            samples.append(Sample(f"{folder}/{file}", breed["breed"]))
            files[samples[-1].id] = name
    return Found(samples, files) if samples else None


DOG_BREED = DataSet(
    name="dog_breed",
    kaggle="competitions/dog-breed-identification",
    classes=None,
    layouts=(
        Layout(
            "a CSV with the columns id and breed (labels.csv), and a picture for each id (images/ or train/)",
            _find_kaggle,
        ),
        Layout(
            "one folder per breed, named after WordNet, such as n02085620-Chihuahua (Stanford Dogs)", _find_stanford
        ),
    ),
)
