"""From the store to batches: uint8[B,C,H,W] pictures and int64[B] labels, never normalised here."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mlops_cls.data.sampling import Draw, EpochBatches, EpochSampler, Share
from mlops_cls.data.store import Prepared
from mlops_cls.pictures import Pixels

Batch = tuple[Tensor, Tensor]
Transform = Callable[[Pixels, int], Pixels]
MOST_WORKERS = 8


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

    def __getitem__(self, which: int | Sequence[Draw]) -> Batch:
        """Return one picture, uint8[C,H,W], and its label; or a batch, as they lie in the store: channels last.

        A batch is uint8[B,C,H,W] and int64[B].
        """
        if isinstance(which, int):
            images, labels = self._batch([Draw(which, 0)])
            return images[0], labels[0]
        return self._batch(which)

    def _batch(self, draws: Sequence[Draw]) -> Batch:
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


def make_loader(
    dataset: StoreDataset,
    *,
    batch_size: int,
    parts: int = 1,
    shuffle: bool = False,
    balanced: bool = False,
    seed: int = 0,
    workers: int | None = None,
    share: Share | None = None,
) -> DataLoader[Batch]:
    """Return a loader over one process's share of `dataset`; by default there is only one process.

    Shuffled (training) batches are all full, unless there is only one; pictures left over come in another epoch. There
    are whole multiples of `parts` batches, the parts of an optimiser step. With
    `balanced` too, an epoch draws all classes equally often.
    """
    labels = dataset.labels.numpy() if balanced else None
    sampler = EpochSampler(len(dataset), shuffle=shuffle, balanced=labels, seed=seed, share=share)
    processes = _default_workers(dataset) if workers is None else workers
    return DataLoader(
        dataset,
        sampler=EpochBatches(sampler, batch_size, parts),
        batch_size=None,  # The sampler makes the batches.
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
