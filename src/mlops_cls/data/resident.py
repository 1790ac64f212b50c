"""The device's end of the way: pictures that lie there already, and augmentation of whole batches."""

import numpy as np
import torch
from torch import Tensor

from mlops_cls.choices import Home
from mlops_cls.data.home import Route
from mlops_cls.data.loader import Batch, StoreDataset, Transform, Unfinished, UnfinishedDataset
from mlops_cls.data.reading import FileRows
from mlops_cls.data.store import Prepared
from mlops_cls.pictures import Pixels

CHUNK = 64 * 2**20


class Arrivals:
    """What a device does with the batches of a run when they come; each process has one, with pictures of its own."""

    def __init__(self, route: Route, device: torch.device) -> None:
        self.route, self.device = route, device
        self._residents: dict[str, Tensor] = {}

    def dataset(self, prepared: Prepared, split: str, transform: Transform | None) -> StoreDataset | UnfinishedDataset:
        """Return the split as the loader is to send it; its pictures go to the device first if they live there."""
        augmented = transform is not None and self.route.augment is not None
        resident = self.route.home is Home.device
        stored = StoreDataset(
            prepared, split, None if augmented else transform, Home.disk if resident else self.route.home
        )
        if resident and split not in self._residents:
            self._residents[split] = moved(stored.images, self.device)
        return UnfinishedDataset(stored, resident=resident) if resident or augmented else stored

    def finish(self, batch: Unfinished) -> Batch:
        """Return pictures uint8[B,C,H,W], channels last, and labels; only those of train are augmented."""
        images = batch.pictures
        if batch.split in self._residents:
            images = self._residents[batch.split].index_select(0, batch.pictures).permute(0, 3, 1, 2)
        if batch.split == "train" and self.route.augment is not None:
            images = self.route.augment(images, batch.seeds)
        return images, batch.labels


def moved(pixels: Pixels | FileRows, device: torch.device) -> Tensor:
    """Return a copy of the split, uint8[N,H,W,C], on the device; it goes there in parts, none of which stays here."""
    there = torch.empty(pixels.shape, dtype=torch.uint8, device=device)
    rows = max(CHUNK // there[0].nbytes, 1)
    for start in range(0, len(there), rows):
        part = np.arange(start, min(start + rows, len(there)))
        there[start : start + rows] = torch.from_numpy(pixels[part])
    return there
