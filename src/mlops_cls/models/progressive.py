"""Small pictures first, full size last: the early epochs of a run at a fraction of their cost.

After the progressive resizing of fast.ai (Howard and Gugger 2020, Deep Learning for Coders, chapter 7) and of
EfficientNetV2 (Tan and Le 2021, arXiv:2104.00298, section 4: the side grows linearly over four stages). Augmentation
does not grow with the size as it does there: it is done before, at full size.
"""

import logging
from collections import Counter
from math import ceil

import pytorch_lightning as pl

from mlops_cls.errors import ConfigError
from mlops_cls.models.classifier import ImageClassifier

SMALLEST = 16
SHARES = (1 / 2, 2 / 3, 5 / 6)  # of the full side, in the stages before the last

log = logging.getLogger(__name__)


class ProgressiveSize(pl.Callback):
    """Tells the classifier before each epoch how large its training pictures are to be; nothing else is resized.

    The size depends on the epoch and the length of the run alone, so a resumed run goes on where it stopped.
    """

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, ImageClassifier) and trainer.max_epochs is not None
        log.info("small pictures first, %s", _plan(trainer.max_epochs, module.card.preprocess.size))

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # Asked anew each time: a run may become shorter while it goes on.
        assert isinstance(module, ImageClassifier) and trainer.max_epochs is not None
        module.train_size = size_at(trainer.current_epoch, trainer.max_epochs, module.card.preprocess.size)


def size_at(epoch: int, epochs: int, full: int) -> int:
    """Return the side in pixels of training pictures in `epoch` (from 0) of `epochs`; the last third is at `full`."""
    small = epochs - ceil(epochs / 3)
    return full if epoch >= small else _fitting(full * SHARES[len(SHARES) * epoch // small], full)


def check_size(full: int) -> None:
    """Raise `ConfigError` unless pictures of this side can be shrunk.

    Raises:
        ConfigError: they are no larger than the smallest size.
    """
    if full <= SMALLEST:
        raise ConfigError(
            f"trainer.progressive=true would not be used: the pictures have {full}x{full} pixels, and none are made "
            f"smaller than {SMALLEST}x{SMALLEST}; leave it out, or set data.size"
        )


def _fitting(side: float, full: int) -> int:
    """Return the nearest side that networks take without a remainder: most halve a picture five times, or two."""
    grid = 32 if full >= 128 else 4
    return max(grid * int(side / grid + 1 / 2), SMALLEST)


def _plan(epochs: int, full: int) -> str:
    lengths = Counter(size_at(epoch, epochs, full) for epoch in range(epochs))
    return "epochs by side: " + ", ".join(f"{number} at {size} px" for size, number in lengths.items())
