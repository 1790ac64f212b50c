"""Losses against torch, timm and scikit-learn, and what mixup and cutmix do to pictures and labels."""

import math

import numpy as np
import pytest
import timm.loss
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.nn import functional as F

from mlops_cls.choices import ClassWeights, LossName
from mlops_cls.config import AugmentConfig, LossConfig
from mlops_cls.models.losses import FocalLoss, Mix, balanced_weights, log_loss, make_loss, make_mix

COUNTS = {"boot": 10, "bag": 30, "coat": 60}
NUM_CLASSES = len(COUNTS)
MIXES = [AugmentConfig(mixup=0.4), AugmentConfig(cutmix=1.0), AugmentConfig(mixup=0.4, cutmix=1.0)]


@pytest.fixture
def logits() -> Tensor:
    return 3 * torch.randn(20, NUM_CLASSES, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels() -> Tensor:
    return torch.randint(NUM_CLASSES, (20,), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("weight", [None, torch.tensor([0.2, 1.0, 7.0])])
def test_focal_loss_with_gamma_0_is_cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor | None) -> None:
    torch.testing.assert_close(FocalLoss(0.0, weight)(logits, labels), F.cross_entropy(logits, labels, weight))


def test_focal_loss_is_the_formula_of_its_paper() -> None:
    probabilities = [[0.7, 0.2, 0.1], [0.3, 0.6, 0.1]]
    by_hand = [-((1 - 0.7) ** 1.5) * math.log(0.7), -((1 - 0.1) ** 1.5) * math.log(0.1)]
    loss = FocalLoss(1.5)(torch.tensor(probabilities).log(), torch.tensor([0, 2]))
    assert float(loss) == pytest.approx(sum(by_hand) / 2, rel=1e-5)


def test_focal_loss_with_weights_is_a_weighted_mean() -> None:
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1]])
    by_hand = 4 * -((1 - 0.7) ** 2) * math.log(0.7) + 1 * -((1 - 0.1) ** 2) * math.log(0.1)
    loss = FocalLoss(2.0, torch.tensor([4.0, 9.0, 1.0]))(probabilities.log(), torch.tensor([0, 2]))
    assert float(loss) == pytest.approx(by_hand / 5, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_loss_of_a_certain_answer_has_a_gradient_that_is_a_number(gamma: float) -> None:
    logits = torch.tensor([[60.0, -60.0], [-60.0, 60.0]], requires_grad=True)
    FocalLoss(gamma)(logits, torch.tensor([0, 0])).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1, 0] < 0


def test_focal_loss_has_gamma_2_unless_told(logits: Tensor, labels: Tensor) -> None:
    default, told = (make_loss(LossConfig(name=LossName.focal, gamma=gamma), COUNTS) for gamma in (None, 5.0))
    assert default(logits, labels) == FocalLoss(2.0)(logits, labels)
    assert told(logits, labels) == FocalLoss(5.0)(logits, labels)


def test_default_loss_is_cross_entropy_with_neither_weights_nor_smoothing(logits: Tensor, labels: Tensor) -> None:
    assert make_loss(LossConfig(), COUNTS)(logits, labels) == nn.CrossEntropyLoss()(logits, labels)


def test_smoothing_gives_every_class_its_share(logits: Tensor, labels: Tensor) -> None:
    loss = make_loss(LossConfig(smoothing=0.3), COUNTS)(logits, labels)
    targets = F.one_hot(labels, NUM_CLASSES) * 0.7 + 0.1
    torch.testing.assert_close(loss, -(targets * logits.log_softmax(1)).sum(1).mean())
    assert loss == nn.CrossEntropyLoss(label_smoothing=0.3)(logits, labels)


@pytest.mark.parametrize("smoothing", [None, 0.2])
def test_bce_of_labels_is_that_of_timm(logits: Tensor, labels: Tensor, smoothing: float | None) -> None:
    loss = make_loss(LossConfig(name=LossName.bce, smoothing=smoothing), COUNTS)(logits, labels)
    torch.testing.assert_close(loss, timm.loss.BinaryCrossEntropy(smoothing=smoothing or 0.0)(logits, labels))


@pytest.mark.parametrize("name", [LossName.cross_entropy, LossName.bce])
@pytest.mark.parametrize("smoothing", [None, 0.2])
def test_mixed_labels_are_smoothed_like_the_others(
    logits: Tensor, labels: Tensor, name: LossName, smoothing: float | None
) -> None:
    loss = make_loss(LossConfig(name=name, smoothing=smoothing), COUNTS)
    torch.testing.assert_close(loss(logits, F.one_hot(labels, NUM_CLASSES).float()), loss(logits, labels))


