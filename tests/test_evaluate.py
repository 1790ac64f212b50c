"""The evaluate verb and what it reads: kept outputs, fresh ones, runs to compare with, and bundles."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlops_cls as mc
from mlops_cls import evaluate
from mlops_cls.bundle import Bundle
from mlops_cls.kept import find_kept
from mlops_cls.measuring import Extras, Measured
from mlops_cls.run import LAST

AND_TELL_WHAT_WAS_LOADED = """
import sys
from mlops_cls import evaluate
evaluate.main(sys.argv[1:])
print([name for name in ("torch", "pytorch_lightning", "hydra", "wandb") if name in sys.modules], file=sys.stderr)
"""


def told(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))


def test_run_is_scored_again_from_what_it_kept_without_torch_and_as_it_was_told(
    tiny_run: mc.Run, tmp_path: Path
) -> None:
    arguments = [str(tiny_run.folder), "--out", str(tmp_path)]
    command = [sys.executable, "-c", AND_TELL_WHAT_WAS_LOADED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert told(tmp_path) == tiny_run.evaluation
    scores = json.loads((tmp_path / "metrics.json").read_text())
    assert scores == pytest.approx({name: tiny_run.metrics[name] for name in scores}, rel=1e-6)
    accuracy = tiny_run.evaluation["scores"]["accuracy"]
    assert f"accuracy           {accuracy['value']:.4f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}]" in done.stdout


@pytest.mark.parametrize("split", ["val", "test"])
def test_kept_outputs_are_those_of_the_checkpoint(split: str, tiny_run: mc.Run) -> None:
    measured = Measured(tiny_run.folder, split)
    fresh = measured.subject.outputs(split)
    np.testing.assert_allclose(measured.outputs.logits, fresh.logits, rtol=1e-4, atol=1e-5)
    assert measured.outputs.ids == fresh.ids
    np.testing.assert_array_equal(measured.outputs.labels, fresh.labels)


def test_kept_outputs_are_not_taken_for_those_of_another_checkpoint(tiny_run: mc.Run, tmp_path: Path) -> None:
    assert find_kept(tiny_run.folder) is not None
    assert find_kept(tiny_run.checkpoint) is not None
    assert find_kept(tiny_run.folder / LAST) is None
    copy = shutil.copytree(tiny_run.folder, tmp_path / "run")
    assert find_kept(copy) is not None
    shutil.copy(copy / LAST, copy / "checkpoints" / "best.ckpt")
    assert find_kept(copy) is None
    shutil.rmtree(copy / "outputs")
    assert find_kept(copy) is None


def test_bundle_scores_as_its_run_from_what_it_kept_and_from_its_own_answers(
    tiny_run: mc.Run, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    evaluate.main([str(tiny_bundle.folder), "--out", str(tmp_path)])
    assert told(tmp_path) == tiny_run.evaluation
    measured = Measured(tiny_bundle.folder, "test")
    again, run = measured.subject.outputs("test"), Measured(tiny_run.folder, "test").outputs
    temperature = tiny_run.card.calibration.temperature
    np.testing.assert_allclose(again.probabilities(temperature), run.probabilities(temperature), atol=1e-4)
    np.testing.assert_array_equal(again.logits.argmax(1), run.logits.argmax(1))


def test_everything_that_is_asked_for_is_measured_and_told(
    tiny_run: mc.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        "--flips",
        "--robustness",
        "--robustness-limit",
        "20",
        "--probe",
        "--report",
        "--against",
        str(tiny_run.folder),
    ]
    evaluate.main([str(tiny_run.folder), "--split", "val", *asked, "--out", str(tmp_path)])
    found, said = told(tmp_path), capsys.readouterr().out
    assert len(found["robustness"]) == 15
    assert found["baselines"]["linear_probe"]["accuracy"]["value"] > found["baselines"]["majority"]["accuracy"]
    assert found["flips"]["differences"][0]["score"] == "accuracy"
    assert [row["difference"] for row in found["against"]] == [0, 0, 0]
    for words in ("worse pictures", "with flips", f"against {tiny_run.folder}", "logistic regression"):
        assert words in said
    assert all(path.name in said for path in tmp_path.iterdir())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(f'id="{part}"' in page for part in ("robustness", "against"))


def test_runs_on_other_pictures_are_not_compared(
    tiny_run: mc.Run, make_pictures: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_pictures(tmp_path / "digits", {name: 6 for name in tiny_run.card.classes})
    other = [f"data.root={root}", f"data.store={tmp_path / 'prepared'}", "data=folder"]
    fresh = Measured(tiny_run.folder, "val", other)
    assert set(fresh.outputs.ids).isdisjoint(Measured(tiny_run.folder, "val").outputs.ids)
    with pytest.raises(mc.ArtifactError, match="was scored on other pictures"):
        Measured(tiny_run.folder, "test").evaluate(Extras(against=[_with_outputs_of(tiny_run, tmp_path)]))


def _with_outputs_of(run: mc.Run, folder: Path) -> Path:
    """Return a copy of the run that takes val for test."""
    copy = shutil.copytree(run.folder, folder / "run")
    shutil.copy(copy / "outputs" / "val.parquet", copy / "outputs" / "test.parquet")
    return copy


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--probe", "--split", "train"], "the probe learns from train, so give --split val or test"),
        (["--device", "gpu"], "device=gpu is not known.*cpu"),
        (["--backend", "onnxruntime", "--against", "runs/nothing"], "no checkpoint at runs/nothing"),
        (["--backend", "openvino"], "give a bundle to choose"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_to_give(
    arguments: list[str], message: str, tiny_run: mc.Run, tmp_path: Path
) -> None:
    with pytest.raises(mc.MlopsError, match=message):
        evaluate.main([str(tiny_run.folder), *arguments, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
