"""Whole trainings against the clock, each side in its own normal way, all scored on the same held-out pictures.

The clock starts when imports are done and raw files are there; preparing, training and scoring count for every side. A
side is scored at the end of each epoch by the same code. Ours scores its own validation pictures as well, as it
always does, and that counts too.
"""

import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import ClassVar

import pytorch_lightning as pl
import torch
from peers import Batch, PlainModule
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import mlops_cls as mc
from mlops_cls.card import Architecture
from mlops_cls.console import quiet_lightning
from mlops_cls.models.metrics import confusion_matrix, summary
from mlops_cls.models.networks import make_network


@dataclass(slots=True)
class Race:
    """One training's clock: the seconds and the score at the end of each epoch, until all targets are reached."""

    metric: str
    targets: list[float]
    limit: float
    started: float = field(default_factory=time.perf_counter)
    epochs: list[tuple[float, float]] = field(default_factory=list)

    def is_over(self, network: nn.Module, held_out: Iterable[Batch], classes: int) -> bool:
        """Score the network at an epoch's end; tell whether the last target is reached, or the time is up."""
        value = score(network, held_out, classes, self.metric)
        self.epochs.append((round(time.perf_counter() - self.started, 2), value))
        return value >= max(self.targets) or self.epochs[-1][0] > self.limit

    def reached(self, target: float) -> float | None:
        """Return the seconds until an epoch ended at `target` or above, or None."""
        return next((seconds for seconds, value in self.epochs if value >= target), None)


@torch.no_grad()
def score(network: nn.Module, held_out: Iterable[Batch], classes: int, metric: str) -> float:
    """Return the network's accuracy or balanced accuracy on the held-out pictures; it is left in training mode."""
    network.eval()
    device = next(network.parameters()).device
    confusion = torch.zeros(classes, classes, dtype=torch.long)
    for images, labels in held_out:
        confusion += confusion_matrix(network(images.to(device)).argmax(1).cpu(), labels, classes)
    network.train()
    return summary(confusion)[metric]


class HeldOut(pl.Callback):
    """Scores at the end of each epoch; a run of ours makes it by name, so `race` and `batches` are the class's."""

    race: ClassVar[Race]
    batches: ClassVar[Iterable[Batch] | None]
    classes: ClassVar[int]

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        batches = self.batches or trainer.datamodule.test_dataloader()  # type: ignore[attr-defined]
        trainer.should_stop = self.race.is_over(module, batches, self.classes)


@dataclass(frozen=True, slots=True)
class Pictures:
    """A data set as the peers read it: a function from transform to training or held-out pictures, and its facts."""

    training: Callable[[object], Dataset[Batch]]
    held_out: Callable[[object], Dataset[Batch]]
    classes: int
    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the trainings share: our overrides, and batch, epochs and workers of the peers."""

    ours: list[str]
    batch: int
    epochs: int
    workers: int


def train_ours(pictures: Pictures, settings: Settings, seed: int, race: Race) -> None:
    """Run an experiment by name, from an empty store."""
    HeldOut.race, HeldOut.batches, HeldOut.classes = race, None, pictures.classes
    with tempfile.TemporaryDirectory() as home, redirect_stdout(sys.stderr):
        own = [f"seed={seed}", "logger=none", f"data.store={home}/store", f"run.folder={home}/runs"]
        mc.fit(mc.load_config(*settings.ours, *own, "trainer.callbacks=[{_target_: trainings.HeldOut}]"))


def train_plain(pictures: Pictures, settings: Settings, seed: int, race: Race) -> None:
    """Train with torchvision's pictures and plain Lightning: Adam at 1e-3, float32, mirrored pictures."""
    pl.seed_everything(seed, verbose=False)
    square = [transforms.Resize((pictures.size, pictures.size))]
    last = [transforms.ToTensor(), transforms.Normalize(pictures.mean, pictures.std)]
    training = pictures.training(transforms.Compose([*square, transforms.RandomHorizontalFlip(), *last]))
    held_out = pictures.held_out(transforms.Compose([*square, *last]))
    loader = DataLoader(training, settings.batch, shuffle=True, num_workers=settings.workers)
    HeldOut.race, HeldOut.classes = race, pictures.classes
    HeldOut.batches = DataLoader(held_out, settings.batch, num_workers=settings.workers)
    with tempfile.TemporaryDirectory() as home, quiet_lightning(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quiet = {"enable_progress_bar": False, "enable_model_summary": False}
        trainer = pl.Trainer(max_epochs=settings.epochs, callbacks=[HeldOut()], default_root_dir=home, **quiet)
        trainer.fit(PlainModule(same_network(pictures, settings)), loader)


def train_timm(pictures: Pictures, settings: Settings, seed: int, race: Race) -> None:
    """Train as timm 1.0's train.py does by default: SGD with Nesterov momentum, warm-up, cosine, smoothed labels."""
    from timm.data import create_loader
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2
    from timm.utils import random_seed

    random_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = same_network(pictures, settings).to(device)
    geometry = ((pictures.channels, pictures.size, pictures.size), settings.batch)
    common = {"mean": pictures.mean, "std": pictures.std, "num_workers": settings.workers, "device": device}
    common |= {"use_prefetcher": device.type == "cuda", "persistent_workers": settings.workers > 0}
    loader = create_loader(pictures.training(None), *geometry, is_training=True, interpolation="random", **common)
    held_out = create_loader(pictures.held_out(None), *geometry, **common)
    optimizer = create_optimizer_v2(network, "sgd", lr=0.1 * settings.batch / 256, weight_decay=2e-5, momentum=0.9)
    schedule, epochs = create_scheduler_v2(optimizer, num_epochs=settings.epochs, warmup_epochs=5, warmup_lr=1e-5)
    smoothed = LabelSmoothingCrossEntropy(0.1)
    network.train()
    for epoch in range(epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            smoothed(network(images.to(device)), labels.to(device)).backward()
            optimizer.step()
        if race.is_over(network, ((images, labels.cpu()) for images, labels in held_out), pictures.classes):
            return
        schedule.step(epoch + 1)


def same_network(pictures: Pictures, settings: Settings) -> nn.Module:
    """Return the network that our config names."""
    model = mc.load_config(*settings.ours).model
    parts = {"name": model.name, "small_stem": model.small_stem, "kwargs": dict(model.kwargs)}
    return make_network(Architecture(**parts), num_classes=pictures.classes, channels=pictures.channels)


TRAININGS = {"ours": train_ours, "timm": train_timm, "plain": train_plain}
