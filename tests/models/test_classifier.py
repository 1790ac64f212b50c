"""The classifier in plain Lightning: what goes in and out, what its checkpoint carries, and what it refuses."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

import mlops_cls as mc
from mlops_cls.card import Architecture, Preprocess
from mlops_cls.choices import ClassWeights, LossName, Schedule
from mlops_cls.config import AugmentConfig, LossConfig, OptimConfig
from mlops_cls.errors import ArtifactError, ConfigError, MlopsError
from mlops_cls.models.classifier import ImageClassifier, Normalise

Train = Callable[..., pl.Trainer]
RGB = mc.ModelCard(
    classes=("a", "b", "c"),
    preprocess=Preprocess(size=8, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    architecture=Architecture(name="two_conv_cnn"),
)
GREY = replace(RGB, preprocess=Preprocess(size=8, mean=(0.3,), std=(0.1,)))
SCORES = ("loss", "accuracy", "balanced_accuracy", "macro_f1")


def pictures(channels: int, count: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, channels, 8, 8), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def trained(card: mc.ModelCard, train: Train, tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageClassifier, Path]:
    """Return a classifier after two epochs, and the checkpoint that Lightning wrote of it."""
    pl.seed_everything(0, verbose=False)
    counts = {name: 10 + i for i, name in enumerate(card.classes)}
    classifier = ImageClassifier(card, loss=LossConfig(class_weights=ClassWeights.balanced), counts=counts)
    trainer = train(classifier, max_epochs=2)
    path = tmp_path_factory.mktemp("checkpoints") / "plain.ckpt"
    trainer.save_checkpoint(path)
    return classifier.eval(), path


@pytest.fixture
def content(trained: tuple[ImageClassifier, Path]) -> dict[str, Any]:
    """Return the checkpoint's content, to be changed and written elsewhere."""
    loaded: dict[str, Any] = torch.load(trained[1], weights_only=True)
    return loaded


def first_batch(digits: mc.DigitsDataModule) -> tuple[Tensor, Tensor]:
    images, labels = next(iter(digits.val_dataloader()))
    return images, labels


@pytest.mark.parametrize("card", [GREY, RGB], ids=["grey", "rgb"])
def test_logits_are_those_of_the_network_on_pictures_normalised_by_hand(card: mc.ModelCard) -> None:
    classifier, images = ImageClassifier(card).eval(), pictures(card.preprocess.channels)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (card.preprocess.mean, card.preprocess.std))
    by_hand = classifier.network((images / 255 - mean) / std)
    torch.testing.assert_close(classifier(images), by_hand, rtol=1e-4, atol=1e-5)


def test_pictures_as_float_give_the_logits_of_the_same_pictures_as_bytes() -> None:
    classifier, images = ImageClassifier(RGB).eval(), pictures(3)
    assert torch.equal(classifier(images.float()), classifier(images))


def test_memory_order_of_pictures_does_not_change_the_logits() -> None:
    classifier, images = ImageClassifier(RGB).eval(), pictures(3)
    assert torch.equal(classifier(images.contiguous(memory_format=torch.channels_last)), classifier(images))
    logits = classifier(images)
    classifier.memory_format = torch.contiguous_format
    torch.testing.assert_close(classifier(images), logits, rtol=1e-4, atol=1e-5)


def test_normalisation_of_black_and_white_is_what_the_card_says() -> None:
    extremes = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    assert Normalise(GREY.preprocess)(extremes).flatten().tolist() == pytest.approx([-3, 7], rel=1e-5)


def test_network_has_the_classes_dropout_and_arguments_of_the_card() -> None:
    kwargs = {"embed_dim": 24, "depth": 1, "num_heads": 2, "img_size": 16}
    card = replace(RGB, architecture=Architecture(name="vit_tiny_patch16_224", drop_rate=0.25, kwargs=kwargs))
    network = ImageClassifier(card).network
    assert (network.head.out_features, network.head_drop.p, network.embed_dim) == (3, 0.25, 24)


def test_checkpoint_rebuilds_a_classifier_with_identical_logits(
    trained: tuple[ImageClassifier, Path], digits: mc.DigitsDataModule
) -> None:
    classifier, path = trained
    rebuilt, (images, _) = ImageClassifier.from_checkpoint(path), first_batch(digits)
    with torch.no_grad():
        assert torch.equal(rebuilt(images), classifier(images))
    assert rebuilt.card == classifier.card


