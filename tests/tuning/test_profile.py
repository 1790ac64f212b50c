"""The profile of a run names what takes the time, and leaves the run as it was."""

import csv
import gzip
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.profilers import PassThroughProfiler

import mlops_cls as mc
from mlops_cls.errors import Interrupted
from mlops_cls.models.weights import read_checkpoint
from mlops_cls.tuning.marks import METRICS, NAMES, PARTS, REST, Laps
from mlops_cls.tuning.profile import HINTS, Window, advice

PROFILED = "trainer.profile=true"


def steps_of(run: mc.Run) -> dict[str, float]:
    with (run.folder / "profile/steps.csv").open(newline="") as file:
        return {row["part"]: float(row["milliseconds"]) for row in csv.DictReader(file)}


def marks_of(run: mc.Run) -> Counter[str]:
    """Return how often each part, and each step, stands in the trace."""
    with gzip.open(run.folder / "profile/trace.json.gz", "rt", encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    marks = (event["name"] for event in events if event.get("cat") == "user_annotation")
    return Counter(name.partition("#")[0] for name in marks)


def weights_of(run: mc.Run) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = read_checkpoint(run.folder / "checkpoints/last.ckpt")["state_dict"]
    return state


@pytest.mark.parametrize(
    "overrides",
    [
        ["augment.mixup=0.2", "trainer.ema=0.9"],
        ["trainer.accumulate=2", "trainer.clip_norm=1", "data.batch_size=32"],
        ["runtime.batch_size=16", "data.workers=1", "augment.where=worker"],
    ],
    ids=lambda overrides: overrides[0],
)
def test_a_profile_changes_weights_or_leaves_parts_out(tiny_overrides: list[str], overrides: list[str]) -> None:
    plain = mc.fit(mc.load_config(*tiny_overrides, *overrides))
    profiled = mc.fit(mc.load_config(*tiny_overrides, *overrides, PROFILED))
    ours, theirs = weights_of(plain), weights_of(profiled)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert plain.metrics == profiled.metrics
    assert not (plain.folder / "profile").exists()

    step = steps_of(profiled)
    assert list(step) == [*NAMES, "step"]
    assert step.pop("step") == pytest.approx(sum(step.values()), abs=1e-3)  # each has four digits
    assert all(step[part] > 0 for part in NAMES)

    marks = marks_of(profiled)
    parts = 1 + ("trainer.accumulate=2" in overrides) + 3 * ("runtime.batch_size=16" in overrides)
    assert (
        marks["forward"] == marks["backward"] == marks["data wait"] == marks[METRICS] == marks["ProfilerStep"] * parts
    )
    assert marks["ProfilerStep"] >= 1
    operators = (profiled.folder / "profile/operators.txt").read_text()
    assert "aten::" in operators
    assert "Self CPU" in operators


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own, while it compiles
@pytest.mark.skipif(shutil.which("g++") is None or sys.platform != "linux", reason="torch.compile needs a compiler")
def test_a_compiled_network_cannot_be_profiled(tiny_overrides: list[str]) -> None:
    run = mc.fit(mc.load_config(*tiny_overrides, "runtime.compile=true", PROFILED))
    assert all(milliseconds > 0 for milliseconds in steps_of(run).values())
    assert marks_of(run)["forward"] == 1


def test_a_head_on_frozen_features_cannot_be_profiled(tiny_run: mc.Run, tiny_overrides: list[str]) -> None:
    frozen = [f"model.weights={tiny_run.checkpoint}", "model.freeze=true", "augment=none"]
    run = mc.fit(mc.load_config(*tiny_overrides, *frozen, PROFILED))
    assert "features are computed once" in (run.folder / "train.log").read_text()
    assert steps_of(run)["forward"] > 0


class Witness(pl.Callback):
    """Notes after each batch what is attached to the Trainer and to the loss; raises in batch `fall`."""

    def __init__(self, fall: int | None = None) -> None:
        self.attached: list[bool] = []
        self.ends: list[float] = []
        self.fall = fall

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, mc.ImageClassifier)
        own: Any = trainer
        marked = not isinstance(own.profiler, PassThroughProfiler)
        assert marked == bool(module.loss._forward_hooks)
        assert torch.autograd.profiler._is_profiler_enabled is False or marked
        self.attached.append(marked)
        self.ends.append(time.perf_counter())
        if len(self.attached) == self.fall:
            raise KeyError("stumbled")


