"""A run that was cut goes on as if nothing had happened: the same weights, the same table, nothing trained twice."""

import csv
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import mlops_cls as mc
from mlops_cls.checkpoints import Progress
from mlops_cls.errors import Interrupted
from mlops_cls.models.weights import read_checkpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process that is sent a signal")

BASE = [
    "experiment=quickstart", "logger=none", "data.size=8", "data.subsample=0.15", "data.batch_size=32",
    "trainer.max_epochs=3", "runtime.device=cpu", "runtime.precision=fp32",
]  # fmt: skip
EVERYTHING = [
    "augment=light", "augment.mixup=0.2", "model.drop_rate=0.2", "trainer.ema=0.9", "trainer.patience=5",
    "trainer.accumulate=2", "data.sampler=balanced", "optim=adamw", "optim.warmup_epochs=0.5",
]  # fmt: skip


DIVERGES = ["optim.lr=5", "trainer.monitor=accuracy"]  # so that the first epoch stays the best


class SignalAt(pl.Callback):
    """Sends this process a signal at the given training batch or validation, counted over all epochs."""

    def __init__(
        self, *, batch: int | None = None, validation: int | None = None, number: int = signal.SIGTERM
    ) -> None:
        self.batch, self.validation, self.number = batch, validation, number
        self.batches = self.validations = 0

    def on_train_batch_start(self, *_: Any) -> None:
        if self.batches == self.batch:
            os.kill(os.getpid(), self.number)
        self.batches += 1

    def on_validation_batch_start(self, *_: Any) -> None:
        if self.validations == self.validation:
            os.kill(os.getpid(), self.number)
        self.validations += 1


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., mc.Config]:
    """Return a function from a folder for runs and overrides to a config; all share one prepared store."""
    store = tmp_path_factory.mktemp("store")

    def config(runs: Path, *overrides: str) -> mc.Config:
        return mc.load_config(*BASE, f"data.store={store}", f"run.folder={runs}", *overrides)

    return config


def cut(config: mc.Config, at: SignalAt) -> Path:
    """Let a signal end the run, and return the run's folder."""
    with pytest.raises(Interrupted):
        mc.fit(config, callbacks=[at])
    return (Path(config.run.folder) / "latest").resolve()


def weights(folder: Path, name: str = "best") -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = read_checkpoint(folder / f"checkpoints/{name}.ckpt")["state_dict"]
    return tensors


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def assert_same(ours: Path, theirs: Path) -> None:
    for name in ("best", "last"):
        first, second = weights(ours, name), weights(theirs, name)
        assert first.keys() == second.keys()
        assert [key for key, value in first.items() if not torch.equal(value, second[key])] == []
    assert rows(ours) == rows(theirs)
    assert (ours / "metrics.json").read_text() == (theirs / "metrics.json").read_text()


@pytest.fixture(scope="module")
def whole(place: Callable[..., mc.Config], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., mc.Run]:
    """Return a function that gives the uninterrupted run with some overrides."""
    known: dict[tuple[str, ...], mc.Run] = {}

    def run(*overrides: str) -> mc.Run:
        if overrides not in known:
            known[overrides] = mc.fit(place(tmp_path_factory.mktemp("whole"), *overrides))
        return known[overrides]

    return run


@pytest.mark.parametrize("overrides", [[], EVERYTHING], ids=["plain", "everything"])
@pytest.mark.parametrize(
    "at", [{"batch": 0}, {"batch": 1}, {"batch": 4}, {"batch": 5}, {"batch": 8}, {"validation": 0}, {"validation": 3}],
    ids=str,
)  # fmt: skip
def test_interrupted_run_ends_in_other_weights_or_another_table(
    place: Callable[..., mc.Config],
    tmp_path: Path,
    whole: Callable[..., mc.Run],
    overrides: list[str],
    at: dict[str, int],
) -> None:
    config = place(tmp_path, *overrides)
    folder = cut(config, SignalAt(**at))
    run = mc.fit(config)
    assert run.folder.resolve() == folder
    assert_same(run.folder, whole(*overrides).folder)


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.size=24", "trainer.progressive=true"],
        ["model.freeze=true", "model.weights={weights}"],
        ["model.freeze=true", "model.weights={weights}", "model.unfreeze_epoch=1"],
        ["augment=light", "augment.where=worker", "data.workers=2"],
        ["runtime.batch_size=8"],
        ["data.sampler=balanced", "trainer.limit_batches=3"],
        ["optim=sgd", "optim.schedule=step", "trainer.clip_norm=0.5", "loss.name=focal"],
    ],
    ids=lambda overrides: overrides[-1].split("=")[0],
)  # fmt: skip
def test_a_way_to_train_cannot_be_interrupted(
    place: Callable[..., mc.Config], tmp_path: Path, whole: Callable[..., mc.Run], overrides: list[str]
) -> None:
    given = [override.format(weights=whole().checkpoint) for override in overrides]
    config = place(tmp_path, *given)
    folder = cut(config, SignalAt(batch=6, number=signal.SIGINT))
    run = mc.fit(config)
    assert run.folder.resolve() == folder
    assert_same(run.folder, whole(*given).folder)


