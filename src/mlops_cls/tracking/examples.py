"""The same few labelled pictures after each validation."""

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy

from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.evaluation.collect import logits_of
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.tracking.tracker import Example, Tracker

NUMBER = 8


class ShowExamples(pl.Callback):
    """Classify some pictures of val after each validation and show them; `seed` draws them, once.

    Nothing of training changes: no random number is drawn, and the forward pass is that of evaluation.
    """

    def __init__(self, tracker: Tracker, data: ImageDataModule, seed: int) -> None:
        self._tracker, self._classes = tracker, data.manifest.classes
        pictures = data.dataset("val")
        rows = np.random.default_rng(seed).choice(len(pictures), min(NUMBER, len(pictures)), replace=False)
        images, labels = zip(*(pictures[int(row)] for row in rows), strict=True)
        self._images, self._labels = torch.stack(images), [int(label) for label in labels]

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, ImageClassifier)
        # Where weights are spread over processes, one of them cannot classify alone.
        if isinstance(trainer.strategy, (SingleDeviceStrategy, DDPStrategy)):
            self._tracker.show(self._classify(pl_module))

    def _classify(self, classifier: ImageClassifier) -> list[Example]:
        with torch.autocast(classifier.device.type, enabled=False), classifier.uncompiled():
            shares = logits_of(classifier, self._images.to(classifier.device)).softmax(1)
        surest, found = shares.max(1)
        pictures = self._images.permute(0, 2, 3, 1).numpy()
        return [
            Example(picture, self._classes[true], self._classes[guess], share)
            for picture, true, guess, share in zip(pictures, self._labels, found.tolist(), surest.tolist(), strict=True)
        ]


def examples_for(tracker: Tracker, data: ImageDataModule, seed: int) -> list[pl.Callback]:
    """Return the callback for a tracker that shows pictures, else nothing."""
    return [ShowExamples(tracker, data, seed)] if tracker.shows_examples else []
