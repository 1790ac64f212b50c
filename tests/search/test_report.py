"""What a sweep leaves: its table and its pictures, for any kind of values."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mlops_cls.search.crew import Crew, Worker, threads_each
from mlops_cls.search.definition import Definition, read
from mlops_cls.search.plots import draw_history, draw_importance, draw_parallel
from mlops_cls.search.report import best_of, describe, write_table
from mlops_cls.search.study import Row

WriteSweep = Callable[..., Path]
PARAMETERS = {
    "optim.lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-1},
    "trainer.patience": {"values": [None, 3]},
    "optim.betas": {"values": [[0.9, 0.99], [0.9, 0.999]]},
    "run_$name": {"value": "two $words"},
}


@pytest.fixture
def definition(write_sweep: WriteSweep) -> Definition:
    return read(write_sweep(parameters=PARAMETERS))


def rows() -> list[Row]:
    values = [
        {"optim.lr": 10**-number, "trainer.patience": patience, "optim.betas": [0.9, 0.99], "run_$name": "two $words"}
        for number, patience in ((1.0, None), (2.0, 3), (3.5, None), (4.0, 3))
    ]
    return [
        Row(1, "done", 0.25, 3, values[0], folder="runs/a", scores={"val/loss": 1.5}),
        Row(2, "pruned", 0.1, 1, values[1]),
        Row(3, "failed", None, 0, values[2], error="the loss became nan:\n lower optim.lr"),
        Row(4, "done", 0.75, 3, values[3], folder="runs/b", scores={"val/loss": 0.5}),
        Row(5, "waiting", None, 0, {}),
    ]


def test_pictures_are_empty_or_fail_on_lists_none_and_dollars(definition: Definition, tmp_path: Path) -> None:
    draw_history(tmp_path / "history.png", rows(), definition)
    draw_parallel(tmp_path / "parallel.png", rows(), definition)
    draw_importance(tmp_path / "importance.png", {"optim.lr": 0.9, "run_$name": 0.1}, "val/accuracy")
    for name in ("history", "parallel", "importance"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert len(picture.convert("RGB").getcolors(2**24)) > 50


def test_trials_that_are_all_alike_cannot_be_drawn(definition: Definition, tmp_path: Path) -> None:
    same = [Row(number, "done", 0.5, 1, rows()[0].values) for number in (1, 2)]
    draw_history(tmp_path / "history.png", same, definition)
    draw_parallel(tmp_path / "parallel.png", same, definition)
    assert (tmp_path / "parallel.png").exists()


def test_table_leaves_out_a_trial_or_its_error(definition: Definition, tmp_path: Path) -> None:
    write_table(tmp_path / "trials.csv", rows(), list(definition.parameters))
    with (tmp_path / "trials.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["state"] for row in found] == ["done", "pruned", "failed", "done", "waiting"]
    assert found[2]["error"].startswith("the loss became nan")
    assert (found[3]["optim.lr"], found[3]["val/loss"], found[1]["val/loss"]) == ("0.0001", "0.5", "")


def test_the_best_trial_is_the_worst_or_one_that_was_ended_early(definition: Definition) -> None:
    best = best_of(rows(), definition.metric)
    assert best is not None
    assert best.number == 4
    assert best_of(rows()[1:3], definition.metric) is None


def test_an_error_of_several_lines_breaks_the_line_of_a_trial(definition: Definition) -> None:
    line = describe(rows()[2], definition.metric)
    assert "failed: the loss became nan: lower optim.lr" in line
    assert "\n" not in line


def test_two_workers_compete_for_one_of_two_gpus(tmp_path: Path) -> None:
    crew = Crew(tmp_path, 3, ("2", "5"))
    given = []
    for _ in range(3):
        gpu = crew._least_used()
        given.append(gpu)
        crew.workers.append(Worker("", None, gpu))  # type: ignore[arg-type]
    assert given == ["2", "5", "2"]
    crew.workers.pop(1)
    assert crew._least_used() == "5"
    assert Crew(tmp_path, 3, ("0",))._least_used() is None


def test_processes_take_more_threads_than_there_are_cores() -> None:
    assert threads_each(10**6) == 1
    assert threads_each(1) >= threads_each(2) >= 1
