"""The other sides: plain torchvision with plain Lightning, timm's loader, and loops without any framework.

Each reads and varies pictures as its users do. Where sides are compared training pictures are varied alike: by
torchvision's random resized crop with its default bounds, and a mirror image every second time.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

Batch = tuple[Tensor, Tensor]
SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def crop_and_flip(size: int) -> list[dict[str, Any]]:
    """Return the variation of training pictures as our config writes it."""
    crop = {"name": "RandomResizedCrop", "size": [size, size], "scale": list(SCALE), "ratio": list(RATIO)}
    return [crop, {"name": "HorizontalFlip", "p": 0.5}]


def torchvision_loader(root: Path, *, size: int, batch: int, workers: int, channels: int = 3) -> DataLoader[Batch]:
    """Return ImageFolder behind a DataLoader, with torchvision's own transforms."""
    from torchvision import datasets, transforms

    grey = [transforms.Grayscale()] if channels == 1 else []
    steps = [
        transforms.RandomResizedCrop(size, SCALE, RATIO),
        transforms.RandomHorizontalFlip(),
        *grey,
        transforms.ToTensor(),
        transforms.Normalize(MEAN[:channels], STD[:channels]),
    ]
    pictures = datasets.ImageFolder(root, transforms.Compose(steps))
    return DataLoader(
        pictures, batch, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )


def timm_loader(root: Path, *, size: int, batch: int, workers: int) -> DataLoader[Batch]:
    """Return timm's own training loader, its variation restricted to crop and flip."""
    from timm.data import ImageDataset, create_loader

    loader: DataLoader[Batch] = create_loader(
        ImageDataset(str(root)),
        (3, size, size),
        batch,
        is_training=True,
        scale=SCALE,
        ratio=RATIO,
        hflip=0.5,
        color_jitter=0.0,
        num_workers=workers,
        use_prefetcher=False,  # as timm's train.py has it where there is no GPU
        persistent_workers=workers > 0,
    )
    return loader


class RawPictures(Dataset[Batch]):
    """The bound: rows of a memory map through albumentations, a batch at a time, and nothing else."""

    def __init__(self, file: Path, labels: NDArray[np.int64], *, size: int) -> None:
        import albumentations as A

        self.pixels = np.load(file, mmap_mode="r")
        self.labels = torch.from_numpy(labels)
        self.chain = A.Compose([A.RandomResizedCrop((size, size), SCALE, RATIO), A.HorizontalFlip(p=0.5)])

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        """Return uint8[B,C,H,W] and int64[B]."""
        pictures = np.stack([self.chain(image=self.pixels[row])["image"] for row in rows])
        return torch.from_numpy(pictures).permute(0, 3, 1, 2), self.labels[rows]


class FullBatches(Sampler[list[int]]):
    """Rows in a new order each epoch, in full batches."""

    def __init__(self, length: int, batch: int) -> None:
        self.length, self.batch = length, batch

    def __len__(self) -> int:
        return self.length // self.batch

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(self.length)[: len(self) * self.batch]
        yield from order.view(-1, self.batch).tolist()


class BareLoop:
    """Raw pictures in batches: a plain loop without workers, else a plain DataLoader."""

    def __init__(self, pictures: RawPictures, *, batch: int, workers: int) -> None:
        self.pictures, self.order = pictures, FullBatches(len(pictures), batch)
        # A batch comes whole from the data set, so that there is nothing to collate.
        options = {"batch_size": None, "num_workers": workers, "persistent_workers": workers > 0}
        self.loader = DataLoader(pictures, sampler=self.order, **options) if workers else None

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.loader) if self.loader is not None else map(self.pictures.__getitem__, self.order)


class PlainModule(pl.LightningModule):
    """Twenty lines as they stand in many tutorials: Adam at a constant rate, float32, the loss logged at every step."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits

    def training_step(self, batch: Batch, index: int) -> Tensor:
        images, labels = batch
        loss = nn.functional.cross_entropy(self(images), labels)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def start_plain_training(root: Path, size: int) -> None:
    """Train from a folder with plain Lightning; `start.py` runs this file to see how long the first batch takes."""
    import timm
    from clocks import LeaveAtFirstBatch

    loader = torchvision_loader(root, size=size, batch=32, workers=0)
    network = timm.create_model("resnet18", num_classes=len(loader.dataset.classes))  # type: ignore[attr-defined]
    pl.Trainer(max_epochs=1, callbacks=[LeaveAtFirstBatch()]).fit(PlainModule(network), loader)


if __name__ == "__main__":
    start_plain_training(Path(sys.argv[1]), int(sys.argv[2]))
