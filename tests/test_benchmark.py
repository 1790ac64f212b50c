"""The speed table: all that can compute is in it, with whole numbers; how fast it is is nobody's promise."""

import json
from pathlib import Path

import pytest

from mlops_cls import benchmark
from mlops_cls.backends.kinds import KINDS
from mlops_cls.benchmarking.machine import markdown
from mlops_cls.benchmarking.timing import summarise
from mlops_cls.bundle import Bundle
from mlops_cls.errors import ArtifactError, DataError


def test_the_table_has_every_side_that_can_compute(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "speed.json"
    arguments = ["--rounds", "1", "--no-compile", "--pictures", "32", "--out", str(out)]
    benchmark.main([str(tiny_bundle.folder), *arguments])
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    content = json.loads(out.read_text(encoding="utf-8"))
    exact = [name for name, kind in KINDS.items() if not kind.int8]
    assert [*content["sides"]] == ["torch", "torch channels_last", "torch bf16 channels_last", *exact]
    assert len(table) == 2 + len(content["sides"])
    for side in content["sides"].values():
        assert side["bytes"] > 0 and side["cost"]["pictures"] == 32
        assert all(0 < speed["p50"] <= speed["p95"] for speed in side["speed"].values())
    assert content["machine"]["processor"] and content["machine"]["versions"]["onnxruntime"]


def test_a_run_that_was_not_exported_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"mlops_cls\.export .* --int8 comes first"):
        benchmark.main([str(tmp_path)])


def test_a_place_for_the_numbers_is_asked_for_first(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the folder .* does not exist"):
        benchmark.main([str(tmp_path), "--out", str(tmp_path / "gone" / "speed.json")])


def test_sides_are_compared_within_a_round() -> None:
    # The machine is twice as slow in one round, which is no difference between the sides.
    rounds = [{"a": [4.0, 4.0], "b": [1.0, 1.0]}, {"a": [8.0, 8.0], "b": [2.0, 2.0]}, {"a": [4.0], "b": [1.0]}]
    assert summarise(rounds, "b", batch=16, against="a").times_as_fast == 4
    assert summarise(rounds, "a", batch=16, against="a").p50 == 4000


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    assert markdown(["", "MB"], [["torch", 12345.0]]).splitlines() == [
        "|       | MB     |",
        "| ----- | ------ |",
        "| torch | 12,345 |",
    ]
