"""Scores against scikit-learn and torchmetrics, on matrices with absent classes and classes that were never called."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    precision_recall_fscore_support,
)
from sklearn.metrics import confusion_matrix as sklearn_confusion
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from mlops_cls.models.metrics import PER_CLASS, Scores, confusion_matrix, per_class, summary

NUM_CLASSES = 7
# Which classes occur as true labels, and which are ever called.
CASES = {
    "all": (range(7), range(7)),
    "some absent": ((0, 2, 5), range(7)),
    "some never called": (range(7), (1, 3)),
    "absent and never called": ((0, 1, 2), (1, 2)),
    "nothing in common": ((0, 1), (5, 6)),
    "one class": ((4,), (4,)),
}
scikit_learn_agrees_loudly = pytest.mark.filterwarnings(
    "ignore:y_pred contains classes not in y_true", "ignore:A single label was found"
)


@pytest.fixture(params=range(3))
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(params=CASES)
def answers(request: pytest.FixtureRequest, seed: int) -> tuple[Tensor, Tensor]:
    """Return int64[N] predicted and true labels."""
    present, called = CASES[request.param]
    generator = np.random.default_rng(seed)
    draw = [generator.choice(list(classes), size=83) for classes in (called, present)]
    return torch.from_numpy(draw[0]), torch.from_numpy(draw[1])


def test_rows_of_the_confusion_matrix_are_true_classes() -> None:
    matrix = confusion_matrix(torch.tensor([1, 1, 2]), torch.tensor([0, 0, 2]), 3)
    assert matrix.tolist() == [[0, 2, 0], [0, 0, 0], [0, 0, 1]]


def test_confusion_matrix_equals_scikit_learn_and_torchmetrics(answers: tuple[Tensor, Tensor]) -> None:
    predicted, labels = answers
    ours = confusion_matrix(predicted, labels, NUM_CLASSES)
    assert ours.tolist() == sklearn_confusion(labels, predicted, labels=range(NUM_CLASSES)).tolist()
    assert torch.equal(ours, MulticlassConfusionMatrix(NUM_CLASSES)(predicted, labels))


@scikit_learn_agrees_loudly
def test_summary_equals_scikit_learn(answers: tuple[Tensor, Tensor]) -> None:
    predicted, labels = answers
    assert summary(confusion_matrix(predicted, labels, NUM_CLASSES)) == pytest.approx(
        {
            "accuracy": accuracy_score(labels, predicted),
            "balanced_accuracy": balanced_accuracy_score(labels, predicted),
            "macro_f1": f1_score(labels, predicted, average="macro", zero_division=0),
        },
        abs=1e-12,
    )


def test_accuracy_and_macro_f1_equal_torchmetrics(answers: tuple[Tensor, Tensor]) -> None:
    predicted, labels = answers
    ours = summary(confusion_matrix(predicted, labels, NUM_CLASSES))
    micro = MulticlassAccuracy(NUM_CLASSES, average="micro")(predicted, labels)
    macro = MulticlassF1Score(NUM_CLASSES, average="macro")(predicted, labels)
    assert (ours["accuracy"], ours["macro_f1"]) == pytest.approx((float(micro), float(macro)), abs=1e-6)


def test_scores_per_class_equal_scikit_learn_and_are_0_where_nothing_can_be_divided_by(
    answers: tuple[Tensor, Tensor],
) -> None:
    predicted, labels = answers
    ours = per_class(confusion_matrix(predicted, labels, NUM_CLASSES))
    assert tuple(ours) == PER_CLASS
    expected = precision_recall_fscore_support(labels, predicted, labels=range(NUM_CLASSES), zero_division=0)
    for name, reference in zip(PER_CLASS, expected, strict=True):
        np.testing.assert_allclose(ours[name].numpy(), reference, atol=1e-12, err_msg=name)


def test_class_that_is_absent_but_called_lowers_macro_f1_and_not_balanced_accuracy() -> None:
    scores = summary(torch.tensor([[9, 0, 1], [0, 10, 0], [0, 0, 0]]))
    assert scores["balanced_accuracy"] == pytest.approx((0.9 + 1) / 2)
    assert scores["macro_f1"] == pytest.approx((18 / 19 + 1 + 0) / 3)


def test_class_that_is_absent_and_never_called_changes_nothing() -> None:
    small = torch.tensor([[3, 1], [2, 4]])
    wide = torch.zeros(5, 5, dtype=torch.long)
    wide[1:3, 1:3] = small
    assert summary(wide) == pytest.approx(summary(small))


def test_no_pictures_at_all_score_0_and_not_nan() -> None:
    empty = torch.zeros(3, 3, dtype=torch.long)
    assert summary(empty) == {"accuracy": 0, "balanced_accuracy": 0, "macro_f1": 0}
    assert all(bool((values == 0).all()) for values in per_class(empty).values())


def test_more_pictures_than_float32_can_count_are_not_rounded() -> None:
    many = 2**24 + 1
    assert int(per_class(torch.tensor([[many, 0], [0, 1]]))["support"][0]) == many


@pytest.fixture
def outputs() -> tuple[Tensor, Tensor]:
    """Return logits float[50,7] and labels int64[50]."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(50, NUM_CLASSES, generator=generator), torch.randint(NUM_CLASSES, (50,), generator=generator)