def test_anything_is_attached_outside_of_the_window(tiny_overrides: list[str]) -> None:
    witness = Witness()
    run = mc.fit(mc.load_config(*tiny_overrides, "data.batch_size=8", PROFILED), callbacks=[witness])
    window = Window.within(len(witness.attached) // 2, 2)
    assert window == Window(10, 10, 3)
    first = witness.attached.index(True)
    assert first == window.warm
    # The steps measured end shortly after the witness has looked at the clock.
    before, last = first - 1, first - 1 + window.timed
    measured = steps_of(run)["step"] / 1000 * window.timed
    assert witness.ends[last - 1] - witness.ends[before] < measured < witness.ends[last + 1] - witness.ends[before]
    assert witness.attached == [first <= i < first + window.length for i in range(len(witness.attached))]


@pytest.mark.parametrize("fall", [12, 22], ids=["measuring", "tracing"])
def test_a_run_that_fails_while_profiled_leaves_the_profiler_on(tiny_overrides: list[str], fall: int) -> None:
    config = mc.load_config(*tiny_overrides, "data.batch_size=8", PROFILED)
    witness = Witness(fall)
    with pytest.raises(KeyError, match="stumbled"):
        mc.fit(config, callbacks=[witness])
    assert witness.attached[-1]
    assert steps_of(mc.fit(config))["step"] > 0


class Signal(pl.Callback):
    """Sends this process a SIGTERM in its 13th batch."""

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 12:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_run_interrupted_while_profiled_goes_on_otherwise(tiny_overrides: list[str]) -> None:
    overrides = [*tiny_overrides, "data.batch_size=8", "run.name=interrupted"]
    with pytest.raises(Interrupted):
        mc.fit(mc.load_config(*overrides, PROFILED), callbacks=[Signal()])
    run = mc.fit(mc.load_config(*overrides, PROFILED))
    assert steps_of(run)["step"] > 0
    whole = weights_of(mc.fit(mc.load_config(*overrides, "run.resume=never")))
    assert all(torch.equal(value, whole[name]) for name, value in weights_of(run).items())


def test_a_run_too_short_to_profile_says_nothing(tiny_overrides: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run = mc.fit(mc.load_config(*tiny_overrides, "trainer.max_epochs=1", "trainer.limit_batches=3", PROFILED))
    assert "trainer.profile=true: the run ended too soon" in capsys.readouterr().out
    assert not (run.folder / "profile").exists()


def test_console_does_not_name_the_files(tiny_overrides: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run = mc.fit(mc.load_config(*tiny_overrides, PROFILED))
    said, err = capsys.readouterr()
    assert f"{run.folder / 'profile'}: steps.csv, operators.txt, and trace.json.gz" in said
    assert all(f"  {part} " in said for part in NAMES)
    assert err == ""


@pytest.mark.parametrize("epochs", [-1, 1, 2, 10])
def test_a_window_does_not_fit_into_its_run(epochs: int) -> None:
    assert [steps for steps in range(1, 40) if Window.within(steps, epochs) is None] == [1, 2, 3]
    for steps in range(4, 40):
        window = Window.within(steps, epochs)
        assert window is not None
        assert_fits(window, steps, epochs)


def assert_fits(window: Window, steps: int, epochs: int) -> None:
    assert min(window.timed, window.traced) >= 1
    # In the first epoch or, warm by then, in the second after its first step.
    if epochs == 1:
        assert window.warm >= 1
        assert window.warm + window.length <= steps
    else:
        assert window.length <= steps - 1
        assert epochs < 0 or window.warm <= steps * (epochs - 1)


def test_long_epochs_are_looked_at_for_less_than_they_allow() -> None:
    assert Window.within(1000, 1) == Window.within(1000, 30) == Window.within(24, -1) == Window(10, 10, 3)


def test_time_between_the_parts_is_lost_or_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0, 21.0])
    monkeypatch.setattr("mlops_cls.tuning.marks.time.perf_counter", lambda: next(ticks))
    laps = Laps(torch.device("cpu"))
    laps.start("[LightningModule]ImageClassifier.optimizer_step")
    laps.start("[Callback]Other.on_before_backward")  # none of the parts: stays with the optimiser
    laps.start("[Strategy]SingleDeviceStrategy.training_step")
    laps.turn_to(METRICS)
    laps.stop("[Strategy]SingleDeviceStrategy.training_step")
    laps.stop("[Callback]Other.on_before_backward")
    laps.stop("[LightningModule]ImageClassifier.optimizer_step")
    spent = {part: seconds for part, seconds in laps.seconds().items() if seconds}
    assert spent == {REST: 1.0, "optimiser": 12.0, "forward": 3.0, METRICS: 5.0}
    assert sum(spent.values()) == 21.0


def test_advice_is_about_another_part_than_the_costly_one() -> None:
    computing = dict.fromkeys(NAMES, 0.0) | {"forward": 1.0, "backward": 2.0}
    assert "runtime=auto" in advice(computing)
    assert set(HINTS) == {*PARTS.values(), METRICS, REST} - {"forward", "backward"}
    for part, hint in HINTS.items():
        assert advice(computing | {part: 3.0}) == f"{part} takes 50%: {hint}"
        assert "runtime=auto" in advice(computing | {part: 0.1})
