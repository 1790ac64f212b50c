"""A handful of digits, and a way to train on them that writes nothing."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import mlops_cls as mc
from mlops_cls.console import quiet_lightning

Train = Callable[..., pl.Trainer]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Compute in one thread: where cores are busy, threads waiting for each other took twenty times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> mc.DigitsDataModule:
    """Return 120 training pictures of 16x16 pixels, in three batches, and 30 each to validate and test."""
    plan = mc.Plan(size=16, subsample=0.1)
    return mc.DigitsDataModule(plan=plan, store=tmp_path_factory.mktemp("prepared"), batch_size=32)


@pytest.fixture(scope="session")
def card(digits: mc.DigitsDataModule) -> mc.ModelCard:
    return mc.make_card(digits.manifest, "baseline_cnn")


@pytest.fixture(scope="session")
def train(digits: mc.DigitsDataModule) -> Train:
    """Return a function that trains a classifier on the digits in plain Lightning, and returns the Trainer."""

    def run(
        classifier: mc.ImageClassifier,
        *,
        data: pl.LightningDataModule = digits,
        ckpt_path: Path | None = None,
        **options: Any,
    ) -> pl.Trainer:
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        chosen = {"max_epochs": 1, "accelerator": "cpu", "enable_model_summary": False, "num_sanity_val_steps": 0}
        with quiet_lightning():
            warnings.filterwarnings("ignore", message="GPU available but not used")
            trainer = pl.Trainer(**quiet | chosen | options)
            trainer.fit(classifier, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
        return trainer

    return run