def test_rebuilt_classifier_is_ready_to_predict_one_picture_at_a_time(
    trained: tuple[ImageClassifier, Path], digits: mc.DigitsDataModule
) -> None:
    rebuilt, (images, _) = ImageClassifier.from_checkpoint(str(trained[1])), first_batch(digits)
    assert not any(module.training for module in rebuilt.modules())
    with torch.no_grad():
        alone = torch.cat([rebuilt(image[None]) for image in images[:4]])
        torch.testing.assert_close(alone, rebuilt(images)[:4], rtol=1e-4, atol=1e-5)


def test_checkpoint_holds_the_card_as_plain_values(content: dict[str, Any], card: mc.ModelCard) -> None:
    assert mc.ModelCard.from_dict(content["card"]) == card


def test_checkpoint_keeps_what_resuming_needs(content: dict[str, Any]) -> None:
    assert {"state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step"} <= content.keys()


def test_checkpoint_without_a_card_is_refused_with_the_way_to_use_it(content: dict[str, Any], tmp_path: Path) -> None:
    del content["card"]
    torch.save(content, tmp_path / "foreign.ckpt")
    with pytest.raises(ArtifactError, match=r"has no model card.*use model\.weights=.*foreign\.ckpt"):
        ImageClassifier.from_checkpoint(tmp_path / "foreign.ckpt")


@pytest.mark.parametrize("damage", ["no weights", "weights missing", "weights of another network", "no mapping"])
def test_checkpoint_whose_weights_are_not_those_of_its_card_is_refused(
    content: dict[str, Any], tmp_path: Path, damage: str
) -> None:
    if damage == "no weights":
        del content["state_dict"]
    elif damage == "weights missing":
        del content["state_dict"]["network.head.bias"]
    elif damage == "weights of another network":
        content["state_dict"] = ImageClassifier(GREY).state_dict()
    else:
        content["state_dict"] = [1]
    torch.save(content, tmp_path / "damaged.ckpt")
    with pytest.raises(ArtifactError, match=r"damaged\.ckpt is damaged"):
        ImageClassifier.from_checkpoint(tmp_path / "damaged.ckpt")


def test_resumed_training_goes_on_where_it_stopped(
    trained: tuple[ImageClassifier, Path], card: mc.ModelCard, train: Train
) -> None:
    weighted = ImageClassifier(card, loss=LossConfig(class_weights=ClassWeights.balanced))
    trainer = train(weighted, ckpt_path=trained[1], max_epochs=3)
    assert (trainer.current_epoch, trainer.global_step) == (3, 9)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda names: names[::-1], "same names in another order"),
        (lambda names: (*names[:-1], "nine"), "missing nine, unexpected 9|missing 9, unexpected nine"),
    ],
)
def test_resuming_with_other_classes_is_refused_with_the_difference(
    trained: tuple[ImageClassifier, Path],
    card: mc.ModelCard,
    train: Train,
    change: Callable[[tuple[str, ...]], tuple[str, ...]],
    difference: str,
) -> None:
    other = ImageClassifier(replace(card, classes=change(card.classes)))
    with pytest.raises(ArtifactError, match=difference):
        train(other, ckpt_path=trained[1], max_epochs=3)


def test_resuming_from_a_checkpoint_without_a_card_is_refused(
    content: dict[str, Any], card: mc.ModelCard, train: Train, tmp_path: Path
) -> None:
    del content["card"]
    torch.save(content, tmp_path / "foreign.ckpt")
    with pytest.raises(ArtifactError, match="no model card"):
        train(ImageClassifier(card), ckpt_path=tmp_path / "foreign.ckpt", max_epochs=3)


def test_every_score_is_logged_for_training_and_validation(card: mc.ModelCard, train: Train) -> None:
    logged = train(ImageClassifier(card)).callback_metrics
    assert set(logged) == {"lr", *(f"{split}/{score}" for split in ("train", "val") for score in SCORES)}


def test_logged_validation_scores_are_those_of_the_whole_split_in_the_last_epoch_alone(
    card: mc.ModelCard, train: Train, digits: mc.DigitsDataModule
) -> None:
    classifier = ImageClassifier(card)
    logged = train(classifier, max_epochs=2).callback_metrics
    images, labels = first_batch(digits)
    with torch.no_grad():
        logits = classifier.eval()(images)
    assert len(labels) == digits.manifest.size_of("val")
    assert float(logged["val/loss"]) == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)
    assert float(logged["val/accuracy"]) == pytest.approx(float((logits.argmax(1) == labels).float().mean()))


