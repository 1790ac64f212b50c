"""What is written about a split: rows that agree with the logits they come from, and with scikit-learn."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    precision_recall_fscore_support,
)
from sklearn.metrics import log_loss as sklearn_log_loss

import mlops_cls as mc
from mlops_cls.evaluation.outputs import BATCH, Outputs, collect, logits_of, write_per_class, write_predictions

# Names as folders have them; the last class is absent from the labels.
CLASSES = ["boot", 'bag, "leather"', "Täschchen", "靴", "two\nlines", "absent"]
COUNT = 60


@pytest.fixture
def outputs() -> Outputs:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(len(CLASSES) - 1, (COUNT,), generator=generator)
    logits = 2 * torch.randn(COUNT, len(CLASSES), generator=generator)
    logits[torch.arange(COUNT), labels] += 1
    return Outputs([f"boots/{i}, ü.png" for i in range(COUNT)], labels, logits)


def rows(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def written(outputs: Outputs, tmp_path: Path) -> list[dict[str, Any]]:
    write_predictions(tmp_path / "predictions.csv", outputs, CLASSES)
    return rows(tmp_path / "predictions.csv")


def test_probabilities_of_a_row_sum_to_1(written: list[dict[str, Any]]) -> None:
    for row in written:
        assert sum(float(row[name]) for name in CLASSES) == pytest.approx(1, abs=1e-5)


def test_predicted_class_is_the_most_probable_and_its_probability_the_confidence(written: list[dict[str, Any]]) -> None:
    for row in written:
        assert row["predicted"] == max(CLASSES, key=lambda name: float(row[name]))
        assert row["confidence"] == row[row["predicted"]]


def test_written_probabilities_are_the_softmax_of_the_logits(outputs: Outputs, written: list[dict[str, Any]]) -> None:
    found = np.array([[float(row[name]) for name in CLASSES] for row in written])
    np.testing.assert_allclose(found, outputs.logits.double().softmax(1).numpy(), atol=1e-6)


def test_every_picture_has_its_own_row_with_id_and_true_class(outputs: Outputs, written: list[dict[str, Any]]) -> None:
    assert [row["id"] for row in written] == outputs.ids
    assert [row["true"] for row in written] == [CLASSES[i] for i in outputs.labels.tolist()]


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_scores_equal_scikit_learn(outputs: Outputs) -> None:
    true, predicted = outputs.labels.numpy(), outputs.logits.argmax(1).numpy()
    probabilities = outputs.logits.double().softmax(1).numpy()
    assert outputs.scores() == pytest.approx(
        {
            "loss": sklearn_log_loss(true, probabilities, labels=range(len(CLASSES))),
            "accuracy": accuracy_score(true, predicted),
            "balanced_accuracy": balanced_accuracy_score(true, predicted),
            "macro_f1": f1_score(true, predicted, average="macro"),
        },
        rel=1e-5,
    )


def test_scores_per_class_equal_scikit_learn(outputs: Outputs, tmp_path: Path) -> None:
    write_per_class(tmp_path / "per_class.csv", outputs, CLASSES)
    found = rows(tmp_path / "per_class.csv")
    assert [row["class"] for row in found] == CLASSES
    expected = precision_recall_fscore_support(
        outputs.labels, outputs.logits.argmax(1), labels=range(len(CLASSES)), zero_division=0
    )
    for name, reference in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose([float(row[name]) for row in found], reference, rtol=1e-5, err_msg=name)


def test_number_of_pictures_is_written_whole_however_many_there_are(tmp_path: Path) -> None:
    count = 1_234_567
    logits = torch.zeros(1, 2).expand(count, 2)
    write_per_class(tmp_path / "per_class.csv", Outputs([], torch.zeros(count, dtype=torch.long), logits), ["a", "b"])
    assert [row["support"] for row in rows(tmp_path / "per_class.csv")] == [str(count), "0"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> mc.DigitsDataModule:
    return mc.DigitsDataModule(plan=mc.Plan(subsample=0.4), store=tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def classifier(digits: mc.DigitsDataModule) -> mc.ImageClassifier:
    torch.manual_seed(0)
    return mc.ImageClassifier(mc.make_card(digits.manifest, "two_conv_cnn"))


def test_outputs_of_a_split_are_in_the_order_of_the_store(
    digits: mc.DigitsDataModule, classifier: mc.ImageClassifier
) -> None:
    dataset, ids = digits.dataset("train"), digits.prepared.ids("train")
    assert len(dataset) % BATCH != 0
    assert len(dataset) > BATCH
    outputs = collect(classifier, dataset, ids, torch.device("cpu"))
    images = torch.stack([dataset[row][0] for row in range(len(dataset))])
    torch.testing.assert_close(outputs.logits, logits_of(classifier, images), rtol=1e-4, atol=1e-5)
    assert outputs.ids == ids
    assert torch.equal(outputs.labels, dataset.labels)


def test_collecting_twice_gives_identical_logits_and_leaves_no_trace_in_the_network(
    digits: mc.DigitsDataModule, classifier: mc.ImageClassifier
) -> None:
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    dataset, ids = digits.dataset("val"), digits.prepared.ids("val")
    first, again = (collect(classifier.train(), dataset, ids, torch.device("cpu")) for _ in range(2))
    assert torch.equal(first.logits, again.logits)
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


def test_logits_are_float32_and_keep_no_graph(digits: mc.DigitsDataModule, classifier: mc.ImageClassifier) -> None:
    images, _ = next(iter(digits.val_dataloader()))
    logits = logits_of(classifier, images)
    assert (logits.dtype, logits.requires_grad, logits.device.type) == (torch.float32, False, "cpu")
