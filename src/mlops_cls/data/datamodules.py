"""LightningDataModules over the prepared store, usable alone in plain Lightning."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from mlops_cls.choices import CheckPolicy, Home, Sampling, Where
from mlops_cls.data.augment import Augment
from mlops_cls.data.doctor.policy import judge
from mlops_cls.data.home import choose
from mlops_cls.data.loader import StoreDataset, Unfinished, UnfinishedDataset, make_loader
from mlops_cls.data.manifest import Manifest, Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.resident import Arrivals
from mlops_cls.data.sampling import START, Share
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
        where: what augments, see `AugmentConfig.where`; auto is the device where that is faster and possible.
        home: where pictures lie, see `DataConfig.home`; auto for a Trainer on CUDA is the device, if they fit.
        batch_size: pictures per batch.
        workers: loader processes; None: as many as help.
        seed: of batch order and augmentation.
        sampler: shuffle for each training picture once an epoch, balanced for all classes equally often.
        limit: steps of an epoch of training at most, for a rehearsal.

    Batches to be finished on the device (`Unfinished`) become pictures and labels in `on_after_batch_transfer`, which
    every Trainer calls; without a Trainer there are none unless `where` or `home` asks for the device.

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
        where: str = Where.auto,
        home: str = Home.auto,
        batch_size: int = 64,
        workers: int | None = None,
        seed: int = 0,
        sampler: str = Sampling.shuffle,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        self.source, self.plan, self.store = source, plan or Plan(), Path(store)
        self.check = _chosen("data.check", check, CheckPolicy)
        self.augment = Augment(augment) if augment else None
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.parts = 1
        """Batches that make one step of the optimiser; an epoch of training has whole steps only."""
        self.limit, self.begin = limit, START
        """`begin` is where a resumed run goes on."""
        self.sampler = _chosen("data.sampler", sampler, Sampling)
        self.where, self.home = _chosen("augment.where", where, Where), _chosen("data.home", home, Home)
        self._prepared: Prepared | None = None
        self._arrivals: Arrivals | None = None

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

    def train_dataloader(self) -> DataLoader[Any]:
        """Return a loader of `Batch`, or of `Unfinished` if there is something left to do on the device."""
        return make_loader(
            self._on_its_way("train"),
            batch_size=self.batch_size,
            parts=self.parts,
            shuffle=True,
            balanced=self.sampler is Sampling.balanced,
            seed=self.seed,
            workers=0 if self._arriving().route.home is Home.device else self.workers,
            share=Share.of_this_process(),
            pin=self._device.type == "cuda",
            limit=self.limit,
            begin=self.begin,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        return self._scoring_loader(self._on_its_way("val"))

    def test_dataloader(self) -> DataLoader[Any]:
        # Read only once: to move it elsewhere first would not pay.
        return self._scoring_loader(self.dataset("test"))

    def _scoring_loader(self, dataset: StoreDataset | UnfinishedDataset) -> DataLoader[Any]:
        # Lightning has set the process group up before it asks for loaders.
        share, pin = Share.of_this_process(), self._device.type == "cuda"
        return make_loader(dataset, batch_size=self.batch_size, workers=0, share=share, pin=pin)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Finish on the device what the loader left; pictures to be scored are never augmented."""
        if not isinstance(batch, Unfinished):
            return batch
        assert self._arrivals is not None
        return self._arrivals.finish(batch)

    def teardown(self, stage: str) -> None:
        self._arrivals = None  # what lies on the device is given back

    @property
    def _device(self) -> torch.device:
        return torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device

    def _on_its_way(self, split: str) -> StoreDataset | UnfinishedDataset:
        return self._arriving().dataset(self.prepared, split, self.augment if split == "train" else None)

    def _arriving(self) -> Arrivals:
        """Return what finishes batches on the Trainer's device; chosen once, for pictures there take what was free."""
        if self._arrivals is None or self._arrivals.device != self._device:
            size = sum(self.prepared.images(split).nbytes for split in ("train", "val"))
            geometry = self.manifest.geometry
            # Without a Trainer nobody would finish the batches.
            picture = geometry.size**2 * geometry.channels if self.trainer is not None else None
            route = choose(
                self.home, self.where, self.augment, self._device, size, picture=picture, workers=self.workers
            )
            self._arrivals = Arrivals(route, self._device)
        return self._arrivals


def _chosen(key: str, given: str, kind: type[Choice]) -> Choice:
    if given not in list(kind):
        raise unknown_name(key, given, list(kind))
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
