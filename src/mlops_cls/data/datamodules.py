"""LightningDataModules over the prepared store, usable alone in plain Lightning."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from mlops_cls.choices import CheckPolicy, Sampling
from mlops_cls.data.augment import Augment
from mlops_cls.data.doctor.policy import judge
from mlops_cls.data.loader import Batch, StoreDataset, make_loader
from mlops_cls.data.manifest import Manifest, Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.sampling import Share
from mlops_cls.data.source import Source
from mlops_cls.data.sources.archive import ArchiveSource
from mlops_cls.data.sources.digits import DigitsSource
from mlops_cls.data.sources.dog_breed import DOG_BREED
from mlops_cls.data.sources.emotion import EMOTION
from mlops_cls.data.sources.fmnist import FashionMnistSource
from mlops_cls.data.sources.folder import FolderSource
from mlops_cls.data.sources.seabed import SEABED
from mlops_cls.data.sources.skin_lesion import SKIN_LESION
from mlops_cls.data.sources.table import TableSource
from mlops_cls.data.store import Prepared
from mlops_cls.errors import unknown_name

Choice = TypeVar("Choice", bound=StrEnum)


class ImageDataModule(pl.LightningDataModule):
    """Batches of uint8[B,C,H,W] pictures and int64[B] labels from any `Source`.

    Args:
        source: the raw data set.
        plan: geometry, split and subsample; see `Plan`.
        store: folder that keeps prepared data sets.
        check: what to do about faults of the data; see `told` and `judge` in `data/doctor/policy.py`.
        augment: albumentations for training pictures, as mappings with ``name`` and arguments.
        batch_size: pictures per batch.
        workers: loader processes; None: as many as help.
        seed: of batch order and augmentation.
        sampler: shuffle for each training picture once an epoch, balanced for all classes equally often.

    Under several processes each gets its own part of every split, in a training epoch as many batches as any other.

    Raises:
        ConfigError: no such sampler or policy.
        DataError: at `prepare_data`, if raw files are missing, bad, cannot be split as planned, or leak.
    """

    def __init__(
        self,
        source: Source,
        *,
        plan: Plan | None = None,
        store: str | Path = "prepared",
        check: str = CheckPolicy.fail,
        augment: Sequence[Mapping[str, Any]] = (),
        batch_size: int = 64,
        workers: int | None = None,
        seed: int = 0,
        sampler: str = Sampling.shuffle,
    ) -> None:
        super().__init__()
        self.source, self.plan, self.store = source, plan or Plan(), Path(store)
        self.check = _chosen("check", check, CheckPolicy)
        self.augment = Augment(augment) if augment else None
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.parts = 1
        """Batches that make one step of the optimiser; an epoch of training has whole steps only."""
        self.sampler = _chosen("sampler", sampler, Sampling)
        self._prepared: Prepared | None = None

    def prepare_data(self) -> None:
        self.prepared  # noqa: B018 - preparing is the point

    @property
    def prepared(self) -> Prepared:
        """The prepared data set; prepared now if need be."""
        if self._prepared is None:
            prepared = prepare(self.source, self.plan, self.store)
            judge(prepared, self.check)
            self._prepared = prepared
        return self._prepared

    @property
    def manifest(self) -> Manifest:
        return self.prepared.manifest

    def dataset(self, split: str) -> StoreDataset:
        """Return a split; training pictures are augmented, the others never."""
        return StoreDataset(self.prepared, split, self.augment if split == "train" else None)

    def train_dataloader(self) -> DataLoader[Batch]:
        return make_loader(
            self.dataset("train"),
            batch_size=self.batch_size,
            parts=self.parts,
            shuffle=True,
            balanced=self.sampler is Sampling.balanced,
            seed=self.seed,
            workers=self.workers,
            share=Share.of_this_process(),
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._scoring_loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        return self._scoring_loader("test")

    def _scoring_loader(self, split: str) -> DataLoader[Batch]:
        # Lightning has set the process group up before it asks for loaders.
        share = Share.of_this_process()
        return make_loader(self.dataset(split), batch_size=self.batch_size, workers=0, share=share)


def _chosen(key: str, given: str, kind: type[Choice]) -> Choice:
    if given not in list(kind):
        raise unknown_name(f"data.{key}", given, list(kind))
    return kind(given)


class DigitsDataModule(ImageDataModule):
    """scikit-learn's digits; nothing is downloaded."""

    def __init__(self, **options: Any) -> None:
        super().__init__(DigitsSource(), **options)


class FashionMNISTDataModule(ImageDataModule):
    """Fashion-MNIST from its idx files in `root`, fetched there if they are missing and `download` is true."""

    def __init__(self, root: str | Path | None = None, *, download: bool = True, **options: Any) -> None:
        options.setdefault("plan", Plan(size=28, val_fraction=0.2))
        super().__init__(FashionMnistSource(root, download=download), **options)


class FolderDataModule(ImageDataModule):
    """Any folder of pictures: one sub-folder per class, with or without train, val and test above."""

    def __init__(self, root: str | Path, **options: Any) -> None:
        super().__init__(FolderSource(root), **options)


class TableDataModule(ImageDataModule):
    """A CSV or Parquet file with a row per picture; `columns` name its path, label, split and group columns."""

    def __init__(self, root: str | Path, *, columns: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(
            TableSource(root, **{f"{key}_column": name for key, name in (columns or {}).items()}), **options
        )


class SeabedDataModule(ImageDataModule):
    """Side-scan sonar tiles of the seabed, split by strip where the file names tell it, 60/20/20."""

    def __init__(self, root: str | Path, **options: Any) -> None:
        options.setdefault("plan", Plan(val_fraction=0.2, test_fraction=0.2))
        super().__init__(ArchiveSource(SEABED, root), **options)


class SkinLesionDataModule(ImageDataModule):
    """HAM10000, split by lesion, 52.5/17.5/30."""

    def __init__(self, root: str | Path, **options: Any) -> None:
        options.setdefault("plan", Plan(val_fraction=0.175, test_fraction=0.3))
        super().__init__(ArchiveSource(SKIN_LESION, root), **options)


class EmotionDataModule(ImageDataModule):
    """Facial expressions: AffectNet in YOLO form as shipped, or faces with a legend split by person."""

    def __init__(self, root: str | Path, **options: Any) -> None:
        super().__init__(ArchiveSource(EMOTION, root), **options)


class DogBreedDataModule(ImageDataModule):
    """Kaggle's dog-breed-identification or Stanford Dogs, 70/15/15."""

    def __init__(self, root: str | Path, **options: Any) -> None:
        super().__init__(ArchiveSource(DOG_BREED, root), **options)
