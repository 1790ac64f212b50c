"""The LightningModule: uint8 pictures in, logits out, and the card in every checkpoint."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.v2.functional import resize

from mlops_cls.card import ModelCard, Preprocess
from mlops_cls.config import AugmentConfig, LossConfig, OptimConfig
from mlops_cls.data.loader import Batch
from mlops_cls.errors import ArtifactError, ConfigError, MlopsError
from mlops_cls.models.losses import log_loss, make_loss, make_mix
from mlops_cls.models.metrics import Scores
from mlops_cls.models.networks import classifier_of, make_network
from mlops_cls.models.optim import Pace, make_optimizer, make_schedule
from mlops_cls.models.sharding import shard
from mlops_cls.models.weights import read_checkpoint
from mlops_cls.runtime import Runtime

CARD_KEY = "card"


class Normalise(nn.Module):
    """uint8 or float[B,C,H,W] in 0..255 to float with the card's mean and std taken out; travels with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(preprocess.mean).view(1, -1, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(preprocess.std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class ImageClassifier(pl.LightningModule):
    """A timm network that takes pictures as they lie in the store and knows its classes.

    Args:
        card: class names, preprocessing and architecture; see `mlops_cls.make_card`.
        loss: what is minimised; cross entropy by default.
        optim: optimiser and schedule; AdamW with a cosine by default.
        augment: mixup and cutmix; none by default.
        counts: training pictures per class, for balanced class weights.
        pretrained: start from timm's published weights.

    Logged per epoch: ``{train,val,test}/{loss,accuracy,balanced_accuracy,macro_f1}``. ``train/loss`` is what is
    minimised; the other losses are the cross entropy in nats, so that runs with different losses compare.
    """

    def __init__(
        self,
        card: ModelCard,
        *,
        loss: LossConfig | None = None,
        optim: OptimConfig | None = None,
        augment: AugmentConfig | None = None,
        counts: Mapping[str, int] | None = None,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.card = card
        self.normalise = Normalise(card.preprocess)
        self.network: nn.Module = make_network(
            card.architecture, num_classes=card.num_classes, channels=card.preprocess.channels, pretrained=pretrained
        )
        self.memory_format = torch.channels_last  # as pictures lie in the store
        self.compiled = False
        self.train_size: int | None = None  # side that training pictures are shrunk to; None: as they come
        self.loss: nn.Module = make_loss(loss or LossConfig(), counts or dict.fromkeys(card.classes, 1))
        self.mix = make_mix(augment or AugmentConfig(), card.num_classes)
        self.optim = optim or OptimConfig()
        self.total_steps: int | None = None  # Of the optimiser; by default what the Trainer's epochs amount to.
        self.train_scores, self.val_scores, self.test_scores = (Scores(card.num_classes) for _ in range(3))

    @classmethod
    def from_checkpoint(cls, path: str | Path) -> Self:
        """Rebuild a trained classifier from a checkpoint alone, in evaluation mode.

        Raises:
            ArtifactError: missing, damaged, a pickle, or without a card.
        """
        content = read_checkpoint(Path(path))
        if CARD_KEY not in content:
            raise ArtifactError(f"{path} has no model card: it was not written by mlops_cls; use model.weights={path}")
        classifier = cls(ModelCard.from_dict(content[CARD_KEY]))
        try:
            # The loss's own buffers (class weights) belong to training and are not needed here.
            state = {name: value for name, value in content["state_dict"].items() if not name.startswith("loss.")}
            classifier.load_state_dict(state)
        except (KeyError, AttributeError, TypeError, RuntimeError) as error:
            raise ArtifactError(f"{path} is damaged: its weights are not those of its model card ({error})") from error
        return classifier.eval()

    def compute_as(self, runtime: Runtime) -> None:
        """Take memory format and compilation of the runtime; precision and device are the Trainer's to set.

        Names of weights stay as they are, and evaluation is never compiled.
        """
        self.memory_format = runtime.memory_format
        self.to(memory_format=runtime.memory_format)
        if runtime.compile:
            self.network.compile()
            self.compiled = True

    def configure_model(self) -> None:
        """Keep a part of the network only, where the Trainer's strategy is for that; Lightning asks for it."""
        if self.device_mesh is not None:
            shard(self.network, self.device_mesh["data_parallel"])

    def forward(self, images: Tensor) -> Tensor:
        """Return logits float[B,K] for pictures uint8[B,C,H,W], or for features float[B,F] of a frozen backbone."""
        if images.ndim == 2:
            return self._classify(images)
        logits: Tensor = self.network(self.normalise(images).contiguous(memory_format=self.memory_format))
        return logits

    def training_step(self, batch: Batch, index: int) -> Tensor:
        images, labels = batch
        if self.train_size is not None:
            images = resize(images, [self.train_size, self.train_size])
        mixed, targets = (images, labels) if self.mix is None else self.mix(images.float(), labels)
        logits = self(mixed)
        loss: Tensor = self.loss(logits, targets)
        self.train_scores.update(loss * len(labels), logits, labels)
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        self._measure(self.val_scores, batch)

    def test_step(self, batch: Batch, index: int) -> None:
        self._measure(self.test_scores, batch)

    def on_train_epoch_end(self) -> None:
        scores = self._log("train", self.train_scores)
        self.log("lr", max(group["lr"] for group in self.trainer.optimizers[0].param_groups))
        if not math.isfinite(scores["loss"]):
            raise MlopsError(
                f"the training loss became {scores['loss']} in epoch {self.current_epoch + 1}: lower optim.lr, "
                "lengthen optim.warmup_epochs, or set trainer.clip_norm=1"
            )

    def on_validation_epoch_end(self) -> None:
        self._log("val", self.val_scores)

    def on_test_epoch_end(self) -> None:
        self._log("test", self.test_scores)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = make_optimizer(self.network, self.optim)
        steps = self.total_steps or self.trainer.estimated_stepping_batches
        if math.isinf(steps):
            raise ConfigError("the schedule must know when the run ends: give the Trainer max_epochs or max_steps")
        # Where the Trainer was given max_steps, its max_epochs is -1 and it has not counted the batches yet.
        self.trainer.fit_loop.setup_data()
        steps_per_epoch = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        self.pace = Pace(int(steps))
        schedule = make_schedule(optimizer, self.optim, pace=self.pace, epochs=steps / steps_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[CARD_KEY] = self.card.to_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if CARD_KEY not in checkpoint:
            raise ArtifactError("this checkpoint has no model card: it was not written by mlops_cls")
        written = ModelCard.from_dict(checkpoint[CARD_KEY])
        written.check_classes(self.card.classes, whose="this data set")

    def _classify(self, features: Tensor) -> Tensor:
        """Return what the network's last layer makes of what it is given; `models/features.py` has checked that."""
        kept = F.dropout(features, self.card.architecture.drop_rate, self.training)
        logits: Tensor = classifier_of(self.network)(kept)
        return logits

    def _measure(self, scores: Scores, batch: Batch) -> None:
        images, labels = batch
        # In float32 whatever training computes in, as `evaluate` and `predict` do: the same scores everywhere.
        with torch.autocast(self.device.type, enabled=False), self.uncompiled():
            logits = self(images)
        scores.update(log_loss(logits, labels), logits, labels)

    @contextmanager
    def uncompiled(self) -> Iterator[None]:
        """Compute eagerly within this context, whatever training does."""
        if not self.compiled:
            yield
            return
        with torch.compiler.set_stance("force_eager"):
            yield

    def _log(self, split: str, scores: Scores) -> dict[str, float]:
        values = scores.compute()
        scores.reset()
        self.log_dict({f"{split}/{name}": value for name, value in values.items()})
        return values
