"""Sweeps as a person runs them: with W&B's commands, and without; killed, interrupted, and gone on with."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

import forked
import mlops_cls as mc
from mlops_cls import sweep
from mlops_cls.compose import config_folder
from mlops_cls.search.definition import read
from wandb_server import WandbServer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="searches are told to end by POSIX signals")

COMMAND = ["${env}", "${interpreter}", "-m", "mlops_cls.train", "experiment=quickstart", "logger=none"]
TINY = ["data.size=8", "data.subsample=0.3"]
# A run whose loss grows beyond all numbers: it starts like any other, and fails.
RATES = [1e-3, 1e-4, 1e30, 2e-3, 3e-3, 4e-3]


def write_sweep(folder: Path, epochs: int, rates: list[float]) -> None:
    content = {
        "method": "grid",
        "metric": {"name": "val/loss", "goal": "minimize"},
        "parameters": {"optim.lr": {"values": rates}},
        "command": [*COMMAND, *TINY, f"trainer.max_epochs={epochs}", "${args_no_hyphens}"],
    }
    (folder / "digits.yaml").write_text(yaml.safe_dump(content))


@contextmanager
def searching(python: str, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Give a running search; whatever becomes of the test, it ends."""
    command = [python, "-m", "mlops_cls.sweep", "digits.yaml", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(happened: Callable[[], object], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 900
    while not happened():
        assert time.monotonic() < until
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def table(folder: Path) -> dict[int, dict[str, str]]:
    with (folder / "sweeps/digits/trials.csv").open(newline="", encoding="utf-8") as file:
        return {int(row["number"]): row for row in csv.DictReader(file)}


def ended_in(log: str) -> set[int]:
    """Return which trials came to an end, by what was said."""
    lines = [line.partition("trial ")[2].split() for line in log.splitlines() if " val/" in line or " failed: " in line]
    return {int(words[0]) for words in lines if words and words[0].isdigit()}


def test_killed_search_repeats_what_it_had_done(python: str, tmp_path: Path) -> None:
    write_sweep(tmp_path, 1, RATES)
    log = tmp_path / "sweeps/digits/sweep.log"
    with searching(python, tmp_path, "--jobs", "2") as first:
        wait_for(lambda: log.exists() and len(ended_in(log.read_text())) >= 2, first)
        workers = forked.behind(python, first).children(recursive=True)
        first.kill()
    before = ended_in(log.read_text())
    assert 2 <= len(before) < len(RATES)
    psutil.wait_procs(workers, timeout=60)
    assert not any(worker.is_running() for worker in workers), "the workers outlive their driver"

    with searching(python, tmp_path) as second:
        said, errors = second.communicate(timeout=900)
        assert second.returncode == 0, errors
    assert ended_in(said) == set(range(1, len(RATES) + 1)) - before
    rows = table(tmp_path)
    assert [row["state"] for row in rows.values()].count("done") == len(RATES) - 1
    assert (rows[3]["state"], "loss became" in rows[3]["error"]) == ("failed", True)
    assert [float(row["optim.lr"]) for row in rows.values()] == RATES
    for number in before:
        folders = list((tmp_path / "sweeps/digits/runs").glob(f"*_trial-{number:03d}*"))
        assert len(folders) == 1
    assert {path.name for path in (tmp_path / "sweeps/digits").glob("*.png")} == {
        "history.png", "parallel.png", "importance.png",
    }  # fmt: skip
    assert errors == ""
    best = min((row for row in rows.values() if row["state"] == "done"), key=lambda row: float(row["value"]))
    run = mc.Run.open(tmp_path / best["folder"])
    assert run.metrics["val/loss"] == float(best["value"])
    assert f"optim.lr={best['optim.lr']}" in said.partition("again python -m mlops_cls.train ")[2]


def test_interrupted_search_loses_its_trial_and_a_dead_worker_ends_it(python: str, tmp_path: Path) -> None:
    write_sweep(tmp_path, 500, RATES[:3])
    logs = tmp_path / "sweeps/digits/logs"
    with searching(python, tmp_path, "--jobs", "1") as search:
        for number in (1, 2):
            trial = logs / f"trial-{number:03d}.log"
            wait_for(lambda: trial.exists() and "epoch " in trial.read_text(), search)  # noqa: B023
            if number == 1:
                (worker,) = forked.behind(python, search).children()
                worker.kill()
        search.send_signal(signal.SIGINT)
        said, errors = search.communicate(timeout=900)
    assert (search.returncode, errors) == (75, "")
    assert "failed: the process was ended by SIGKILL; the system kills a process when memory runs out" in said
    assert "the same command goes on from here" in said
    assert [row["state"] for row in table(tmp_path).values()] == ["failed", "waiting"]


def test_one_file_means_other_things_to_wandb_and_without_it(
    wandb_server: WandbServer, python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "sweep.yaml"
    shipped = (config_folder() / "sweep.yaml").read_text()
    path.write_text(shipped.replace("trainer.max_epochs=6", "trainer.max_epochs=3\n  - data.subsample=0.3"))
    home = Path(sys.executable).parent
    environment = os.environ | wandb_server.environment(tmp_path) | {"OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setattr(sys, "executable", python)

    def wandb(*words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([home / "wandb", *words], cwd=tmp_path, env=environment)

    assert wandb("sweep", str(path)).wait(120) == 0
    (wanted,) = wandb_server.sweeps.values()
    agents = [wandb("agent", "--count", "1", f"{wanted.entity}/{wanted.project}/{wanted.name}") for _ in range(2)]
    assert [agent.wait(400) for agent in agents] == [0, 0]
    assert [wandb_server.runs[name].state for name in wanted.runs] == ["finished"] * 2

    sweep.main([str(path), "--count", "2", "--folder", str(tmp_path / "sweeps"), "logger=none"])
    with (tmp_path / "sweeps/sweep/trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    definition = read(path)
    for name in wanted.runs:
        run = wandb_server.runs[name]
        assert set(wanted.given[name]) == set(definition.parameters) <= set(rows[0])
        assert {key: run.values()[key] for key in wanted.given[name]} == {
            key: entry["value"] for key, entry in wanted.given[name].items()
        }
        assert definition.metric.name in run.summary
        assert definition.metric.name in rows[0]
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits.yaml", "optim.lrr=1"], "optim.lrr is not a setting; did you mean optim.lr"),
        (["digits.yml"], "digits.yml does not exist"),
        (["sweep"], "give --count N"),
        (["digits.yaml", "data=folder", "data.root=nowhere"], "nowhere does not exist"),
        (["digits.yaml", "optim.lr=1"], "optim.lr is varied by the sweep and also given as optim.lr=1"),
    ],
)
def test_a_mistake_leaves_files_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_sweep(tmp_path, 1, RATES)
    with pytest.raises(mc.MlopsError, match=message):
        sweep.main(arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["digits.yaml"]


def test_checking_starts_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_sweep(tmp_path, 1, RATES)
    sweep.main(["digits.yaml", "--check"])
    said = capsys.readouterr().out
    assert f"digits.yaml is sound: grid of {len(RATES)} points over optim.lr, by lowest val/loss" in said
    assert "`wandb agent` would run trials that W&B hears nothing of" in said
    assert [path.name for path in tmp_path.iterdir()] == ["digits.yaml"]
