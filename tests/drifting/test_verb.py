"""The verb `drift`: what it says, how it exits, and what it says to someone who typed something else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import mlops_cls as mc
from browser import Open
from digit_files import Digits
from mlops_cls.bundle import REFERENCE, Bundle, seal
from mlops_cls.cli import EXIT_ERROR, run_verb
from mlops_cls.drift import DRIFT, TOO_FEW, main
from mlops_cls.monitoring.collection import HEADER

Draw = Callable[..., Digits]
Collect = Callable[..., str]


@pytest.fixture(scope="module")
def late(draw_digits: Draw, collect: Collect, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a collection of which the last fifth is dark."""
    return collect(tmp_path_factory.mktemp("late") / "collected", draw_digits(300, darker=4, after=240))


@pytest.fixture(scope="module")
def usual(draw_digits: Draw, collect: Collect, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a collection of nothing unusual."""
    return collect(tmp_path_factory.mktemp("usual") / "collected", draw_digits(120, seed=1))


def exits(*arguments: object) -> int:
    """Run the verb; return its exit code."""
    try:
        run_verb(main, [*map(str, arguments)])
    except SystemExit as exit:
        return int(exit.code or 0)
    return 0


def test_a_change_that_began_late_exits_0_or_is_shown_nowhere(
    tiny_bundle: Bundle, late: str, tmp_path: Path, visit: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exits(tiny_bundle.folder, late, "--window", 60, "--out", tmp_path / "out") == DRIFT
    printed = capsys.readouterr().out
    assert "Drift in " in printed and "1 of 5 windows" in printed
    told = json.loads((tmp_path / "out" / "drift.json").read_text())
    assert [window["drift"] for window in told["windows"]] == [False] * 4 + [True]
    assert told["accuracy"]["pictures"] == 75
    for width, dark in ((1280, False), (390, True)):
        with visit(tmp_path / "out" / "drift.html", width=width, dark=dark) as seen:
            assert (seen.complaints, seen.requests, seen.sticks_out) == ([], [], [])
            assert seen.page.locator("h1").inner_text() == "Drift"
            assert seen.page.locator("img").count() >= 12
    with visit(tmp_path / "out" / "drift.html", policy=False) as seen:
        assert seen.barriers() == []


def test_no_change_does_not_exit_0(tiny_bundle: Bundle, usual: str, tmp_path: Path) -> None:
    assert exits(tiny_bundle.folder, usual, "--out", tmp_path / "out") == 0
    assert "<h1>No drift</h1>" in (tmp_path / "out" / "drift.html").read_text()


def test_a_plain_folder_cannot_be_compared(tiny_bundle: Bundle, draw_digits: Draw, tmp_path: Path) -> None:
    usual, dark = draw_digits(100, seed=3), draw_digits(100, seed=3, darker=4)
    (usual.paths[0].parent / "broken.png").write_bytes(b"no picture")
    assert exits(tiny_bundle.folder, usual.paths[0].parent, "--out", tmp_path / "usual") == 0
    assert "1 pictures could not be read" in (tmp_path / "usual" / "drift.html").read_text()
    assert exits(tiny_bundle.folder, dark.paths[0].parent, "--out", tmp_path / "dark") == DRIFT
    told = json.loads((tmp_path / "dark" / "drift.json").read_text())
    assert (told["since"], told["windows"], told["accuracy"]) == (None, [], None)


def test_one_picture_is_said_not_to_have_drifted(tiny_bundle: Bundle, draw_digits: Draw, tmp_path: Path) -> None:
    assert exits(tiny_bundle.folder, draw_digits(1).paths[0], "--out", tmp_path) == TOO_FEW
    told = json.loads((tmp_path / "drift.json").read_text())
    assert (told["enough"], told["words"]) == (False, "Too few pictures to tell: 1 of 50 that are needed.")
    assert "<h1>Too few pictures</h1>" in (tmp_path / "drift.html").read_text()


def test_pictures_that_came_together_count_as_independent(
    tiny_bundle: Bundle, draw_digits: Draw, collect: Collect, tmp_path: Path
) -> None:
    place = collect(tmp_path / "collected", draw_digits(120), together=12)
    assert exits(tiny_bundle.folder, place, "--out", tmp_path) == TOO_FEW
    assert json.loads((tmp_path / "drift.json").read_text())["pictures"] == 10
    assert "110 pictures came in a request with another" in (tmp_path / "drift.html").read_text()
    assert exits(tiny_bundle.folder, place, "--every-picture", "--out", tmp_path) == 0
    assert json.loads((tmp_path / "drift.json").read_text())["pictures"] == 120


def test_another_models_pictures_are_counted_in(
    tiny_bundle: Bundle, draw_digits: Draw, collect: Collect, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = collect(tmp_path / "collected", draw_digits(60, darker=4), model="0123456789ab")
    assert exits(tiny_bundle.folder, place) == EXIT_ERROR
    assert "but 60 pictures of 0123456789ab: give the bundle that the service runs" in capsys.readouterr().err
    collect(place, draw_digits(60, seed=1))
    assert exits(tiny_bundle.folder, place, "--out", tmp_path) == 0
    assert "left out: 60 pictures were answered by model 0123456789ab" in capsys.readouterr().out


def test_days_that_were_not_asked_for_count(tiny_bundle: Bundle, late: str, tmp_path: Path) -> None:
    assert exits(tiny_bundle.folder, late, "--until", "2026-11-21", "--out", tmp_path) == 0
    assert json.loads((tmp_path / "drift.json").read_text())["pictures"] == 180
    assert exits(tiny_bundle.folder, late, "--since", "2026-11-21T10:00", "--out", tmp_path) == DRIFT
    assert json.loads((tmp_path / "drift.json").read_text())["pictures"] == 60


def test_looks_that_share_an_alarm_do_not(tiny_bundle: Bundle, usual: str, tmp_path: Path) -> None:
    exits(tiny_bundle.folder, usual, "--looks", 30, "--out", tmp_path)
    assert json.loads((tmp_path / "drift.json").read_text())["alpha"] == pytest.approx(0.05 / 30)


def test_a_run_folder_is_no_answer_to_which_bundle(
    tiny_bundle: Bundle, usual: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "bundle").symlink_to(tiny_bundle.folder)
    assert exits(tmp_path / "run", usual, "--out", tmp_path) == 0
    assert exits(tmp_path, usual) == EXIT_ERROR
    assert "python -m mlops_cls.export RUN makes one" in capsys.readouterr().err


def test_careless_words_end_in_a_traceback(
    tiny_bundle: Bundle, tiny_run: mc.Run, usual: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tiny_bundle.folder
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no picture")
    (tmp_path / "asked").mkdir()
    shutil.copy(Path(usual) / HEADER, tmp_path / "asked")
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / HEADER).write_text('{"format": 1, "classes": ["cat", "dog"], "models": []}')
    for arguments, said in {
        (bundle, tmp_path / "nothing"): "does not exist",
        (bundle, tmp_path / "empty"): "no pictures in",
        (bundle, tmp_path / "text.txt"): "none of 1 pictures could be read",
        (bundle, tmp_path / "asked"): "has the service been asked",
        (bundle, tmp_path / "others"): "the model was trained on other classes than",
        (bundle, bundle): "is a model: give what is to be compared with it",
        (usual, bundle): "is a collection, not a bundle: type the bundle first",
        (bundle, Path(usual) / "2026-11-19"): "is a part of a collection: give",
        (tiny_run.folder, usual): "is no bundle",
        (bundle, usual, "--out", tmp_path / "text.txt"): "give another --out FOLDER",
        (bundle, usual, "--since", "2027-01-01"): "holds no pictures of that time",
        (bundle, tmp_path, "--since", "2026-01-01"): "is a folder of pictures",
        (bundle, usual, "--since", "yesterday"): "is no day such as 2026-11-21",
    }.items():
        assert exits(*arguments) == EXIT_ERROR
        assert said in capsys.readouterr().err


def test_a_bundle_without_a_reference_ends_in_a_traceback(
    tiny_bundle: Bundle, usual: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_bundle.folder, tmp_path / "bundle")
    (tmp_path / "bundle" / REFERENCE).unlink()
    seal(tmp_path / "bundle", tiny_bundle.card)
    assert exits(tmp_path / "bundle", usual) == EXIT_ERROR
    assert "has no reference.npz to compare with" in capsys.readouterr().err


def test_a_picture_that_retention_has_deleted_ends_the_page(
    tiny_bundle: Bundle, draw_digits: Draw, collect: Collect, tmp_path: Path
) -> None:
    place = collect(tmp_path / "collected", draw_digits(60))
    for picture in Path(place).glob("*/pictures/*"):
        picture.unlink()
    assert exits(tiny_bundle.folder, place, "--out", tmp_path) == 0
    assert "<img" not in (tmp_path / "drift.html").read_text()
