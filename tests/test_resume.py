"""A run that was cut goes on as if nothing had happened: the same weights, the same table, nothing trained twice."""

import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import mlops_cls as mc
from mlops_cls.errors import Interrupted
from mlops_cls.models.weights import read_checkpoint

BASE = [
    "experiment=quickstart", "logger=none", "data.size=8", "data.subsample=0.15", "data.batch_size=32",
    "trainer.max_epochs=3", "runtime.device=cpu", "runtime.precision=fp32",
]  # fmt: skip
EVERYTHING = [
    "augment=light", "augment.mixup=0.2", "model.drop_rate=0.2", "trainer.ema=0.9", "trainer.patience=5",
    "trainer.accumulate=2", "data.sampler=balanced", "optim=adamw", "optim.warmup_epochs=0.5",
]  # fmt: skip


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


@pytest.fixture(scope="module")
def whole(place: Callable[..., mc.Config], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., mc.Run]:
    """Return a function that gives the uninterrupted run with some overrides."""
    known: dict[tuple[str, ...], mc.Run] = {}

    def run(*overrides: str) -> mc.Run:
        if overrides not in known:
            known[overrides] = mc.fit(place(tmp_path_factory.mktemp("whole"), *overrides))
        return known[overrides]

    return run