@pytest.mark.parametrize("counts", [[10, 30, 60], [5, 5], [1, 1000, 7, 2]])
def test_balanced_weights_equal_scikit_learn(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    expected = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
    np.testing.assert_allclose(balanced_weights(counts).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", [LossName.cross_entropy, LossName.focal])
def test_balanced_loss_weighs_classes_in_their_own_order(logits: Tensor, labels: Tensor, name: LossName) -> None:
    loss = make_loss(LossConfig(name=name, gamma=None, class_weights=ClassWeights.balanced), COUNTS)
    weight = torch.tensor([100 / 30, 100 / 90, 100 / 180])
    expected = FocalLoss(2.0, weight) if name is LossName.focal else nn.CrossEntropyLoss(weight)
    torch.testing.assert_close(loss(logits, labels), expected(logits, labels))


def test_class_weights_follow_the_loss_to_its_device() -> None:
    for name in (LossName.cross_entropy, LossName.focal):
        loss = make_loss(LossConfig(name=name, class_weights=ClassWeights.balanced), COUNTS)
        assert "weight" in dict(loss.named_buffers())


def test_log_loss_is_the_summed_cross_entropy(logits: Tensor, labels: Tensor) -> None:
    assert log_loss(logits, labels) == F.cross_entropy(logits, labels, reduction="sum")


def test_log_loss_of_half_precision_is_summed_in_float32(logits: Tensor, labels: Tensor) -> None:
    halves = logits.bfloat16()
    assert log_loss(halves, labels).dtype == torch.float32
    assert log_loss(halves, labels) == log_loss(halves.float(), labels)


def batch() -> tuple[Tensor, Tensor]:
    """Return 16 pictures whose grey value tells the class, 0, 100 or 200, and their labels."""
    labels = torch.arange(16) % NUM_CLASSES
    return (100.0 * labels).view(-1, 1, 1, 1).expand(-1, 3, 8, 8).clone(), labels


def mixed(config: AugmentConfig, seed: int) -> tuple[Tensor, Tensor]:
    mix = make_mix(config, NUM_CLASSES)
    assert mix is not None
    torch.manual_seed(seed)
    return mix(*batch())


def test_nothing_is_mixed_unless_asked() -> None:
    assert make_mix(AugmentConfig(), NUM_CLASSES) is None


@pytest.mark.parametrize("config", MIXES)
def test_mixed_labels_are_shares_that_sum_to_1(config: AugmentConfig) -> None:
    _, labels = mixed(config, seed=0)
    assert labels.shape == (16, NUM_CLASSES)
    torch.testing.assert_close(labels.sum(1), torch.ones(16))
    assert (labels >= 0).all()


@pytest.mark.parametrize("config", MIXES)
@pytest.mark.parametrize("seed", range(5))
def test_labels_are_mixed_in_the_same_shares_as_pictures(config: AugmentConfig, seed: int) -> None:
    images, labels = mixed(config, seed)
    torch.testing.assert_close(images.mean((1, 2, 3)), labels @ torch.tensor([0.0, 100.0, 200.0]))


@pytest.mark.parametrize("config", MIXES)
@pytest.mark.parametrize("seed", range(5))
def test_mixed_pictures_stay_within_0_and_255(config: AugmentConfig, seed: int) -> None:
    mix: Mix | None = make_mix(config, NUM_CLASSES)
    assert mix is not None
    torch.manual_seed(seed)
    images, _ = mix(torch.randint(256, (16, 3, 8, 8)).float(), torch.arange(16) % NUM_CLASSES)
    assert images.min() >= 0
    assert images.max() <= 255


@pytest.mark.parametrize("config", MIXES)
def test_mixing_is_fixed_by_the_seed_of_torch(config: AugmentConfig) -> None:
    first, again, other = (mixed(config, seed) for seed in (3, 3, 4))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[1], other[1])


def test_each_batch_draws_mixup_or_cutmix_where_both_are_given() -> None:
    # cutmix only moves pixels; mixup makes new grey values.
    kinds = {bool(torch.isin(mixed(MIXES[2], seed)[0], torch.tensor([0.0, 100.0, 200.0])).all()) for seed in range(20)}
    assert kinds == {True, False}
