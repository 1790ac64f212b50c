"""Training the head on features that are computed once: the same weights and scores as on pictures, and when not."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch import Tensor

import mlops_cls as mc
from mlops_cls.build import same_each_epoch
from mlops_cls.card import Architecture
from mlops_cls.config import OptimConfig
from mlops_cls.models import features as module
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.features import FrozenFeatures, feature_width, frozen_features
from mlops_cls.models.finetune import FreezeBackbone
from mlops_cls.models.networks import classifier_of
from mlops_cls.models.weights import read_checkpoint

Train = Callable[..., pl.Trainer]
Result = tuple[ImageClassifier, pl.Trainer]
NETWORKS = ["baseline_cnn", "two_conv_cnn", "resnet18"]
SAID = "its features are computed once, the head trains on them"


def make(card: mc.ModelCard, name: str, **architecture: Any) -> ImageClassifier:
    torch.manual_seed(0)
    chosen = replace(card, architecture=Architecture(name=name, **architecture))
    return ImageClassifier(chosen, optim=OptimConfig(lr=0.01, weight_decay=0.5))


def pictures(digits: mc.DigitsDataModule) -> Tensor:
    images: Tensor = next(iter(digits.val_dataloader()))[0][:8]
    return images


def both(classifier: ImageClassifier, digits: mc.DigitsDataModule, train: Train, **options: Any) -> list[Result]:
    """Return the classifier and its Trainer after training on pictures, and after training on features."""
    twin = deepcopy(classifier)
    data = frozen_features(twin, digits)
    assert data is not None
    results = []
    for trained, source in ((classifier, digits), (twin, data)):
        torch.manual_seed(1)
        chosen = {"callbacks": [FreezeBackbone()], "max_epochs": 3} | options
        results.append((trained, train(trained, data=source, **chosen)))
    return results


@pytest.mark.parametrize("drop_rate", [0.0, 0.5])
@pytest.mark.parametrize("name", NETWORKS)
def test_weights_and_scores_are_those_of_training_on_pictures(
    name: str, drop_rate: float, card: mc.ModelCard, digits: mc.DigitsDataModule, train: Train
) -> None:
    (plain, seen), (twin, spared) = both(make(card, name, drop_rate=drop_rate), digits, train)
    ours, theirs = twin.state_dict(), plain.state_dict()
    assert list(ours) == list(theirs)
    for key, value in ours.items():
        torch.testing.assert_close(value, theirs[key], rtol=1e-3, atol=1e-5, msg=key)
    assert spared.callback_metrics.keys() == seen.callback_metrics.keys()
    for key, value in spared.callback_metrics.items():
        torch.testing.assert_close(value, seen.callback_metrics[key], rtol=1e-3, atol=1e-4, msg=key)


def test_only_the_head_moves_and_batch_norm_statistics_stay(
    card: mc.ModelCard, digits: mc.DigitsDataModule, train: Train
) -> None:
    classifier = make(card, "resnet18")
    before = deepcopy(classifier.state_dict())
    _, (twin, _) = both(classifier, digits, train)
    after = twin.state_dict()
    assert {key for key in before if not torch.equal(before[key], after[key])} == {
        "network.fc.weight",
        "network.fc.bias",
    }


def test_head_of_two_layers_trains_on_what_its_first_layer_is_given(
    card: mc.ModelCard, digits: mc.DigitsDataModule, train: Train
) -> None:
    (plain, _), (twin, _) = both(make(card, "resnet18", head_width=7), digits, train)
    for ours, theirs in zip(twin.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_moving_average_of_the_weights_is_that_of_training_on_pictures(
    card: mc.ModelCard, digits: mc.DigitsDataModule, train: Train
) -> None:
    classifier = make(card, "baseline_cnn")
    twin = deepcopy(classifier)
    for trained, source in ((classifier, digits), (twin, frozen_features(twin, digits))):
        train(trained, data=source, max_epochs=2, callbacks=[FreezeBackbone(), EMAWeightAveraging(decay=0.9)])
    for ours, theirs in zip(twin.parameters(), classifier.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_features_come_in_the_order_of_the_pictures(card: mc.ModelCard, digits: mc.DigitsDataModule) -> None:
    classifier = make(card, "baseline_cnn")
    data = FrozenFeatures(digits)
    data.trainer = SimpleNamespace(lightning_module=classifier)
    loaders = [(source.train_dataloader(), source.val_dataloader()) for source in (data, digits)]
    for ours, theirs in zip(*loaders, strict=True):
        assert len(ours) == len(theirs)
        for epoch in (0, 1):
            for loader in (ours, theirs):
                loader.sampler.set_epoch(epoch)
            for (_, mine), (_, other) in zip(ours, theirs, strict=True):
                assert torch.equal(mine, other)


def test_backbone_runs_once_over_each_split_however_long_training_is(
    card: mc.ModelCard, digits: mc.DigitsDataModule, train: Train
) -> None:
    classifier = make(card, "baseline_cnn")
    data = frozen_features(classifier, digits)
    seen: list[int] = []
    classifier.network.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    train(classifier, data=data, callbacks=[FreezeBackbone()], max_epochs=4)
    assert sum(seen) == sum(digits.manifest.size_of(split) for split in ("train", "val"))


def test_looking_at_the_features_leaves_classifier_and_random_state_as_they_were(
    card: mc.ModelCard, digits: mc.DigitsDataModule
) -> None:
    classifier = make(card, "resnet18", drop_rate=0.5)
    before, state = deepcopy(classifier.state_dict()), torch.get_rng_state()
    assert frozen_features(classifier, digits) is not None
    assert torch.equal(torch.get_rng_state(), state)
    assert all(part.training for part in classifier.modules())
    assert all(parameter.requires_grad for parameter in classifier.parameters())
    assert all(torch.equal(value, before[key]) for key, value in classifier.state_dict().items())


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("resnet18", {"drop_path_rate": 0.01}),
        ("resnet18", {"drop_block_rate": 0.1}),
        ("vit_tiny_patch16_224", {"img_size": 16, "embed_dim": 24, "depth": 1, "num_heads": 2, "proj_drop_rate": 0.1}),
    ],
)
def test_backbone_that_draws_at_random_while_it_trains_is_run_in_each_epoch(
    name: str, kwargs: dict[str, Any], card: mc.ModelCard, digits: mc.DigitsDataModule
) -> None:
    assert feature_width(make(card, name, kwargs=kwargs), pictures(digits)) is None


def test_network_that_does_more_after_its_classifier_is_run_in_each_epoch(
    card: mc.ModelCard, digits: mc.DigitsDataModule
) -> None:
    classifier = make(card, "resnet18")
    forward = classifier.network.forward
    classifier.network.forward = lambda images: forward(images) * 2
    assert feature_width(classifier, pictures(digits)) is None
    assert all(part.training for part in classifier.modules())


def test_network_whose_classifier_is_given_maps_is_run_in_each_epoch(
    card: mc.ModelCard, digits: mc.DigitsDataModule
) -> None:
    assert feature_width(make(card, "resnetv2_50", kwargs={"layers": [1, 1, 1, 1]}), pictures(digits)) is None


def test_features_too_many_to_keep_are_computed_in_each_epoch_and_that_is_said(
    card: mc.ModelCard, digits: mc.DigitsDataModule, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = make(card, "baseline_cnn")
    needed = 4 * classifier_of(classifier.network).in_features * 150
    monkeypatch.setattr(module, "MOST_BYTES", needed - 1)
    with caplog.at_level("INFO", "mlops_cls"):
        assert frozen_features(classifier, digits) is None
    assert "computed anew in each epoch" in caplog.text
    monkeypatch.setattr(module, "MOST_BYTES", needed)
    assert frozen_features(classifier, digits) is not None


def test_checkpoint_is_the_complete_classifier_and_scores_pictures(tiny_overrides: list[str], tiny_run: mc.Run) -> None:
    frozen = [f"model.weights={tiny_run.checkpoint}", "model.freeze=true", "augment=none", "runtime.precision=fp32"]
    run = mc.fit(mc.load_config(*tiny_overrides, *frozen))
    assert SAID in (run.folder / "train.log").read_text(encoding="utf-8")
    rows = (run.folder / "metrics.csv").read_text().splitlines()
    best = dict(zip(rows[0].split(","), rows[1 + int(run.metrics["epoch"])].split(","), strict=True))
    # While training on features, and after it on pictures.
    assert float(best["val/loss"]) == pytest.approx(run.metrics["val/loss"], rel=1e-4)
    assert (
        read_checkpoint(run.checkpoint)["state_dict"].keys()
        == read_checkpoint(tiny_run.checkpoint)["state_dict"].keys()
    )


FROZEN = ("model.weights=FILE", "model.freeze=true", "augment=none")


def test_frozen_backbone_that_sees_unvaried_pictures_gives_the_same_each_epoch() -> None:
    assert same_each_epoch(mc.load_config(*FROZEN))
    assert same_each_epoch(mc.load_config(*FROZEN, "model.drop_rate=0.5", "trainer.ema=0.99", "data.sampler=balanced"))
    assert not same_each_epoch(mc.load_config())


@pytest.mark.parametrize(
    "override",
    [
        "augment=light",
        "augment.mixup=0.2",
        "augment.cutmix=0.2",
        "model.unfreeze_epoch=1",
        "trainer.progressive=true",
        "trainer.limit_batches=2",
        "trainer.callbacks=[{_target_: pytorch_lightning.callbacks.Timer}]",
    ],
)
def test_pictures_are_read_where_they_or_the_backbone_change_or_others_look_at_them(override: str) -> None:
    assert not same_each_epoch(mc.load_config(*FROZEN, override))
