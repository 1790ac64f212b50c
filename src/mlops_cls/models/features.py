"""What a frozen backbone makes of the pictures, computed once: then only the last layer is left to run in each epoch.

A feature is what the network's classifier layer is given, whatever the network does before it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.data.loader import Batch, StoreDataset, make_loader
from mlops_cls.data.sampling import Draws
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.finetune import set_frozen
from mlops_cls.models.networks import classifier_of

BATCH = 64
MOST_BYTES = 4 * 2**30  # two million pictures of 512 features

log = logging.getLogger(__name__)


class FeatureDataset(Dataset[Batch]):
    """Features float32[N,F] and labels int64[N], read a batch of draws at a time as `StoreDataset` is."""

    def __init__(self, features: Tensor, labels: Tensor) -> None:
        self.features, self.labels = features, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, draws: Draws) -> Batch:
        rows = torch.from_numpy(draws.rows)
        return self.features[rows], self.labels[rows]


class FrozenFeatures(pl.LightningDataModule):
    """Batches of float32[B,F] features and int64[B] labels, in the order in which `pictures` would come.

    A split's features are computed by the Trainer's own classifier when its loader is first asked for: by then a
    resumed run has its weights back, and the classifier is on its device.
    """

    def __init__(self, pictures: ImageDataModule) -> None:
        super().__init__()
        self._pictures = pictures
        self._kept: dict[str, FeatureDataset] = {}

    def train_dataloader(self) -> DataLoader[Batch]:
        return self._in_order_of(self._pictures.train_dataloader(), "train")

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._in_order_of(self._pictures.val_dataloader(), "val")

    def _in_order_of(self, loader: DataLoader[Batch], split: str) -> DataLoader[Batch]:
        if split not in self._kept:
            assert self.trainer is not None and isinstance(self.trainer.lightning_module, ImageClassifier)
            self._kept[split] = compute_features(self.trainer.lightning_module, self._pictures.dataset(split))
        return DataLoader(self._kept[split], sampler=loader.sampler, batch_size=None, pin_memory=loader.pin_memory)


# Each pass of a loader draws a number, and training is to draw what it would have drawn.
@torch.random.fork_rng(devices=[])
def frozen_features(classifier: ImageClassifier, pictures: ImageDataModule) -> FrozenFeatures | None:
    """Return the features to train on in place of unvaried pictures, or None where the pictures themselves are needed.

    They are where the network's frozen part does not give the same each time (stochastic depth), where there is more
    between it and the classifier layer than dropout, and where the features are too many to keep.

    Raises:
        ConfigError: the network does not say which of its parts is the classifier.
    """
    images, _ = next(iter(make_loader(pictures.dataset("val"), batch_size=8, workers=0)))
    with classifier.uncompiled():
        width = feature_width(classifier, images)
    if width is None:
        return None
    size = 4 * width * sum(pictures.manifest.size_of(split) for split in ("train", "val"))
    if size > MOST_BYTES:
        log.info("the backbone's features would take %.1f GiB and are computed anew in each epoch", size / 2**30)
        return None
    log.info(
        "the backbone is frozen and pictures are not augmented: its features are computed once, the head trains on them"
    )
    return FrozenFeatures(pictures)


@torch.no_grad()
def feature_width(classifier: ImageClassifier, images: Tensor) -> int | None:
    """Return the number of features F if training on them is training on pictures uint8[B,C,H,W], else None."""
    # On the CPU, where the state of the one random generator tells whether anything else was drawn.
    classifier.cpu().eval()
    with inputs_of(classifier_of(classifier.network)) as given:
        logits = classifier(images)
    complete = len(given) == 1 and given[0].ndim == 2 and _same(classifier(given[0]), logits)
    classifier.train()
    return given[0].shape[1] if complete and _trains_alike(classifier, images, given[0]) else None


@torch.no_grad()
@torch.random.fork_rng(devices=[])
def compute_features(classifier: ImageClassifier, dataset: StoreDataset) -> FeatureDataset:
    """Return the features of a split in store order, computed in float32 in evaluation mode where the classifier is."""
    was_training = classifier.training
    classifier.eval()
    parts: list[Tensor] = []
    # Eagerly, since compiled code passes hooks by.
    exact = torch.autocast(classifier.device.type, enabled=False)
    with exact, classifier.uncompiled(), inputs_of(classifier_of(classifier.network)) as given:
        for images, _ in make_loader(dataset, batch_size=BATCH, workers=0):
            classifier(images.to(classifier.device))
            parts.append(given.pop().cpu())
    classifier.train(was_training)
    return FeatureDataset(torch.cat(parts), dataset.labels)


def _trains_alike(classifier: ImageClassifier, images: Tensor, features: Tensor) -> bool:
    """Tell whether training gives the classifier layer these features, varied by its own dropout and nothing else."""
    set_frozen(classifier.network, True)
    with torch.random.fork_rng(devices=[]), inputs_of(classifier_of(classifier.network)) as given:
        start = torch.get_rng_state()
        classifier(images)
        end = torch.get_rng_state()
        torch.set_rng_state(start)
        classifier(features)
        drawn_alike = torch.equal(end, torch.get_rng_state())
    set_frozen(classifier.network, False)
    return drawn_alike and _same(*given)


@contextmanager
def inputs_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Give a list that grows by what the layer is given each time it is called."""
    given: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    try:
        yield given
    finally:
        hook.remove()


def _same(ours: Tensor, theirs: Tensor) -> bool:
    # By their length: all features of an untrained network may be tiny.
    return bool((ours - theirs).norm() <= 1e-4 * theirs.norm())
