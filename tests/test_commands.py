"""The commands as a person types them: real processes, their exit codes, and what they print."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mlops_cls as mc
from mlops_cls import augment, cli, evaluate, predict, prepare, train
from mlops_cls.data.sources.folder import FolderSource
from mlops_cls.data.store import Prepared
from mlops_cls.errors import DataError


def command(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory, make_pictures: Callable[..., Path]) -> Path:
    """Return a folder of three classes, told apart by colour, with a space and an accent in their names."""
    return make_pictures(tmp_path_factory.mktemp("colours"), {"deep red": 20, "grün": 20, "blue": 20})


@pytest.fixture(scope="session")
def colour_run(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> mc.Run:
    """Return a run trained on `colours`."""
    home = tmp_path_factory.mktemp("colour_run")
    return mc.fit(
        mc.load_config(
            "experiment=quickstart", "logger=none", "augment=none", "data=folder", f"data.root={colours}",
            f"data.store={home / 'prepared'}", f"run.folder={home / 'runs'}", "data.batch_size=8",
            "trainer.max_epochs=6",
        )
    )  # fmt: skip


def test_typing_the_train_command_trains_and_exits_0(tmp_path: Path) -> None:
    done = command("mlops_cls.train", "experiment=quickstart", "trainer=rehearsal", "data.subsample=0.2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "next  python -m mlops_cls.predict" in done.stdout
    assert mc.Run.open(tmp_path / "runs" / "latest").metrics["test/accuracy"] >= 0
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "prepared"}
    assert done.stderr == ""


def test_mistyped_setting_exits_2_with_one_line_and_no_traceback(tmp_path: Path) -> None:
    done = command("mlops_cls.train", "experiment=quickstart", "optim.lrr=1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: optim.lrr is not a setting; did you mean optim.lr?")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_exits_2_and_says_what_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.run_verb(train.main, ["data=folder", "data.root=no such folder", "logger=none"])
    told = capsys.readouterr().err
    assert (stop.value.code, told.count("\n")) == (2, 1)
    assert "data.root=no such folder does not exist" in told


def test_a_class_whose_name_the_code_page_lacks_ends_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    written = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(written, encoding="cp1252"))  # as a pipe on Windows is
    cli.run_verb(lambda names: print(*names, flush=True), ["łódź", "猫"])
    assert written.getvalue().decode().split() == ["łódź", "猫"]


def test_multirun_makes_a_run_folder_for_each_combination(
    tiny_overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = f"run.folder={tmp_path / 'runs'}"
    settings = [o for o in tiny_overrides if not o.startswith(("run.folder", "trainer.max"))]
    train.main(["-m", *settings, folder, "trainer.max_epochs=1", "optim.lr=1e-3,3e-3"])
    runs = [mc.Run.open(path) for path in (tmp_path / "runs").glob("*_quickstart*")]
    assert sorted(run.card.provenance["config"]["optim"]["lr"] for run in runs) == [1e-3, 3e-3]


def test_mistake_in_a_multirun_is_named_like_any_other(tiny_overrides: list[str]) -> None:
    with pytest.raises(mc.ConfigError, match="at least 1"):
        train.main(["-m", *tiny_overrides, "trainer.max_epochs=0,1"])


def test_predict_on_the_files_agrees_with_evaluate_exactly(colour_run: mc.Run, colours: Path, tmp_path: Path) -> None:
    evaluate.main([str(colour_run.folder), "--split", "all", "--out", str(tmp_path / "evaluation")])
    predict.main([str(colour_run.folder), str(colours), "--out", str(tmp_path / "answers.csv")])
    with (tmp_path / "evaluation" / "predictions.csv").open(newline="") as file:
        evaluated = {row["id"]: (row["predicted"], row["confidence"]) for row in csv.DictReader(file)}
    with (tmp_path / "answers.csv").open(newline="") as file:
        answers = list(csv.DictReader(file))
    predicted = {
        Path(row["path"]).relative_to(colours).as_posix(): (row["label"], row["confidence"]) for row in answers
    }
    assert len(predicted) == len(FolderSource(colours).samples())
    assert {key: label for key, (label, _) in predicted.items()} == {k: label for k, (label, _) in evaluated.items()}
    assert all(abs(float(predicted[key][1]) - float(evaluated[key][1])) < 1e-5 for key in predicted)
    right = sum(label == Path(key).parent.name for key, (label, _) in predicted.items())
    metrics = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    assert metrics["all/accuracy"] == right / len(predicted)
    assert metrics["all/accuracy"] > 0.9


def test_evaluate_on_other_pictures_uses_the_geometry_of_the_card(
    colour_run: mc.Run, make_pictures: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_pictures(tmp_path / "other", {"deep red": 5, "grün": 5, "blue": 5}, size=90, seed=1)
    store = f"data.store={tmp_path / 'prepared'}"
    out = ["--out", str(tmp_path / "evaluation")]
    evaluate.main([str(colour_run.checkpoint), "--split", "all", *out, "data=folder", f"data.root={other}", store])
    metrics = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    assert metrics["all/accuracy"] > 0.9
    assert f"written to {tmp_path / 'evaluation'}" in capsys.readouterr().out
    (prepared,) = (tmp_path / "prepared").glob("folder-*")
    assert Prepared(prepared).manifest.geometry.size == colour_run.card.preprocess.size


def test_predict_gives_as_many_classes_as_asked_in_csv_and_json(
    colour_run: mc.Run, colours: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(colours / "grün" / "000.png")
    predict.main([str(colour_run.folder), picture, "--top", "3"])
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    predict.main([str(colour_run.folder), picture, "--top", "3", "--format", "json"])
    answers = json.loads(capsys.readouterr().out)
    assert rows[0]["label"] == answers[0]["label"] == "grün"
    assert [rows[0]["label"], rows[0]["label_2"], rows[0]["label_3"]] == [entry["label"] for entry in answers[0]["top"]]


def test_predict_reports_bad_pictures_keeps_the_good_and_fails_unless_told(
    colour_run: mc.Run, colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(tmp_path / "tiny.png")
    (tmp_path / "notes.txt").write_text("not looked at in a folder")
    arguments = [str(colour_run.folder), str(tmp_path), str(colours / "blue" / "000.png")]
    with pytest.raises(DataError, match=r"2 of 3 pictures .*broken.jpg: not a picture"):
        predict.main(arguments)
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["error"] for row in rows] == ["not a picture", "only 1x1 pixels", ""]
    assert rows[2]["label"] == "blue"
    predict.main([*arguments, "--skip-bad"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "does not exist"),
        (["."], "no pictures"),
        (["picture.png", "--out", "no_folder/answers.csv"], "does not exist"),
    ],
)
def test_predict_refuses_what_cannot_work(
    colour_run: mc.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=words):
        predict.main([str(colour_run.folder), *arguments])


def test_missing_run_is_named_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(mc.ArtifactError, match="give a run folder"):
        evaluate.main([str(tmp_path)])


def test_prepare_says_what_is_in_the_store(colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare.main(["data=folder", f"data.root={colours}", f"data.store={tmp_path}"])
    out = capsys.readouterr().out
    assert "all            42        9        9" in out
    assert "60 RGB" in out


def test_contact_sheet_shows_no_augmentation_or_that_of_one_picture(tmp_path: Path) -> None:
    folders = [f"data.store={tmp_path / 'prepared'}", f"run.folder={tmp_path / 'runs'}"]
    augment.main(["experiment=resnet18", "logger=none", *folders])
    sheet = np.asarray(Image.open(tmp_path / "runs" / "resnet18_augment.png").convert("L")).astype(int)
    # Eight lines of nine pictures: many tones, and no picture equal to its neighbour.
    assert sheet.shape[1] > sheet.shape[0] > 900
    assert len(np.unique(sheet)) > 100


def test_contact_sheet_of_no_augmentation_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(mc.ConfigError, match="choose one, such as augment=medium"):
        augment.main(["data=digits", "augment=none", f"data.store={tmp_path}"])


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_of_every_verb_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    main = import_module(f"mlops_cls.{verb}").main
    try:
        main(["--help"])
    except SystemExit as stop:
        assert stop.code == 0
    assert f"python -m mlops_cls.{verb} " in capsys.readouterr().out


def test_console_script_lists_the_verbs_in_the_order_of_a_models_life(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mlops-cls"])
    cli.main()
    out = capsys.readouterr().out
    positions = [out.index(f"\n  {verb} ") for verb in ("prepare", "train", "evaluate", "predict")]
    assert positions == sorted(positions)


def test_console_script_runs_verbs_and_corrects_typos(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mlops-cls", "trian"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "did you mean 'train'?" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["mlops-cls", "predict", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "python -m mlops_cls.predict" in capsys.readouterr().out
