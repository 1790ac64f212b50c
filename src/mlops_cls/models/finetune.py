"""Train the head alone, at first or for good, with the backbone's BatchNorm frozen too."""

import pytorch_lightning as pl
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.networks import classifier_of


class FreezeBackbone(pl.Callback):
    """Freezes everything but the network's classifier, until `unfreeze_epoch` (counted from 0) if that is given."""

    def __init__(self, unfreeze_epoch: int | None = None) -> None:
        self.unfreeze_epoch = unfreeze_epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, ImageClassifier)
        thawed = self.unfreeze_epoch is not None and trainer.current_epoch >= self.unfreeze_epoch
        set_frozen(module.network, not thawed)


def set_frozen(network: nn.Module, frozen: bool) -> None:
    """Switch gradients of all but the classifier off or on; frozen BatchNorm also stops following the batches.

    Raises:
        ConfigError: the network does not say which of its parts is the classifier.
    """
    own = {id(parameter) for parameter in classifier_of(network).parameters()}
    for parameter in network.parameters():
        parameter.requires_grad = not frozen or id(parameter) in own
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.train(not frozen)