class Crash(pl.Callback):
    """Raises at the given batch, like a bug or a machine that gives up; keeps the number of each batch that began."""

    def __init__(self, batch: int | None = None) -> None:
        self.batch, self.began = batch, 0

    def on_train_batch_start(self, *_: Any) -> None:
        if self.began == self.batch:
            raise RuntimeError("crash")
        self.began += 1


def test_a_crash_within_an_epoch_loses_what_was_to_be_saved_in_between(
    place: Callable[..., mc.Config], tmp_path: Path, whole: Callable[..., mc.Run]
) -> None:
    config, rest = place(tmp_path, "trainer.save_every=0.000001s"), Crash()
    with pytest.raises(RuntimeError, match="crash"):
        mc.fit(config, callbacks=[Crash(8)])
    run = mc.fit(config, callbacks=[rest])
    assert rest.began == 15 - 8
    assert_same(run.folder, whole().folder)


def test_a_run_that_was_cut_while_it_was_concluded_is_trained_again(
    place: Callable[..., mc.Config],
    tmp_path: Path,
    whole: Callable[..., mc.Run],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, again = place(tmp_path, *DIVERGES, "trainer.patience=1"), Crash()
    with monkeypatch.context() as broken, pytest.raises(OSError, match="no room"):
        broken.setattr("mlops_cls.conclude.draw_curves", lambda *_, **__: (_ for _ in ()).throw(OSError("no room")))
        mc.fit(config)
    run = mc.fit(config, callbacks=[again])
    assert again.began == 0
    ended_early = whole(*DIVERGES, "trainer.patience=1")
    assert len(rows(ended_early.folder)) == 2
    assert_same(run.folder, ended_early.folder)


class SignalAtTheEnd(pl.Callback):
    """Sends this process SIGTERM when all epochs are over."""

    def on_train_end(self, *_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_after_the_last_step_is_lost_or_trains_again(
    place: Callable[..., mc.Config], tmp_path: Path, whole: Callable[..., mc.Run]
) -> None:
    config, again = place(tmp_path), Crash()
    with pytest.raises(Interrupted, match="trained to the end: the same command scores the run"):
        mc.fit(config, callbacks=[SignalAtTheEnd()])
    run = mc.fit(config, callbacks=[again])
    assert again.began == 0
    assert_same(run.folder, whole().folder)


def test_a_run_folder_that_was_moved_forgets_its_best_epoch(
    place: Callable[..., mc.Config], tmp_path: Path, whole: Callable[..., mc.Run]
) -> None:
    overrides = DIVERGES
    assert whole(*overrides).metrics["epoch"] == 0
    cut(place(tmp_path / "here", *overrides), SignalAt(batch=8))
    (tmp_path / "here").rename(tmp_path / "there")
    run = mc.fit(place(tmp_path / "there", *overrides))
    assert not (tmp_path / "here").exists()
    assert run.metrics["epoch"] == 0
    assert_same(run.folder, whole(*overrides).folder)


def test_a_run_with_a_budget_plans_anew_or_takes_the_whole_time_again(
    place: Callable[..., mc.Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = place(tmp_path, "trainer.budget=12s")
    folder = cut(config, SignalAt(batch=40))
    before = Progress.read(folder / "checkpoints/last.ckpt")
    monkeypatch.setattr("mlops_cls.attempt.measure", lambda *_, **__: pytest.fail("the speed was measured before"))
    run = mc.fit(config)
    assert run.folder.resolve() == folder
    after = Progress.read(folder / "checkpoints/last.ckpt")
    assert (after.plan, after.finished) == (before.plan, 3)
    assert 0 < before.spent < after.spent < 12 + 5
    assert [row["epoch"] for row in rows(folder)] == [str(epoch) for epoch in range(after.epoch)]


def test_the_card_of_a_run_that_went_on_hides_it(place: Callable[..., mc.Config], tmp_path: Path) -> None:
    config = place(tmp_path)
    folder = cut(config, SignalAt(batch=3))
    begun = json.loads((folder / "card.json").read_text())["provenance"]
    provenance = mc.fit(config).card.provenance
    assert provenance["created"] == begun["created"]
    assert [resumed["changes"] for resumed in provenance["resumed"]] == [{}]
    assert provenance["resumed"][0]["versions"]["torch"] == torch.__version__.split("+")[0]
