"""Random numbers of a training step that depend on the step alone, and not on what was drawn before."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch


class StepSeeds(pl.Callback):
    """Seeds torch before each training step, for dropout, stochastic depth, mixup and cutmix.

    So a run that goes on draws what it would have drawn, without any generator's state being kept, and however many
    processes it goes on with. Order and augmentation of pictures have seeds of their own, see `data/sampling.py`.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        part = batch_idx % trainer.accumulate_grad_batches
        torch.manual_seed(step_seed(self.seed, trainer.global_step, part, trainer.global_rank))


def step_seed(seed: int, step: int, part: int, rank: int) -> int:
    """Return a seed of 64 bits for a part of an optimiser step in one of the processes.

    By NumPy's `SeedSequence`, so that seeds of neighbouring steps have nothing in common.
    """
    return int(np.random.SeedSequence((seed, step, part, rank)).generate_state(1, np.uint64)[0])
