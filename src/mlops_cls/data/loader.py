"""From the store to batches: uint8[B,C,H,W] pictures and int64[B] labels, never normalised here."""

import os
import signal
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mlops_cls.choices import Home
from mlops_cls.data.reading import FileRows, from_disk, into_memory
from mlops_cls.data.sampling import START, Draws, EpochBatches, EpochSampler, Position, Share
from mlops_cls.data.store import Prepared
from mlops_cls.pictures import Pixels

Batch = tuple[Tensor, Tensor]
Transform = Callable[[Pixels, int], Pixels]
MOST_WORKERS = 8


class Unfinished(NamedTuple):
    """A batch that becomes a `Batch` on the device: by fetching its pictures there, by augmenting them, or by both."""

    split: str
    pictures: Tensor
    """uint8[B,C,H,W]; or their rows int64[B], if the split lies on the device."""
    labels: Tensor
    """int64[B]"""
    seeds: Tensor
    """int64[B], of their augmentation; see `Draws`."""


class StoreDataset(Dataset[Batch]):
    """A split of a prepared store that is read a batch at a time.

    Every process opens the file for itself, so that worker processes share its pages; of a split in memory
    (`home=memory`) forked workers share the copy, and others read the file.
    """

    def __init__(
        self, prepared: Prepared, split: str, transform: Transform | None = None, home: Home = Home.disk
    ) -> None:
        self.prepared, self.split, self.transform = prepared, split, transform
        self.labels = torch.from_numpy(prepared.labels(split))
        # Into memory before any worker is forked, so that all share one copy.
        self._images: Pixels | FileRows | None = into_memory(prepared.images(split)) if home is Home.memory else None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, which: int | Draws) -> Batch:
        """Return one picture, uint8[C,H,W], and its label; or a batch, as they lie in the store: channels last.

        A batch is uint8[B,C,H,W] and int64[B].
        """
        if isinstance(which, int):
            images, labels = self._batch(Draws(np.array([which]), np.array([0])))
            return images[0], labels[0]
        return self._batch(which)

    def _batch(self, draws: Draws) -> Batch:
        images = self.images[draws.rows]
        if self.transform is not None:
            pairs = zip(images, draws.seeds.tolist(), strict=True)
            images = np.stack([self.transform(image, seed) for image, seed in pairs])
        return torch.from_numpy(images).permute(0, 3, 1, 2), self.labels[torch.from_numpy(draws.rows)]

    @property
    def images(self) -> Pixels | FileRows:
        """The pictures, uint8[N,H,W,C], to be indexed by rows."""
        if self._images is None:
            self._images = from_disk(self.prepared.images(self.split))
        return self._images

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_images": None}


class UnfinishedDataset(Dataset[Unfinished]):
    """A split whose batches are finished on the device; of one that lies there, only rows are sent."""

    def __init__(self, dataset: StoreDataset, *, resident: bool) -> None:
        self.dataset, self.resident = dataset, resident
        self.labels, self.transform = dataset.labels, None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draws: Draws) -> Unfinished:
        rows, seeds = torch.from_numpy(draws.rows), torch.from_numpy(draws.seeds)
        pictures, labels = (rows, self.labels[rows]) if self.resident else self.dataset[draws]
        return Unfinished(self.dataset.split, pictures, labels, seeds)


def make_loader(
    dataset: StoreDataset | UnfinishedDataset,
    *,
    batch_size: int,
    parts: int = 1,
    shuffle: bool = False,
    balanced: bool = False,
    seed: int = 0,
    workers: int | None = None,
    share: Share | None = None,
    pin: bool = False,
    limit: int | None = None,
    begin: Position = START,
) -> DataLoader[Any]:
    """Return a loader over one process's share of `dataset`; by default there is only one process.

    Shuffled (training) batches are all full, unless there is only one; pictures left over come in another epoch. There
    are whole multiples of `parts` batches, the parts of an optimiser step. With `balanced` too, an epoch draws all
    classes equally often. `pin` is for batches that go to a CUDA device; `limit` and `begin` as in `EpochBatches`.
    """
    labels = dataset.labels.numpy() if balanced else None
    sampler = EpochSampler(len(dataset), shuffle=shuffle, balanced=labels, seed=seed, share=share)
    processes = _default_workers(dataset, sampler.share.world) if workers is None else workers
    return DataLoader(
        dataset,
        sampler=EpochBatches(sampler, batch_size, parts, limit=limit, begin=begin),
        batch_size=None,  # The sampler makes the batches.
        collate_fn=_as_it_is,
        num_workers=processes,
        persistent_workers=processes > 0,
        worker_init_fn=_outlive_the_first_signal,
        pin_memory=pin,
    )


def _default_workers(dataset: StoreDataset | UnfinishedDataset, processes: int) -> int:
    # Measured on batches of 64 at 28x28: taking one from a worker costs the training process 1.0 to 1.5 ms, reading it
    # 0.1, the cheapest albumentation (a flip) 3.1. So workers pay for albumentations and for nothing else.
    if dataset.transform is None:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(cores // processes - 1, MOST_WORKERS), 0)


def _outlive_the_first_signal(_: int) -> None:
    # Ctrl-C and many schedulers send a signal to every process of a run, and the training process still needs data to
    # end its step well. It ends its workers itself; a worker that hangs is sent SIGTERM once more.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def _as_it_is(batch: Any) -> Any:
    return batch
