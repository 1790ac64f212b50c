"""backend=auto: the fastest that answers alike, measured once."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlops_cls.backends.choice import open_backend
from mlops_cls.backends.fastest import example_pictures, find_fastest, measure
from mlops_cls.backends.kinds import KINDS
from mlops_cls.bundle import Bundle


def test_auto_takes_the_fastest_of_those_that_answer_alike(tiny_bundle: Bundle, cache: Path) -> None:
    taken = open_backend(tiny_bundle, "auto").name
    (kept,) = cache.glob("*.json")
    content = json.loads(kept.read_text(encoding="utf-8"))
    assert set(content["measured"]) == {name for name, kind in KINDS.items() if not kind.int8}
    times = {name: each["milliseconds"] for name, each in content["measured"].items() if each["agrees"]}
    assert taken == content["taken"] == min(times, key=lambda name: times[name])
    assert not list(cache.glob("*.partial"))


def test_auto_measures_once_per_model_and_number_of_threads(tiny_bundle: Bundle, cache: Path) -> None:
    find_fastest(tiny_bundle, threads=1)
    (kept,) = cache.glob("*.json")
    kept.write_text('{"taken": "openvino-bf16"}', encoding="utf-8")
    assert find_fastest(tiny_bundle, threads=1) == "openvino-bf16"
    find_fastest(tiny_bundle, threads=2)
    assert len(list(cache.glob("*.json"))) == 2


@pytest.mark.parametrize("text", ["", "[]", '{"taken": "abacus"}', '{"taken": ["onnxruntime"]}'])
def test_a_damaged_memory_is_measured_again(text: str, tiny_bundle: Bundle, cache: Path) -> None:
    find_fastest(tiny_bundle)
    (kept,) = cache.glob("*.json")
    kept.write_text(text, encoding="utf-8")
    assert find_fastest(tiny_bundle) in KINDS
    assert json.loads(kept.read_text(encoding="utf-8"))["taken"] in KINDS


def test_without_a_place_to_remember_auto_measures_each_time(tiny_bundle: Bundle, cache: Path) -> None:
    cache.parent.parent.mkdir()
    cache.parent.write_text("a file where the folder would be", encoding="utf-8")
    assert find_fastest(tiny_bundle) in KINDS


def test_8_bits_that_answer_otherwise_here_are_not_taken(with_int8: Callable[..., Bundle]) -> None:
    measured = measure(with_int8(-1.0))
    assert not measured["onnxruntime-int8"]["agrees"] and not measured["openvino-int8"]["agrees"]
    assert measured["onnxruntime"]["agrees"]


def test_8_bits_that_differ_as_they_did_at_export_may_be_taken(with_int8: Callable[..., Bundle]) -> None:
    measured = measure(with_int8(0.9, known_difference=0.2))
    assert 0 < measured["onnxruntime-int8"]["difference"] < 0.2 and measured["onnxruntime-int8"]["agrees"]


def test_example_pictures_are_the_same_on_every_machine() -> None:
    pictures = example_pictures(32, 3)
    assert pictures.dtype == np.uint8 and pictures.shape == (8, 3, 32, 32)
    assert int(pictures.astype(np.int64).sum()) == 3_211_648
    assert pictures.std() > 20 and len(np.unique(pictures)) > 150
