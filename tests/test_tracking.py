"""Runs as W&B has them, and as they are kept without it; the server is on this machine."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import mlops_cls as mc
from mlops_cls.card import ModelCard
from mlops_cls.choices import LoggerName, Upload, WandbMode
from mlops_cls.config import LoggerConfig
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.run import lock_run
from mlops_cls.sync import main as sync
from mlops_cls.tracking import Tracker, check_tracking, tracking
from mlops_cls.tracking.start import PACKAGES
from wandb_server import WandbServer

VALUES = {"config": {"seed": 0, "logger": {"name": "wandb"}}, "git": {"commit": "abc"}}
Track = Callable[..., Path]


@pytest.fixture
def online(wandb_server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WandbServer:
    """Return a server that runs of this process are told to."""
    for name, value in wandb_server.environment(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WANDB_MODE")
    return wandb_server


@pytest.fixture
def offline(online: WandbServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    """Return a server that runs of this process have no key for."""
    with monkeypatch.context() as without_key:
        without_key.delenv("WANDB_API_KEY")
        yield online


@pytest.fixture
def track(tmp_path: Path, tiny_run: mc.Run) -> Track:
    """Return a function that tracks a run folder for the given steps, keeps a model if told to, and returns it."""

    def story(*steps: int, name: str = "run", model: bool = False, **settings: object) -> Path:
        folder = tmp_path / "runs" / name
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        with tracking(LoggerConfig(**settings), folder, VALUES) as tracker:
            assert tracker.logger is not None
            for step in steps:
                tracker.logger.log_metrics({"val/loss": 1 / (step + 1)}, step=step)
            if model:
                _keep(tracker, folder, tiny_run.card, steps[-1])
        return folder

    return story


def _keep(tracker: Tracker, folder: Path, card: ModelCard, content: int) -> None:
    for name in ("best", "last"):
        (folder / "checkpoints" / f"{name}.ckpt").write_text(f"{name} {content}")
    files = {kind: [folder / "checkpoints" / f"{kind.value}.ckpt"] for kind in (Upload.best, Upload.last)}
    tracker.keep_model(card, files)


def test_a_folder_tracked_again_is_the_same_run_and_its_history_goes_on(online: WandbServer, track: Track) -> None:
    folder = track(0, 1)
    assert track(2, 3) == folder

    (run,) = online.runs.values()
    assert run.name == json.loads((folder / "tracking.json").read_text())["id"]
    assert [line["trainer/global_step"] for line in run.history] == [0, 1, 2, 3]
    assert [line["_step"] for line in run.history] == [0, 1, 2, 3]
    assert (run.state, run.starts, run.display_name) == ("finished", 2, "run")
    assert run.values() == VALUES
    assert online.refused == []


def test_two_folders_in_one_process_are_two_runs(online: WandbServer, track: Track) -> None:
    track(0, name="one")
    track(0, 1, name="two")
    assert sorted((run.display_name, len(run.history)) for run in online.runs.values()) == [("one", 1), ("two", 2)]


def test_an_agents_run_id_wins_over_one_of_our_own(
    online: WandbServer, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "given")
    track(0)
    assert list(online.runs) == ["given"]


def test_a_failed_run_is_told_as_failed_and_an_interrupted_one_as_preempted(
    online: WandbServer, tmp_path: Path
) -> None:
    for name, error in {"failed": RuntimeError, "preempted": KeyboardInterrupt}.items():
        (tmp_path / name).mkdir()
        with pytest.raises(error), tracking(LoggerConfig(), tmp_path / name, VALUES):
            raise error
    assert {run.display_name: run.state for run in online.runs.values()} == {
        "failed": "failed",
        "preempted": "preempted",
    }


def test_the_model_is_kept_with_scores_and_linked_and_versions_without_an_alias_go(
    online: WandbServer, track: Track, tiny_run: mc.Run
) -> None:
    for last in range(3):
        track(last, model=True, keep_versions=1, registry="Digits" if last == 0 else None)

    linked, newest = online.artifacts
    assert newest.files == {"best.ckpt": b"best 2"}
    assert (linked.aliases, sorted(newest.aliases)) == ([], ["best", "latest"])
    assert newest.metadata["classes"] == list(tiny_run.card.classes)
    assert newest.metadata["scores"]["test/accuracy"] == tiny_run.metrics["test/accuracy"]
    assert online.links == {"wandb-registry-model/Digits": [linked]}
    assert online.refused == []


@pytest.mark.parametrize(("upload", "files"), [(Upload.last, {"best.ckpt", "last.ckpt"}), (Upload.none, set())])
def test_uploads_are_what_the_setting_says(online: WandbServer, track: Track, upload: Upload, files: set[str]) -> None:
    track(0, model=True, upload=upload)
    assert {name for artifact in online.artifacts for name in artifact.files} == files


def test_runs_kept_offline_are_sent_once_whole_and_in_order(
    offline: WandbServer, track: Track, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    track(0, 1)
    track(2)
    folder = track(3, model=True, registry="other/Digits")
    assert offline.runs == {}
    monkeypatch.setenv("WANDB_API_KEY", offline.key)

    # Sent from where it was moved to, as from a cluster to a laptop.
    moved = folder.rename(folder.with_name("moved"))
    sync([str(moved.parent)])

    (run,) = offline.runs.values()
    assert [line["trainer/global_step"] for line in run.history] == [0, 1, 2, 3]
    assert run.state == "finished"
    (model,) = offline.artifacts
    assert model.files == {"best.ckpt": b"best 3"}
    assert list(offline.links) == ["wandb-registry-other/Digits"]
    assert f"sent {moved}" in capsys.readouterr().out

    asked = len(offline.asked)
    sync([str(moved)])
    assert len(offline.asked) == asked
    assert "nothing to send" in capsys.readouterr().out


def test_a_run_that_goes_online_sends_first_what_it_kept_before(
    offline: WandbServer, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    track(0, 1)
    monkeypatch.setenv("WANDB_API_KEY", offline.key)
    track(2)
    (run,) = offline.runs.values()
    assert [line["trainer/global_step"] for line in run.history] == [0, 1, 2]


@pytest.mark.parametrize("change", [{"WANDB_API_KEY": "x" * 40}, {"WANDB_BASE_URL": "http://127.0.0.1:9"}])
def test_a_wrong_key_or_no_network_keeps_the_run_offline(
    online: WandbServer, track: Track, monkeypatch: pytest.MonkeyPatch, change: dict[str, str]
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    folder = track(0)
    assert online.runs == {}
    assert list((folder / "wandb").glob("offline-run-*"))


def test_a_run_that_w_and_b_does_not_take_is_kept_offline(online: WandbServer, track: Track) -> None:
    online.forbidden.add("UpsertBucket")
    folder = track(0)
    assert online.runs == {}
    assert list((folder / "wandb").glob("offline-run-*"))


def test_a_network_lost_on_the_way_ends_no_run_and_the_rest_is_sent_later(
    online: WandbServer, track: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_cls.tracking.weights_and_biases.FINISH_PATIENCE", 5)
    folder = tmp_path / "lost"
    folder.mkdir()
    with WandbServer() as first, monkeypatch.context() as there:
        there.setenv("WANDB_BASE_URL", first.url)
        with tracking(LoggerConfig(), folder, VALUES) as tracker:
            tracker.logger.log_metrics({"val/loss": 1.0}, step=0)
            first.stop()
            tracker.logger.log_metrics({"val/loss": 0.5}, step=1)
    assert online.runs == {}

    sync([str(folder)])
    (run,) = online.runs.values()
    assert ([line["trainer/global_step"] for line in run.history], run.state) == ([0, 1], "finished")
    assert json.loads((folder / "tracking.json").read_text())["unsent"] == []


def test_a_run_killed_offline_is_sent_once_as_far_as_it_came(
    offline: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = f"""
