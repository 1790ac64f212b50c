"""The pictures that an export looks at: from the data set of the run, or from a folder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlops_cls.card import ModelCard
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.errors import ArtifactError, DataError
from mlops_cls.pictures import SUFFIXES, Pixels, load_picture
from mlops_cls.scoring import data_for


def open_data(card: ModelCard, overrides: Sequence[str], *, otherwise: str = "--pictures FOLDER") -> ImageDataModule:
    """Return the data that the model was trained on, prepared; `otherwise` is the option that does without.

    Raises:
        ArtifactError: the checkpoint does not tell which, or its classes are others.
        DataError: they are not there any more; the message says how to go on.
    """
    try:
        data = data_for(card, overrides)
        card.check_classes(data.manifest.classes, whose=f"the data set {data.manifest.source}")
        return data
    except (ArtifactError, DataError) as error:
        raise type(error)(
            f"{error}\nReal pictures are needed to compare with: say where the data are now, after the model, as in "
            f"data.root=FOLDER_OR_ZIP, or use {otherwise}"
        ) from error


def spread(data: ImageDataModule, splits: Sequence[str], count: int) -> Pixels:
    """Return `count` pictures uint8[N,C,H,W] from the whole length of the first split that has as many, else all."""
    for split in splits:
        if data.manifest.size_of(split) >= count:
            return pictures_of(data, split, np.linspace(0, data.manifest.size_of(split) - 1, count).astype(int))
    every = [pictures_of(data, split, np.arange(data.manifest.size_of(split))) for split in splits]
    return np.concatenate(every)[:count]


def pictures_of(data: ImageDataModule, split: str, rows: NDArray[np.int64]) -> Pixels:
    """Return the pictures of these rows of a split, never augmented, uint8[N,C,H,W]."""
    images: Pixels = data.prepared.images(split)[rows]
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def from_folder(card: ModelCard, folder: Path, count: int) -> Pixels:
    """Return `count` pictures of a folder as the model sees them, uint8[N,C,H,W].

    Raises:
        DataError: there are fewer, or one cannot be read.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    if len(files) < count:
        raise DataError(f"--pictures {folder}: {count} pictures are needed, and there are {len(files)}")
    fitted = [load_picture(file, **card.preprocess.geometry).pixels for file in files[:count]]
    return np.stack(fitted).transpose(0, 3, 1, 2)
