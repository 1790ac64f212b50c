"""A model is called better only on the same pictures, and only where chance would hardly do as much."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mlops_cls.bundle import Bundle
from mlops_cls.errors import ArtifactError
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.publish import SCORES
from mlops_cls.publishing.gate import compare, told

Remake = Callable[..., Bundle]


def test_a_better_model_is_not_called_so_or_one_as_good_is(tiny_bundle: Bundle, better: Bundle, remake: Remake) -> None:
    outputs = Outputs.load(tiny_bundle.outputs)
    pictures, differences = compare(better, tiny_bundle, "the old one")
    wrong = (outputs.logits.argmax(1) != outputs.labels).mean()
    assert pictures == len(outputs.ids)
    assert differences["accuracy"].difference == pytest.approx(wrong)
    assert all(differences[score].low > 0 for score in SCORES)
    assert compare(tiny_bundle, better, "the old one")[1]["accuracy"].low < 0
    assert compare(tiny_bundle, tiny_bundle, "itself")[1]["accuracy"].low <= 0

    def right_once_more(old: Outputs) -> Outputs:
        row = int(np.flatnonzero(old.logits.argmax(1) != old.labels)[0])
        logits = old.logits.copy()
        logits[row, old.labels[row]] = 99
        return replace(old, logits=logits)

    slightly = compare(remake("slightly", right_once_more), tiny_bundle, "the old one")[1]["accuracy"]
    assert slightly.difference > 0 > slightly.low
    assert told(slightly).startswith(f"{slightly.difference:+.4f} (95 % interval {slightly.low:+.4f} to +")


def test_pictures_in_another_order_are_compared_by_their_place(tiny_bundle: Bundle, remake: Remake) -> None:
    def backwards(old: Outputs) -> Outputs:
        return replace(
            old, ids=old.ids[::-1], labels=old.labels[::-1].copy(), logits=old.logits[::-1].copy(),
            metadata=old.metadata.slice(0, 0).select([]), groups=None,
        )  # fmt: skip

    assert compare(remake("backwards", backwards), tiny_bundle, "old")[1]["accuracy"].difference == 0


def test_models_are_compared_on_other_pictures_or_on_none(tiny_bundle: Bundle, remake: Remake) -> None:
    def others(old: Outputs) -> Outputs:
        return replace(old, ids=[f"other {i}" for i in old.ids])

    with pytest.raises(ArtifactError, match="dvc:x was scored on other pictures"):
        compare(tiny_bundle, remake("others", others), "dvc:x")
    with pytest.raises(ArtifactError, match="dvc:x holds no outputs of its test pictures"):
        compare(tiny_bundle, remake("none"), "dvc:x")
