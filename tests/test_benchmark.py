"""The speed table: all that can compute is in it, with whole numbers; how fast it is is nobody's promise."""

import json
import re
import shutil
from pathlib import Path

import pytest

from mlops_cls import benchmark
from mlops_cls.backends.kinds import KINDS
from mlops_cls.benchmarking.machine import markdown
from mlops_cls.benchmarking.timing import summarise
from mlops_cls.bundle import SAMPLES, Bundle, seal
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


def test_a_model_that_is_too_slow_passes(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(tiny_bundle.folder), "--rounds", "1", "--no-compile", "--no-accuracy"]
    benchmark.main([*arguments, "--most-ms", "1e6"])
    told = capsys.readouterr().out
    assert "3 samples answered as at the export, within " in told
    assert re.search(r"in time: (onnx|openvino)\S* takes \S+ ms \(p95\), allowed are 1e\+06", told)
    with pytest.raises(SystemExit) as stop:
        benchmark.main([*arguments, "--most-ms", "1e-6"])
    assert stop.value.code == benchmark.EXIT_SLOW
    assert "too slow: " in capsys.readouterr().out


@pytest.mark.parametrize("given", ["0", "-3", "fast", "nan", "inf"])
def test_a_limit_is_no_time(tiny_bundle: Bundle, given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        benchmark.main([str(tiny_bundle.folder), f"--most-ms={given}"])
    assert stop.value.code == 2
    assert f"'{given}' is no number of milliseconds above 0" in capsys.readouterr().err


def test_a_model_that_answers_otherwise_than_at_its_export_is_timed(tiny_bundle: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_bundle.folder, tmp_path / "bundle"))
    listed = folder / SAMPLES / f"{SAMPLES}.json"
    samples = json.loads(listed.read_text(encoding="utf-8"))
    name = tiny_bundle.card.classes[0]
    samples[0]["probabilities"][name] = 1 - samples[0]["probabilities"][name]
    listed.write_text(json.dumps(samples), encoding="utf-8")
    seal(folder, tiny_bundle.card)
    with pytest.raises(ArtifactError, match=r"answers otherwise here than where it was exported: by 0\.\d+ in a prob"):
        benchmark.main([str(folder), "--rounds", "1", "--no-compile", "--no-accuracy"])


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
