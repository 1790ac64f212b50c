"""Runs over folds end in one table: its numbers, its pooled predictions, and what it says when a fold is missing."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import mlops_cls as mc
from mlops_cls import train
from mlops_cls.errors import ConfigError
from mlops_cls.folds import SCORES, combine, conclude_folds

SHORT = "trainer.max_epochs=1"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def fold_run(
    tiny_run: mc.Run, folder: Path, fold: int, *, folds: int = 5, accuracy: float = 0.5, seed: int = 0
) -> mc.Run:
    """Return a run as if it had been tested on a fold."""
    config = tiny_run.card.provenance["config"]
    config = config | {"seed": seed, "data": config["data"] | {"fold": fold, "folds": folds}}
    card = replace(tiny_run.card, provenance=tiny_run.card.provenance | {"config": config})
    home = folder / f"run {fold} of seed {seed}"
    home.mkdir(parents=True)
    (home / "predictions.csv").write_text(f'id,true,predicted\n"a,{fold}",x,x\nb{fold},x,"y\nz"\n')
    return mc.Run(home, card, tiny_run.metrics | {"test/accuracy": accuracy})


@pytest.fixture(scope="module")
def command_line(tiny_overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder after `train -m` over three folds."""
    runs = tmp_path_factory.mktemp("command_line")
    settings = [o for o in tiny_overrides if not o.startswith(("run.folder", "trainer.max"))]
    train.main(["-m", *settings, f"run.folder={runs}", SHORT, "data.folds=3", "data.fold=range(1,4)"])
    return runs


def test_a_picture_is_pooled_twice_or_never(command_line: Path, tiny_run: mc.Run) -> None:
    (folder,) = command_line.glob("*_quickstart_folds")
    pooled = rows_of(folder / "predictions.csv")
    summary = json.loads((folder / "folds.json").read_text())
    assert (summary["folds"], summary["complete"], summary["missing"]) == (3, True, [])
    assert list(summary["runs"]) == ["1", "2", "3"]
    runs = [mc.Run.open(command_line / name) for name in summary["runs"].values()]
    assert [run.card.provenance["config"]["data"]["fold"] for run in runs] == [1, 2, 3]
    assert pooled == [row for run in runs for row in rows_of(run.folder / "predictions.csv")]
    # The subsample is drawn before the folds: all of it is tested, once.
    assert len({row["id"] for row in pooled}) == len(pooled) == round(0.3 * 1797)
    assert summary["scores"]["accuracy"] == [run.metrics["test/accuracy"] for run in runs]
    right = np.array([row["true"] == row["predicted"] for row in pooled])
    sizes = [len(rows_of(run.folder / "predictions.csv")) for run in runs]
    assert np.average(summary["scores"]["accuracy"], weights=sizes) == pytest.approx(right.mean())


def test_the_newest_run_is_no_run(command_line: Path) -> None:
    assert mc.Run.open(command_line / "latest").card.provenance["config"]["data"]["fold"] == 3


def test_a_notebook_gets_other_scores_than_the_command_line(
    command_line: Path, tiny_overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder,) = command_line.glob("*_quickstart_folds")
    config = mc.load_config(*tiny_overrides, SHORT, f"run.folder={tmp_path}")
    together = mc.cross_validate(config, folds=3)
    assert config.data.fold is None
    assert together.scores == json.loads((folder / "folds.json").read_text())["scores"]
    assert together.folder.name.endswith("_quickstart_folds")
    assert (together.folder / "predictions.csv").read_text() == (folder / "predictions.csv").read_text()
    shown = capsys.readouterr().out
    table = shown[shown.index("fold       accuracy  balanced accuracy  macro f1    loss") :].splitlines()
    assert [line.split("  ")[0] for line in table[1:8]] == ["1", "2", "3", "mean", "std", "95 % from", "95 % to"]
    assert table[4].split() == ["mean", *(f"{together.mean[name]:.4f}" for name in SCORES)]
    assert "share training pictures" in shown


def test_a_failed_fold_is_passed_over_in_silence(
    tiny_overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [*tiny_overrides, SHORT, f"run.folder={tmp_path}"]
    with pytest.raises(ConfigError, match=r"data.fold=9 is impossible"):
        train.main(["-m", *settings, "data.folds=3", "data.fold=1,9,3"])
    assert "incomplete: of 3 folds, 2 are missing and were not tested on" in capsys.readouterr().out
    (folder,) = tmp_path.glob("*_folds")
    summary = json.loads((folder / "folds.json").read_text())
    assert (summary["complete"], summary["missing"], list(summary["runs"])) == (False, [2], ["1", "3"])


def test_mean_spread_or_interval_is_another_than_scipy_says(tiny_run: mc.Run, tmp_path: Path) -> None:
    values = [0.91, 0.95, 0.89, 0.97, 0.93]
    runs = [fold_run(tiny_run, tmp_path, fold + 1, accuracy=value) for fold, value in enumerate(values)]
    together = combine(runs[::-1])
    assert together.scores["accuracy"] == values
    assert together.mean["accuracy"] == pytest.approx(np.mean(values))
    assert together.std["accuracy"] == pytest.approx(np.std(values, ddof=1))
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert together.interval["accuracy"] == pytest.approx((expected.low, expected.high))
    assert together.interval.keys() == together.mean.keys() == together.std.keys() == set(SCORES)


def test_names_with_commas_and_lines_fall_apart_when_pooled(tiny_run: mc.Run, tmp_path: Path) -> None:
    together = combine([fold_run(tiny_run, tmp_path, fold, folds=2) for fold in (1, 2)])
    rows = rows_of(together.folder / "predictions.csv")
    assert [(row["id"], row["predicted"]) for row in rows] == [
        ("a,1", "x"),
        ("b1", "y\nz"),
        ("a,2", "x"),
        ("b2", "y\nz"),
    ]


def test_folds_of_different_settings_are_averaged(tiny_run: mc.Run, tmp_path: Path) -> None:
    runs = [fold_run(tiny_run, tmp_path, fold, folds=2, seed=seed) for fold in (1, 2) for seed in (0, 1)]
    found = conclude_folds([tiny_run, *runs])
    seeds = [{run.card.provenance["config"]["seed"] for run in together.runs} for together in found]
    assert seeds == [{0}, {1}]
    assert len({together.folder for together in found}) == 2


def test_one_fold_alone_is_given_a_spread(tiny_run: mc.Run, tmp_path: Path) -> None:
    run = fold_run(tiny_run, tmp_path, 2)
    assert conclude_folds([tiny_run]) == conclude_folds([run]) == conclude_folds([run, run]) == []
    assert list(tmp_path.glob("*_folds")) == []


def test_the_earlier_of_two_runs_of_a_fold_counts(tiny_run: mc.Run, tmp_path: Path) -> None:
    runs = [fold_run(tiny_run, tmp_path / str(fold), fold, folds=2) for fold in (1, 2)]
    again = fold_run(tiny_run, tmp_path / "again", 1, folds=2, accuracy=0.75)
    assert combine([*runs, again]).scores["accuracy"] == [0.75, 0.5]


def test_cross_validation_runs_another_fold_or_number_than_asked(tiny_overrides: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"data.fold=1 would not be used"):
        mc.cross_validate(mc.load_config(*tiny_overrides, "data.fold=1", "data.folds=5"))
    for folds in (-1, 0, 1):
        with pytest.raises(ConfigError, match=f"data.folds={folds} is impossible"):
            mc.cross_validate(mc.load_config(*tiny_overrides), folds=folds)
