"""Frozen backbones: nothing below the head moves, BatchNorm statistics included, until it is told to."""

from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

import mlops_cls as mc
from mlops_cls.card import Architecture
from mlops_cls.config import OptimConfig
from mlops_cls.errors import ConfigError
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.finetune import FreezeBackbone, set_frozen
from mlops_cls.models.networks import make_network

Train = Callable[..., pl.Trainer]
HEADS = {"baseline_cnn": "head.", "mini_resnet": "head.", "two_conv_cnn": "head.", "resnet10t": "fc."}


def make(name: str) -> nn.Module:
    return make_network(Architecture(name=name), num_classes=3, channels=1)


def copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


class Epochs(pl.Callback):
    """Keeps the network's state at the end of every epoch."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, ImageClassifier)
        self.states.append(copy(module.network))


def states(card: mc.ModelCard, train: Train, freeze: FreezeBackbone, **options: Any) -> list[dict[str, Tensor]]:
    """Return the network's state before training and after each epoch."""
    classifier, epochs = ImageClassifier(card, optim=OptimConfig(lr=0.01, weight_decay=0.5)), Epochs()
    before = copy(classifier.network)
    train(classifier, callbacks=[freeze, epochs], **options)
    return [before, *epochs.states]


def test_frozen_backbone_does_not_move_and_its_head_does(card: mc.ModelCard, train: Train) -> None:
    before, _, after = states(card, train, FreezeBackbone(), max_epochs=2)
    assert moved(before, after) == {"head.weight", "head.bias"}


def test_validation_within_the_epoch_does_not_wake_frozen_batch_norm(card: mc.ModelCard, train: Train) -> None:
    before, after = states(card, train, FreezeBackbone(), max_epochs=1, val_check_interval=1)
    assert moved(before, after) == {"head.weight", "head.bias"}


def test_backbone_and_its_batch_norm_move_from_the_epoch_they_are_told(card: mc.ModelCard, train: Train) -> None:
    before, first, second = states(card, train, FreezeBackbone(unfreeze_epoch=1), max_epochs=2)
    assert moved(before, first) == {"head.weight", "head.bias"}
    assert moved(first, second) == before.keys()


def test_without_freezing_everything_moves(card: mc.ModelCard, train: Train) -> None:
    before, after = states(card, train, FreezeBackbone(unfreeze_epoch=0), max_epochs=1)
    assert moved(before, after) == before.keys()


@pytest.mark.parametrize("name", HEADS)
def test_only_the_head_asks_for_gradients_while_frozen(name: str) -> None:
    network = make(name)
    set_frozen(network, True)
    trained = {key for key, parameter in network.named_parameters() if parameter.requires_grad}
    assert trained == {f"{HEADS[name]}weight", f"{HEADS[name]}bias"}


@pytest.mark.parametrize("name", HEADS)
def test_thawed_network_is_as_it_was_before(name: str) -> None:
    network = make(name).train()
    set_frozen(network, True)
    assert not any(module.training for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    set_frozen(network, False)
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(module.training for module in network.modules())


def test_dropout_before_the_head_stays_on_while_frozen() -> None:
    network = make("baseline_cnn").train()
    set_frozen(network, True)
    assert network.head_drop.training


def distilled() -> nn.Module:
    """Return a network with two heads, which timm gives as a pair."""
    small = {"embed_dim": 24, "depth": 1, "num_heads": 2, "img_size": 16}
    architecture = Architecture(name="deit_tiny_distilled_patch16_224", kwargs=small)
    return make_network(architecture, num_classes=3, channels=1)


def headless() -> nn.Module:
    network = make("baseline_cnn")
    network.reset_classifier(0)
    return network


def foreign() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.parametrize("network", [distilled, headless, foreign])
def test_network_without_a_head_of_its_own_is_refused_and_left_as_it_was(network: Callable[[], nn.Module]) -> None:
    refused = network()
    with pytest.raises(ConfigError, match=rf"{type(refused).__name__} has no single last layer"):
        set_frozen(refused, True)
    assert all(parameter.requires_grad for parameter in refused.parameters())
