"""The compare verb: which runs are meant, what is told of them, and what cannot be compared."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mlops_cls as mc
from browser import Open
from mlops_cls.compare import main
from mlops_cls.comparing import compare, find_runs
from mlops_cls.errors import ArtifactError
from mlops_cls.evaluation.outputs import Outputs


@pytest.fixture(scope="module")
def folder(tiny_run: mc.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of runs: one, the same with better answers, one on other pictures, and one that did not end."""
    home = tmp_path_factory.mktemp("runs")
    for name in ("1_plain", "2_better", "3_elsewhere", "4_killed"):
        shutil.copytree(tiny_run.folder, home / name)
    outputs = Outputs.load(tiny_run.outputs("test"))
    better = outputs.logits + 50 * np.eye(outputs.logits.shape[1], dtype=np.float32)[outputs.labels]
    _change(home / "2_better", replace(outputs, logits=better), accuracy=1.0, lr=0.5)
    _change(home / "3_elsewhere", replace(outputs, ids=[f"other {i}" for i in outputs.ids]), accuracy=0.5, lr=0.5)
    (home / "4_killed" / "metrics.json").unlink()
    (home / "latest").symlink_to("2_better")
    (home / "notes").mkdir()
    return home


def _change(folder: Path, outputs: Outputs, *, accuracy: float, lr: float) -> None:
    outputs.save(folder / "outputs" / "test.parquet")
    for name in ("metrics.json", "card.json"):
        values = json.loads((folder / name).read_text())
        if name == "metrics.json":
            values["test/accuracy"] = accuracy
        else:
            values["provenance"]["config"]["optim"]["lr"] = lr
        (folder / name).write_text(json.dumps(values))


def test_a_folder_means_its_finished_runs_once_each(folder: Path) -> None:
    runs, skipped = find_runs([str(folder), str(folder / "1_plain"), str(folder / "[12]*")])
    assert [run.folder.name for run in runs] == ["1_plain", "2_better", "3_elsewhere"]
    assert skipped == {str(folder / "4_killed"): "not finished"}


def test_a_typo_in_a_run_is_an_error_that_says_what_to_give(folder: Path) -> None:
    with pytest.raises(ArtifactError, match="is no run and holds none"):
        find_runs([str(folder / "1_plian")])
    with pytest.raises(ArtifactError, match="none of these runs can be compared"):
        compare(*find_runs([str(folder / "4_killed")]))


def test_runs_come_by_accuracy_with_paired_differences_to_the_first(folder: Path) -> None:
    found = compare(*find_runs([str(folder / "1_plain"), str(folder)]))
    assert found.rows[0].name == "2_better"
    better, plain = (next(row for row in found.rows if row.name == name) for name in ("2_better", "1_plain"))
    accuracy = next(entry for entry in better.differences if entry["score"] == "accuracy")
    outputs = Outputs.load(folder / "1_plain" / "outputs" / "test.parquet")
    assert accuracy["difference"] == pytest.approx((outputs.logits.argmax(1) != outputs.labels).mean())
    assert accuracy["p"] < 0.05
    assert plain.differences == [] and not plain.refused
    assert found.differing == ["optim.lr"]


def test_a_run_on_other_pictures_is_told_but_not_compared_in_pairs(folder: Path) -> None:
    found = compare(*find_runs([str(folder)]), best=True)
    assert found.against == str(folder / "2_better")
    other = next(row for row in found.rows if row.name == "3_elsewhere")
    assert other.differences == []
    assert "other pictures" in other.refused


def test_parameters_are_those_of_the_network(folder: Path, tiny_run: mc.Run) -> None:
    from mlops_cls.models.classifier import ImageClassifier

    network = ImageClassifier.from_checkpoint(tiny_run.checkpoint).network
    row = compare(*find_runs([str(folder / "1_plain")])).rows[0]
    assert row.parameters == sum(weight.numel() for weight in network.parameters())


def test_the_verb_prints_and_writes_the_same(
    folder: Path, tmp_path: Path, visit: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(folder), "--out", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert f"skipped {folder / '4_killed'}: not finished" in printed
    assert "not in pairs" in printed
    with (tmp_path / "out" / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    values = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [row["name"] for row in rows] == [row["name"] for row in values["rows"]]
    assert [row["optim.lr"] for row in rows] == ["0.5", "0.003", "0.5"]
    for width in (1280, 390):
        with visit(tmp_path / "out" / "comparison.html", width=width) as seen:
            assert (seen.complaints, seen.requests, seen.sticks_out) == ([], [], [])
    with visit(tmp_path / "out" / "comparison.html", policy=False) as seen:
        assert seen.barriers() == []
