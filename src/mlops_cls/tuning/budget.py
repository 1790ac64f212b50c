"""As many epochs as fit into a given time, with the learning-rate schedule complete at the end."""

import math
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any, Self

import pytorch_lightning as pl
import torch

from mlops_cls import processes
from mlops_cls.data.loader import Batch
from mlops_cls.errors import ConfigError
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.finetune import FreezeBackbone
from mlops_cls.runtime import Runtime

MARGIN = 0.05
"""Share of the time that is kept back: for plots, files and the tracker."""
LOOK, FEWEST = 4.0, 4
"""Seconds, and batches at least, over which the speed of training is measured."""
VAL_BATCHES = 3
PLENTY = 10**9
"""Epochs or steps that are never reached."""
CHECKS = 40
"""How often in a run the clock is looked at."""
TOO_SLOW = 1.02
"""Times the time left that the rest of the plan may seem to take before it is shortened."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of a training batch with its loading, and of a pass over val; the end of a run scores val and test."""

    batch: float
    val: float
    scoring: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """What fits: training batches in all, which is `epochs` of `per_epoch` batches, the last perhaps cut short."""

    batches: int
    per_epoch: int

    @property
    def epochs(self) -> int:
        return math.ceil(self.batches / self.per_epoch)


def fit_into(seconds: float, speed: Speed, *, per_epoch: int, parts: int) -> Schedule:
    """Return the training that ends in `seconds`, scoring included; `parts` batches make an optimiser step.

    Raises:
        ConfigError: not even one step fits.
    """
    training = seconds * (1 - MARGIN) - speed.scoring
    epoch = per_epoch * speed.batch + speed.val
    whole, rest = divmod(training, epoch)
    batches = int(whole) * per_epoch + min(max(int((rest - speed.val) / speed.batch), 0), per_epoch)
    steps = batches // parts
    if steps < 1:
        raise ConfigError(
            f"trainer.budget is too short: {max(seconds, 0):.1f} s of it are left for training, of which scoring takes "
            f"{speed.scoring + speed.val:.1f} s and each step {speed.batch * parts:.2g} s"
        )
    return Schedule(steps * parts, min(per_epoch, steps * parts))


def measure(
    classifier: ImageClassifier,
    runtime: Runtime,
    data: pl.LightningDataModule,
    pictures: Mapping[str, int],
    *,
    frozen: bool,
    arguments: Mapping[str, Any] | None = None,
) -> Speed:
    """Train a copy for a few seconds as the run will, and score some of val; the classifier itself stays as it is.

    `pictures` is the number of each split to be scored, `arguments` what the run's Trainer gets in place of those of
    the runtime. All processes learn what the first has measured.
    """
    watch = Stopwatch()
    trainer = pl.Trainer(
        **(arguments or runtime.lightning),
        max_epochs=PLENTY,
        check_val_every_n_epoch=PLENTY,
        limit_val_batches=VAL_BATCHES,
        callbacks=[watch, FreezeBackbone()] if frozen else [watch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    with torch.random.fork_rng():
        copy = deepcopy(classifier)
        copy.compute_as(runtime)  # A copy is no longer compiled.
        copy.total_steps = PLENTY
        trainer.fit(copy, datamodule=data)
        trainer.validate(copy, datamodule=data, verbose=False)
    each = watch.val_seconds / watch.scored
    # Val is scored by all processes in each epoch, and val and test by the first alone at the end.
    seconds = [watch.batch_seconds, each * pictures["val"] / processes.number(), each * sum(pictures.values())]
    return Speed(*processes.share(seconds))


class Stopwatch(pl.Callback):
    """Times training batches, loading included, and stops the fit after a few seconds."""

    def __init__(self) -> None:
        self.batch_seconds = self.val_seconds = 0.0
        self.scored = 0
        self._first = self._val = 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        # The first batch has waited for the loader to start.
        done, now = trainer.fit_loop.total_batch_idx, _now(module)
        if done == 0:
            self._first = now
        else:
            self.batch_seconds = (now - self._first) / done
        trainer.should_stop = processes.anywhere(done >= FEWEST and now - self._first > LOOK)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._val = _now(module)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        self.scored += len(batch[1])

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.val_seconds = _now(module) - self._val


class Deadline(pl.Callback):
    """Ends training after the planned batches, or earlier where the machine turns out slower than it was.

    The learning rate then comes down in the steps that are left, so that the schedule is complete in either case.

    Args:
        end: when training and its last pass over val must be over, on the clock of `time.monotonic`.
        speed: as measured.
        schedule: the plan.
        parts: batches of an optimiser step.
    """

    def __init__(self, end: float, speed: Speed, schedule: Schedule, parts: int) -> None:
        self.end, self.val, self.schedule, self.parts = end, speed.val, schedule, parts
        self.speed = speed
        self.batches, self.done = schedule.batches, 0
        self._turn: tuple[int, float, float] | None = None
        self._began = self._val_began = 0.0

    @classmethod
    def planned(cls, plan: Mapping[str, float], end: float, parts: int) -> Self:
        """Return the deadline of a run that goes on, whose budget is over at `end`."""
        speed = Speed(plan["batch"], plan["val"], plan["scoring"])
        return cls(end - speed.scoring, speed, Schedule(int(plan["batches"]), int(plan["per_epoch"])), parts)

    @property
    def plan(self) -> dict[str, float]:
        """Speed and schedule as plain values."""
        return {**asdict(self.speed), **asdict(self.schedule)}

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self.batches, "done": self.done, "turn": self._turn}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.batches, self.done, self._turn = state_dict["batches"], state_dict["done"], state_dict["turn"]

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, ImageClassifier)
        module.pace.turn = self._turn or module.pace.turn
        self._began, self._before = _now(module), self.done

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        self.done += 1
        if self.done >= self.batches:
            trainer.should_stop = True
        elif self.done % max(self.schedule.batches // CHECKS, 1) == 0 and self.done % self.parts == 0:
            self._look(trainer, module)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._val_began = _now(module)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # A pass over val is no training: leave it out of the speed, and expect the next to take as long.
        self.val = _now(module) - self._val_began
        self._began += self.val

    def _look(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, ImageClassifier)
        now, left = _now(module), self.batches - self.done
        passes = left // self.schedule.per_epoch + 1
        each = (now - self._began) / (self.done - self._before)
        # As the first process sees it: clocks differ, and all must end together.
        possible = processes.share(int((self.end - now - passes * self.val) / each)) // self.parts * self.parts
        if possible < left / TOO_SLOW:
            self.batches = self.done + max(possible, self.parts)
            module.pace.finish_in((self.batches - self.done) // self.parts, after=trainer.global_step)
            self._turn = module.pace.turn


def _now(module: pl.LightningModule) -> float:
    if module.device.type == "cuda":
        torch.cuda.synchronize(module.device)
    return time.monotonic()
