"""From the store to batches: uint8[B,C,H,W] pictures and int64[B] labels, never normalised here."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from mlops_cls.data.store import Prepared
from mlops_cls.pictures import Pixels

Batch = tuple[Tensor, Tensor]
Transform = Callable[[Pixels, int], Pixels]
MOST_WORKERS = 8


class Draw(NamedTuple):
    """One picture to load, and the seed of its augmentation."""

    row: int
    seed: int


class StoreDataset(Dataset[Batch]):
    """A split of a prepared store that is read a batch at a time.

    Opened anew in every process, so that worker processes share the pages of the file and not a copy of it.
    """

    def __init__(self, prepared: Prepared, split: str, transform: Transform | None = None) -> None:
        self.prepared, self.split, self.transform = prepared, split, transform
        self.labels = torch.from_numpy(prepared.labels(split))
        self._images: Pixels | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> Batch:
        images, labels = self.__getitems__([Draw(row, 0)])
        return images[0], labels[0]

    def __getitems__(self, draws: Sequence[Draw]) -> Batch:
        """Return a batch; its pictures are uint8[B,C,H,W] in channels-last memory order, as they lie in the store."""
        rows = [draw.row for draw in draws]
        images = self.images[rows]
        if self.transform is not None:
            seeds = (draw.seed for draw in draws)
            images = np.stack([self.transform(image, seed) for image, seed in zip(images, seeds, strict=True)])
        return torch.from_numpy(images).permute(0, 3, 1, 2), self.labels[rows]

    @property
    def images(self) -> Pixels:
        if self._images is None:
            self._images = self.prepared.images(self.split)
        return self._images

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_images": None}


class EpochSampler(Sampler[Draw]):
    """Every row once per epoch, in an order and with augmentation seeds that depend on `seed` and the epoch alone.

    Lightning calls `set_epoch` before each epoch. With ``shuffle=False`` rows come in store order.
    """

    def __init__(self, length: int, *, shuffle: bool, seed: int = 0) -> None:
        self.length, self.shuffle, self.seed = length, shuffle, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Draw]:
        generator = np.random.default_rng([self.seed, self.epoch])
        order = generator.permutation(self.length) if self.shuffle else np.arange(self.length)
        seeds = generator.integers(2**32, size=self.length)
        yield from map(Draw, order.tolist(), seeds.tolist())


def make_loader(
    dataset: StoreDataset, *, batch_size: int, shuffle: bool = False, seed: int = 0, workers: int | None = None
) -> DataLoader[Batch]:
    """Return a loader over `dataset`.

    Shuffled (training) batches are all full, unless there is only one; pictures left over come in another epoch.
    """
    sampler = EpochSampler(len(dataset), shuffle=shuffle, seed=seed)
    drop_last = shuffle and len(dataset) >= batch_size
    processes = _default_workers(dataset) if workers is None else workers
    return DataLoader(
        dataset,
        batch_sampler=BatchSampler(sampler, batch_size, drop_last=drop_last),  # type: ignore[arg-type]
        collate_fn=_as_it_is,
        num_workers=processes,
        persistent_workers=processes > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _default_workers(dataset: StoreDataset) -> int:
    # Reading the memory map costs less than handing a batch from process to process; only augmentation is worth that.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if dataset.transform is None else min(cores - 1, MOST_WORKERS)


def _as_it_is(batch: Any) -> Any:
    return batch
