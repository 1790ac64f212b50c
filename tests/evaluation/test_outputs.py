"""What is written about a split: rows that agree with the logits they come from, and with scikit-learn."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
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
from mlops_cls.evaluation.collect import BATCH, collect, logits_of, training_scores
from mlops_cls.evaluation.outputs import Outputs, join
from mlops_cls.evaluation.tables import write_per_class, write_predictions

# Names as folders have them; the last class is absent from the labels.
CLASSES = ("boot", 'bag, "leather"', "Täschchen", "靴", "two\nlines", "absent")
COUNT = 60
TEMPERATURE = 1.5


@pytest.fixture
def outputs() -> Outputs:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(len(CLASSES) - 1, (COUNT,), generator=generator)
    logits = 2 * torch.randn(COUNT, len(CLASSES), generator=generator)
    logits[torch.arange(COUNT), labels] += 1
    return Outputs([f"boots/{i}, ü.png" for i in range(COUNT)], labels.numpy(), logits.numpy(), CLASSES)


def rows(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def written(outputs: Outputs, tmp_path: Path) -> list[dict[str, Any]]:
    write_predictions(tmp_path / "predictions.csv", outputs, TEMPERATURE)
    return rows(tmp_path / "predictions.csv")


def test_probabilities_of_a_row_sum_to_1(written: list[dict[str, Any]]) -> None:
    for row in written:
        assert sum(float(row[name]) for name in CLASSES) == pytest.approx(1, abs=1e-5)


def test_predicted_class_is_the_most_probable_and_its_probability_the_confidence(written: list[dict[str, Any]]) -> None:
    for row in written:
        assert row["predicted"] == max(CLASSES, key=lambda name: float(row[name]))
        assert row["confidence"] == row[row["predicted"]]


def test_written_probabilities_are_the_softmax_of_the_logits_at_the_temperature(
    outputs: Outputs, written: list[dict[str, Any]]
) -> None:
    found = np.array([[float(row[name]) for name in CLASSES] for row in written])
    expected = torch.from_numpy(outputs.logits / TEMPERATURE).double().softmax(1)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def test_every_picture_has_its_own_row_with_id_and_true_class(outputs: Outputs, written: list[dict[str, Any]]) -> None:
    assert [row["id"] for row in written] == outputs.ids
    assert [row["true"] for row in written] == [CLASSES[i] for i in outputs.labels.tolist()]


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_scores_equal_scikit_learn(outputs: Outputs) -> None:
    true, predicted = outputs.labels, outputs.logits.argmax(1)
    probabilities = torch.from_numpy(outputs.logits).double().softmax(1).numpy()
    assert training_scores(outputs) == pytest.approx(
        {
            "loss": sklearn_log_loss(true, probabilities, labels=range(len(CLASSES))),
            "accuracy": accuracy_score(true, predicted),
            "balanced_accuracy": balanced_accuracy_score(true, predicted),
            "macro_f1": f1_score(true, predicted, average="macro"),
        },
        rel=1e-5,
    )


def test_scores_per_class_equal_scikit_learn(outputs: Outputs, tmp_path: Path) -> None:
    write_per_class(tmp_path / "per_class.csv", outputs)
    found = rows(tmp_path / "per_class.csv")
    assert tuple(row["class"] for row in found) == CLASSES
    expected = precision_recall_fscore_support(
        outputs.labels, outputs.logits.argmax(1), labels=range(len(CLASSES)), zero_division=0
    )
    for name, reference in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose([float(row[name]) for row in found], reference, rtol=1e-5, err_msg=name)


def test_number_of_pictures_is_written_whole_however_many_there_are(tmp_path: Path) -> None:
    count = 1_234_567
    outputs = Outputs([], np.zeros(count, np.int64), np.zeros((count, 2), np.float32), ("a", "b"))
    write_per_class(tmp_path / "per_class.csv", outputs)
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
    outputs = collect(classifier, dataset, torch.device("cpu"))
    images = torch.stack([dataset[row][0] for row in range(len(dataset))])
    np.testing.assert_allclose(outputs.logits, logits_of(classifier, images), rtol=1e-4, atol=1e-5)
    assert outputs.ids == ids
    np.testing.assert_array_equal(outputs.labels, dataset.labels)


def test_collecting_twice_gives_identical_logits_and_leaves_no_trace_in_the_network(
    digits: mc.DigitsDataModule, classifier: mc.ImageClassifier
) -> None:
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    dataset = digits.dataset("val")
    first, again = (collect(classifier.train(), dataset, torch.device("cpu")) for _ in range(2))
    np.testing.assert_array_equal(first.logits, again.logits)
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


def test_logits_are_float32_and_keep_no_graph(digits: mc.DigitsDataModule, classifier: mc.ImageClassifier) -> None:
    images, _ = next(iter(digits.val_dataloader()))
    logits = logits_of(classifier, images)
    assert (logits.dtype, logits.requires_grad, logits.device.type) == (torch.float32, False, "cpu")


@pytest.mark.parametrize("groups", [None, tuple(f"patient {i % 7}" for i in range(COUNT))])
def test_saved_outputs_come_back_as_they_were(outputs: Outputs, groups: tuple[str, ...] | None, tmp_path: Path) -> None:
    metadata = pa.table({"age": pa.array([None, *range(COUNT - 1)], pa.int64()), "site": ["köln"] * COUNT})
    kept = replace(outputs, groups=groups, metadata=metadata)
    kept.save(tmp_path / "outputs" / "test.parquet")
    again = Outputs.load(tmp_path / "outputs" / "test.parquet")
    np.testing.assert_array_equal(again.logits, kept.logits)
    np.testing.assert_array_equal(again.labels, kept.labels)
    assert (again.ids, again.classes, again.groups) == (kept.ids, kept.classes, groups)
    assert again.metadata.equals(metadata)
    assert (again.logits.dtype, again.labels.dtype) == (np.float32, np.int64)


def test_a_damaged_file_of_outputs_is_named(tmp_path: Path) -> None:
    (tmp_path / "test.parquet").write_bytes(b"PAR1, no more")
    with pytest.raises(mc.ArtifactError, match=r"test\.parquet holds no saved outputs"):
        Outputs.load(tmp_path / "test.parquet")


def test_splits_are_joined_in_order_and_grouped_only_if_all_are(outputs: Outputs) -> None:
    grouped = replace(outputs, groups=("one",) * COUNT)
    assert join([outputs, grouped]).groups is None
    both = join([grouped, grouped])
    assert both.groups == ("one",) * 2 * COUNT
    assert both.ids == outputs.ids * 2
    np.testing.assert_array_equal(both.logits, np.concatenate([outputs.logits] * 2))
