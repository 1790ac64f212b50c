"""Small pictures first: what sizes training sees, that nothing else sees them, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resize

import mlops_cls as mc
from mlops_cls.build import check
from mlops_cls.compose import load_config
from mlops_cls.config import AugmentConfig
from mlops_cls.errors import ConfigError
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.progressive import ProgressiveSize, check_size, size_at

Train = Callable[..., pl.Trainer]


class Watched(ImageClassifier):
    """Notes the side of the pictures that the network is given."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.seen: dict[bool, list[int]] = {True: [], False: []}

    def forward(self, images: Tensor) -> Tensor:
        self.seen[self.training].append(images.shape[-1])
        return super().forward(images)


@pytest.fixture
def large(card: mc.ModelCard) -> mc.ModelCard:
    """Return a card for 32 px; the digits of 16 px stand in for them, and the first stage is as large as they are."""
    return replace(card, preprocess=replace(card.preprocess, size=32))


def sizes(epochs: int, full: int) -> list[int]:
    return [size_at(epoch, epochs, full) for epoch in range(epochs)]


@pytest.mark.parametrize("full", [17, 28, 64, 96, 224, 512])
@pytest.mark.parametrize("epochs", [2, 3, 7, 30])
def test_sizes_grow_from_half_and_the_last_third_of_the_epochs_is_at_full_size(epochs: int, full: int) -> None:
    chosen = sizes(epochs, full)
    assert chosen == sorted(chosen)
    assert chosen[0] < full and chosen[0] == pytest.approx(full / 2, abs=16)
    assert chosen.count(full) == -(-epochs // 3)
    assert min(chosen) >= 16


def test_sizes_below_the_full_one_are_those_that_networks_halve_without_a_remainder() -> None:
    assert sizes(9, 224) == [128, 128, 160, 160, 192, 192, 224, 224, 224]
    assert sizes(9, 96) == [48, 48, 64, 64, 80, 80, 96, 96, 96]


def test_run_that_becomes_shorter_still_ends_at_full_size() -> None:
    assert [size_at(2, epochs, 96) for epochs in (9, 4, 3)] == [64, 96, 96]


def test_training_sees_the_planned_sizes_and_validation_the_full_one(large: mc.ModelCard, train: Train) -> None:
    classifier = Watched(large)
    train(classifier, callbacks=[ProgressiveSize()], max_epochs=3)
    assert classifier.seen[True] == [16] * 3 + [20] * 3 + [32] * 3
    assert set(classifier.seen[False]) == {16}  # as they lie in the store


def test_resumed_run_goes_on_at_the_size_of_its_epoch(large: mc.ModelCard, train: Train, tmp_path: Any) -> None:
    stopped = Watched(large)
    trainer = train(stopped, callbacks=[ProgressiveSize()], max_epochs=2)
    trainer.save_checkpoint(tmp_path / "stopped.ckpt")
    resumed = Watched(large)
    train(resumed, callbacks=[ProgressiveSize()], max_epochs=3, ckpt_path=tmp_path / "stopped.ckpt")
    assert resumed.seen[True] == [32] * 3


@pytest.mark.parametrize("augment", [AugmentConfig(), AugmentConfig(mixup=0.2)], ids=["plain", "mixup"])
def test_pictures_are_shrunk_bilinearly_with_antialias_before_they_are_mixed(
    card: mc.ModelCard, digits: mc.DigitsDataModule, augment: AugmentConfig
) -> None:
    classifier = ImageClassifier(card, augment=augment)
    images, labels = next(iter(digits.val_dataloader()))
    shrunk = resize(images, [8, 8], InterpolationMode.BILINEAR, antialias=True)
    torch.manual_seed(0)
    expected = classifier.training_step((shrunk, labels), 0)
    classifier.train_size = 8
    torch.manual_seed(0)
    assert torch.equal(classifier.training_step((images, labels), 0), expected)


def test_what_was_chosen_is_said_in_one_line(
    large: mc.ModelCard, train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "mlops_cls"):
        train(ImageClassifier(large), callbacks=[ProgressiveSize()], max_epochs=3)
    assert caplog.messages == ["small pictures first, epochs by side: 1 at 16 px, 1 at 20 px, 1 at 32 px"]


def test_run_with_small_pictures_first_is_scored_at_full_size(tiny_overrides: list[str]) -> None:
    run = mc.fit(mc.load_config(*tiny_overrides, "data.size=20", "trainer.progressive=true"))
    assert run.card.preprocess.size == 20
    assert "1 at 16 px, 1 at 20 px" in (run.folder / "train.log").read_text()


def test_pictures_too_small_to_shrink_are_refused(tiny_overrides: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"progressive=true would not be used: the pictures have 16x16 pixels"):
        mc.fit(mc.load_config(*tiny_overrides, "trainer.progressive=true"))
    check_size(17)


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.name=vit_tiny_patch16_224"],
        ["model.name=swin_tiny_patch4_window7_224"],
        ["model.name=vit_tiny_patch16_224", "+model.kwargs.img_size=96"],
    ],
)
def test_network_built_for_one_size_is_refused_before_anything_is_prepared(overrides: list[str]) -> None:
    config = load_config(*overrides, "trainer.progressive=true")
    with pytest.raises(ConfigError, match=r"progressive=true is impossible with model\.name=.*one size"):
        check(config)
    check(load_config(*overrides))


def test_one_epoch_has_no_room_for_small_pictures() -> None:
    with pytest.raises(ConfigError, match="there is only one"):
        load_config("trainer.progressive=true", "trainer.max_epochs=1")


def test_run_is_not_stopped_for_scores_at_a_size_it_has_not_yet_trained_at() -> None:
    with pytest.raises(ConfigError, match=r"patience=3 and trainer\.progressive=true exclude each other"):
        load_config("trainer.progressive=true", "trainer.patience=3")