import os, signal, sys, time
from pathlib import Path

import wandb

from mlops_cls.config import LoggerConfig
from mlops_cls.tracking import tracking


def run(first, last):
    with tracking(LoggerConfig(), Path("."), {VALUES}) as tracker:
        for step in range(first, last):
            tracker.logger.log_metrics({{"val/loss": 1.0}}, step=step)
        if last < 2000:
            time.sleep(2)
            os.kill(os.getpid(), signal.SIGKILL)


# Forked, so that what takes seconds to import is imported once. The first leaves a bare header, the second most often
# a record that is cut short, the third ends well.
for steps in ((0, 1), (0, 1000), (1000, 2000)):
    process = os.fork()
    if process == 0:
        run(*steps)
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)  # or a fork would print it too
"""
    monkeypatch.delenv("WANDB_SERVICE", raising=False)  # Of this process, where W&B would know the id as taken.
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split() == ["-9", "-9", "0"]
    monkeypatch.setenv("WANDB_API_KEY", offline.key)
    sync([str(tmp_path)])

    (run,) = offline.runs.values()
    steps = [line["trainer/global_step"] for line in run.history]
    assert steps == sorted(set(steps))
    assert 900 < steps.index(1000) <= 1000  # W&B writes in blocks: the last one of a killed run may be lost.
    assert steps[-1000:] == list(range(1000, 2000))
    asked = len(offline.asked)
    sync([str(tmp_path)])
    assert len(offline.asked) == asked


def test_a_run_that_is_going_on_is_not_sent(
    offline: WandbServer, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = track(0)
    monkeypatch.setenv("WANDB_API_KEY", offline.key)
    lock = lock_run(folder)
    assert lock is not None
    with lock, pytest.raises(ArtifactError, match="its run is going on"):
        sync([str(folder)])
    assert offline.runs == {}


def test_a_missing_package_is_named_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, LoggerName.mlflow, "no_such_package")
    with pytest.raises(ConfigError, match=r"pip install 'mlops-cls\[no_such_package\]'"):
        check_tracking(LoggerConfig(name=LoggerName.mlflow))


@pytest.mark.parametrize("config", [LoggerConfig(name=LoggerName.none), LoggerConfig(mode=WandbMode.offline)])
def test_a_sweep_waits_for_a_score_that_nobody_tells(config: LoggerConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    check_tracking(config)
    monkeypatch.setenv("WANDB_SWEEP_ID", "4ndq1kce")
    with pytest.raises(ConfigError, match="an agent of a W&B sweep, which would wait for its score in vain"):
        check_tracking(config)


def test_what_cannot_be_sent_is_said_and_kept(
    offline: WandbServer, track: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = track(0)
    with pytest.raises(ConfigError, match="no W&B key: set WANDB_API_KEY"):
        sync([str(folder)])
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    with pytest.raises(ConfigError, match="refuses the key"):
        sync([str(folder)])
    with monkeypatch.context() as unplugged, pytest.raises(ArtifactError, match="cannot be reached at http"):
        unplugged.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
        sync([str(folder)])
    with pytest.raises(ArtifactError, match="nowhere is no folder"):
        sync([str(tmp_path / "nowhere")])
    with pytest.raises(ArtifactError, match="holds no tracked run"):
        sync([str(folder / "checkpoints")])

    monkeypatch.setenv("WANDB_API_KEY", offline.key)
    sync([str(folder)])
    assert len(offline.runs) == 1


def test_online_without_a_key_is_refused_before_there_is_a_run_folder(
    offline: WandbServer, tiny_overrides: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="mode=online needs a W&B key"):
        mc.fit(mc.load_config(*tiny_overrides, "logger=wandb", "logger.mode=online", f"run.folder={tmp_path / 'r'}"))
    assert not (tmp_path / "r").exists()


def test_the_same_few_pictures_are_shown_after_each_validation_and_change_nothing(
    online: WandbServer, tiny_overrides: list[str]
) -> None:
    untold, run = (mc.fit(mc.load_config(*tiny_overrides, f"logger={name}")) for name in ("none", "wandb"))

    (tracked,) = online.runs.values()
    shown = [line["val/examples"] for line in tracked.history if "val/examples" in line]
    assert len(shown) == 2
    assert len(shown[0]["filenames"]) == len(shown[0]["captions"]) == 8
    assert [Path(name).name.split("_")[2] for name in shown[0]["filenames"]] == [
        Path(name).name.split("_")[2] for name in shown[1]["filenames"]
    ]
    assert re.fullmatch(r"true \d, predicted \d \(0\.\d\d\)", shown[1]["captions"][0])
    assert set(shown[0]["filenames"]) <= set(tracked.files)
    assert tracked.summary["test/accuracy"] == run.metrics["test/accuracy"]
    assert tracked.values()["config"]["seed"] == 0
    assert tracked.values()["data"]["source"] == "digits"
    ours, theirs = (torch.load(one.checkpoint, weights_only=True)["state_dict"] for one in (run, untold))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")  # MLflow 3.17 on SQLAlchemy 2.1
@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_other_loggers_get_metrics_and_plots_and_go_on_in_the_same_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_run: mc.Run
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    folder.mkdir()
    for step in (0, 1):
        with tracking(LoggerConfig(name=LoggerName(name)), folder, VALUES) as tracker:
            tracker.logger.log_metrics({"val/loss": 1.0 - step}, step=step)
            tracker.summarise({"test/accuracy": 0.5}, {"curves": tiny_run.folder / "curves.png"})
    steps, final = {"tensorboard": _read_tensorboard, "mlflow": _read_mlflow}[name](folder)
    assert (steps, final) == ({0: 1.0, 1: 0.0}, 0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def _read_tensorboard(folder: Path) -> tuple[dict[int, float], float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert events.Tags()["images"] == ["curves"]
    return {event.step: event.value for event in events.Scalars("val/loss")}, events.Scalars("final/test/accuracy")[
        0
    ].value


def _read_mlflow(folder: Path) -> tuple[dict[int, float], float]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "mlops_cls"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert [one.path for one in client.list_artifacts(run.info.run_id)] == ["curves.png"]
    history = client.get_metric_history(run.info.run_id, "val/loss")
    return {point.step: point.value for point in history}, run.data.metrics["final/test/accuracy"]


def test_only_one_package_imports_the_tracking_services() -> None:
    home = Path(mc.__file__).parent
    users = {
        path.relative_to(home).parts[0]
        for path in home.rglob("*.py")
        if any(f"{word} {name}" in path.read_text() for word in ("import", "from") for name in ("wandb", "mlflow"))
    }
    assert users == {"tracking"}
