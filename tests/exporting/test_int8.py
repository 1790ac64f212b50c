"""8 bits: smaller, measured on validation, and kept only where that says that little is lost."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from mlops_cls.backends.kinds import open_kind
from mlops_cls.bundle import IMAGES, INT8, MODEL, Bundle, seal
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.exporting.cost import compare
from mlops_cls.exporting.int8 import add_int8
from mlops_cls.exporting.pictures import open_data


@pytest.fixture(scope="module")
def data(tiny_bundle: Bundle) -> ImageDataModule:
    return open_data(tiny_bundle.card, [])


@pytest.fixture
def copied(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle.folder, tmp_path / "bundle"))


def test_8_bits_that_lose_little_are_kept(copied: Path, tiny_bundle: Bundle, data: ImageDataModule) -> None:
    seal(copied, add_int8(copied, tiny_bundle.card, data, most_lost=0.2))
    bundle = Bundle.open(copied)
    told = bundle.card.export["int8"]
    assert told["kept"] and bundle.int8 is not None
    assert told["size_ratio"] < 0.35 and told["cost"]["pictures"] == data.manifest.size_of("val")
    assert told["cost"]["low"] <= told["cost"]["change"] <= told["cost"]["high"]

    images = np.ascontiguousarray(data.prepared.images("test")[:32].transpose(0, 3, 1, 2))
    exact = open_kind(bundle, "onnxruntime")(images)
    for name in ("onnxruntime-int8", "openvino-int8"):
        found = open_kind(bundle, name)(images)
        assert 1e-5 < np.abs(found - exact).max() < 0.1


def test_8_bits_that_may_lose_more_than_allowed_are_left_out(
    copied: Path, tiny_bundle: Bundle, data: ImageDataModule
) -> None:
    card = add_int8(copied, tiny_bundle.card, data, most_lost=0.0)
    assert not card.export["int8"]["kept"] and card.export["int8"]["cost"]["low"] < 0
    assert not (copied / INT8).exists() and (copied / MODEL).exists()


def test_pictures_and_normalisation_are_not_rounded(copied: Path, tiny_bundle: Bundle, data: ImageDataModule) -> None:
    add_int8(copied, tiny_bundle.card, data, most_lost=1.0)
    graph, value, kinds = onnx.load(copied / INT8).graph, IMAGES, []
    for _ in range(4):
        node = next(node for node in graph.node if value in node.input)
        value = node.output[0]
        kinds.append(node.op_type)
    assert kinds == ["Cast", "Sub", "Div", "QuantizeLinear"]
    assert graph.node[-1].op_type == "Softmax" or graph.output[0].name in {
        node.output[0] for node in graph.node if node.op_type == "Softmax"
    }


def answers(right: np.ndarray) -> np.ndarray:
    """Return probabilities float32[N,2] that are right about class 0 where asked to be."""
    return np.where(right[:, None], [0.9, 0.1], [0.2, 0.8]).astype(np.float32)


def test_the_interval_of_a_change_covers_it() -> None:
    generator, labels, covered = np.random.default_rng(0), np.zeros(300, np.int64), []
    for _ in range(400):
        gained = generator.choice([-1, 0, 1], 300, p=[0.03, 0.95, 0.02])  # a true change of -0.01
        cost = compare(answers(gained < 1), answers(gained > -1), labels, split="val", groups=None)
        assert cost.change == pytest.approx(gained.mean()) and cost.after - cost.before == pytest.approx(cost.change)
        covered.append(cost.low <= -0.01 <= cost.high)
    assert 0.93 <= np.mean(covered) <= 0.985


def test_pictures_that_belong_together_tell_less() -> None:
    gained = np.repeat(np.random.default_rng(0).choice([-1, 0, 1], 60, p=[0.1, 0.8, 0.1]), 5)
    labels, groups = np.zeros(300, np.int64), [str(row // 5) for row in range(300)]
    alone, together = (
        compare(answers(gained < 1), answers(gained > -1), labels, split="val", groups=each) for each in (None, groups)
    )
    assert together.high - together.low > 1.8 * (alone.high - alone.low)


def test_no_change_among_few_pictures_promises_nothing() -> None:
    same = answers(np.ones(80, bool))
    cost = compare(same, same, np.zeros(80, np.int64), split="val", groups=None)
    assert cost.change == 0 and cost.low < -0.02 and cost.same_answers == 1