@pytest.mark.parametrize(
    "loss",
    [
        LossConfig(name=LossName.focal),
        LossConfig(name=LossName.bce),
        LossConfig(smoothing=0.3),
        LossConfig(class_weights=ClassWeights.balanced),
    ],
    ids=["focal", "bce", "smoothing", "weights"],
)
def test_validation_and_test_loss_are_cross_entropy_whatever_is_minimised(loss: LossConfig) -> None:
    classifier = ImageClassifier(GREY, loss=loss, counts={"a": 1, "b": 5, "c": 9}).eval()
    images, labels = pictures(1), torch.tensor([0, 1, 2, 0])
    classifier.validation_step((images, labels), 0)
    classifier.test_step((images, labels), 0)
    expected = float(F.cross_entropy(classifier(images), labels).detach())
    assert classifier.val_scores.compute()["loss"] == pytest.approx(expected, rel=1e-6)
    assert classifier.test_scores.compute()["loss"] == pytest.approx(expected, rel=1e-6)
    minimised = float(classifier.training_step((images, labels), 0).detach())
    assert minimised != pytest.approx(expected)
    assert classifier.train_scores.compute()["loss"] == pytest.approx(minimised, rel=1e-6)


@pytest.mark.parametrize("augment", [AugmentConfig(mixup=1.0), AugmentConfig(cutmix=1.0)], ids=["mixup", "cutmix"])
def test_training_pictures_are_mixed_and_measured_pictures_are_not(augment: AugmentConfig) -> None:
    torch.manual_seed(0)
    classifier, batch = ImageClassifier(GREY, augment=augment).eval(), (pictures(1), torch.tensor([0, 1, 2, 0]))
    losses = {float(classifier.training_step(batch, 0).detach()) for _ in range(3)}
    assert len(losses) == 3
    expected = float(F.cross_entropy(classifier(batch[0]), batch[1]).detach())
    for _ in range(3):
        classifier.validation_step(batch, 0)
    assert classifier.val_scores.compute()["loss"] == pytest.approx(expected)


def test_training_that_diverges_says_which_setting_to_change(card: mc.ModelCard, train: Train) -> None:
    reckless = ImageClassifier(card, optim=OptimConfig(name="sgd", lr=1e30, schedule=Schedule.none))
    with pytest.raises(MlopsError, match=r"training loss became (nan|inf) in epoch \d.*lower optim\.lr"):
        train(reckless, max_epochs=3)


def weights_after(seed: int, card: mc.ModelCard, train: Train) -> dict[str, Tensor]:
    pl.seed_everything(seed, verbose=False)
    classifier = ImageClassifier(card, augment=AugmentConfig(mixup=0.4))
    train(classifier, max_epochs=2)
    return classifier.state_dict()


def test_same_seed_gives_the_same_weights_bit_by_bit_and_another_seed_others(card: mc.ModelCard, train: Train) -> None:
    first, again, other = (weights_after(seed, card, train) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["network.head.weight"], other["network.head.weight"])


class Rates(pl.Callback):
    """Keeps the learning rate of every batch."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.seen.append(float(trainer.optimizers[0].param_groups[0]["lr"]))


def rates(card: mc.ModelCard, train: Train, optim: OptimConfig, **options: Any) -> list[float]:
    callback, quick = Rates(), replace(card, architecture=RGB.architecture)
    train(ImageClassifier(quick, optim=optim), callbacks=[callback], **options)
    return callback.seen


def test_schedule_falls_over_the_whole_run_step_by_step(card: mc.ModelCard, train: Train) -> None:
    seen = rates(card, train, OptimConfig(lr=0.01), max_epochs=2)
    assert seen == pytest.approx([0.005 * (1 + math.cos(math.pi * step / 6)) for step in range(6)])


def test_accumulated_batches_share_one_step_of_the_schedule(card: mc.ModelCard, train: Train) -> None:
    # Three batches an epoch are two steps: one of two batches, and one of the batch that is left.
    seen = rates(card, train, OptimConfig(lr=0.01), max_epochs=1, accumulate_grad_batches=2)
    assert seen == pytest.approx([0.01, 0.01, 0.005])


@pytest.mark.parametrize(
    "optim",
    [
        OptimConfig(warmup_epochs=1.0),
        OptimConfig(schedule=Schedule.onecycle),
        OptimConfig(schedule=Schedule.step, step_epochs=1, step_factor=0.5),
    ],
    ids=["warmup", "onecycle", "step"],
)
def test_run_told_its_steps_has_the_rates_of_the_same_run_told_its_epochs(
    card: mc.ModelCard, train: Train, optim: OptimConfig
) -> None:
    by_epochs = rates(card, train, optim, max_epochs=3)
    assert len(set(by_epochs)) > 2
    assert rates(card, train, optim, max_epochs=None, max_steps=9) == pytest.approx(by_epochs)


def test_run_without_an_end_is_refused_with_what_to_give(card: mc.ModelCard, train: Train) -> None:
    with pytest.raises(ConfigError, match="max_epochs or max_steps"):
        train(ImageClassifier(card), max_epochs=-1)