def fill(scores: Scores, logits: Tensor, labels: Tensor) -> Scores:
    scores.update(F.cross_entropy(logits, labels, reduction="sum"), logits, labels)
    return scores


def test_scores_of_unequal_batches_equal_those_of_all_pictures_at_once(outputs: tuple[Tensor, Tensor]) -> None:
    logits, labels = outputs
    whole, parts = fill(Scores(NUM_CLASSES), logits, labels), Scores(NUM_CLASSES)
    for start, end in pairwise((0, 1, 18, 20, 50)):
        fill(parts, logits[start:end], labels[start:end])
    assert parts.compute() == pytest.approx(whole.compute(), rel=1e-6)


def test_scores_hold_the_mean_loss_and_the_summary_under_their_logged_names(outputs: tuple[Tensor, Tensor]) -> None:
    logits, labels = outputs
    expected = {"loss": float(F.cross_entropy(logits, labels))}
    expected |= summary(confusion_matrix(logits.argmax(1), labels, NUM_CLASSES))
    assert fill(Scores(NUM_CLASSES), logits, labels).compute() == pytest.approx(expected, rel=1e-6)


def test_scores_of_two_processes_add_up_to_those_of_one(outputs: tuple[Tensor, Tensor]) -> None:
    logits, labels = outputs
    first, second = (fill(Scores(NUM_CLASSES), logits[part], labels[part]) for part in (slice(13), slice(13, None)))
    first.merge_state(second)
    assert first.compute() == pytest.approx(fill(Scores(NUM_CLASSES), logits, labels).compute(), rel=1e-6)


def test_reset_scores_remember_nothing_of_the_epoch_before(outputs: tuple[Tensor, Tensor]) -> None:
    logits, labels = outputs
    scores = fill(Scores(NUM_CLASSES), logits, labels)
    scores.compute()
    scores.reset()
    fill(scores, logits[:9], labels[:9])
    assert scores.compute() == fill(Scores(NUM_CLASSES), logits[:9], labels[:9]).compute()


def test_scores_keep_no_graph_alive_over_the_epoch(outputs: tuple[Tensor, Tensor]) -> None:
    logits, labels = outputs
    scores = fill(Scores(NUM_CLASSES), logits.requires_grad_(), labels)
    assert scores.loss.grad_fn is None
    assert not scores.loss.requires_grad


def test_loss_that_is_nan_stays_nan_so_that_it_is_noticed(outputs: tuple[Tensor, Tensor]) -> None:
    logits, labels = outputs
    assert math.isnan(fill(Scores(NUM_CLASSES), logits * math.nan, labels).compute()["loss"])


def test_scores_add_nothing_to_a_checkpoint() -> None:
    assert Scores(NUM_CLASSES).state_dict() == {}
