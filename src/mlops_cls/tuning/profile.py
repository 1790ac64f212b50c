"""Where the time of a training step goes: a few warmed steps are measured part by part, and a few more traced."""

import csv
import logging
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.profiler import ProfilerActivity, profile, schedule

from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.tuning.marks import METRICS, Annotations, Laps, Marks

STEPS, OPERATORS, TRACE = "steps.csv", "operators.txt", "trace.json.gz"
WARM, TIMED, TRACED = 10, 10, 3
"""Steps of the optimiser: taken before, measured, and traced."""
SETTLING = 1
"""Steps after the tracer starts that are not kept: its own start is part of them."""
WORTH_SAYING = 0.15
"""Share of a step from which on a part is worth a hint."""
HINTS = {
    "data wait": "let more processes read (such as data.workers=2), or keep pictures in memory or on the GPU "
    "(data.home=memory, data.home=device)",
    "to device": "keep pictures on the GPU (data.home=device)",
    "augment on device": "take fewer or cheaper transforms, or leave them to processes (augment.where=worker)",
    "metrics": "steps are very short: take more pictures in each (data.batch_size)",
    "optimiser": "take more pictures in each step (data.batch_size), or a cheaper optimiser (optim.name)",
    "rest": "callbacks and logging take it: trainer.callbacks, trainer.ema; or take more pictures in each step "
    "(data.batch_size)",
}
COMPUTING = "the network itself: runtime=auto measures what is fastest; a smaller model or data.size takes less"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Window:
    """Which steps of the optimiser are looked at: after `warm` steps, `timed` and then `traced` of one epoch."""

    warm: int
    timed: int
    traced: int

    @property
    def length(self) -> int:
        """Steps that must be left in the epoch."""
        return self.timed + SETTLING + self.traced

    @classmethod
    def within(cls, steps: int, epochs: int) -> "Window | None":
        """Return the window in a run of `epochs` (-1: no end) of so many steps, or None if it is too short."""
        warm = WARM if epochs < 0 else min(WARM, steps * epochs // 3)
        # Of several epochs a later one is warm from its second step on; the first waits for the loader to start.
        room = steps - 1 if epochs != 1 else steps - warm
        traced = TRACED if room > 2 * TRACED else 1
        timed = min(TIMED, room - SETTLING - traced)
        return cls(warm, timed, traced) if timed > 0 else None


class StepProfile(pl.Callback):
    """Writes into `folder` how long the parts of a step take, the most expensive operators, and a trace.

    Before and after the few steps that are looked at nothing is attached to the Trainer, and at no time are the
    weights or random numbers touched.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._window: Window | None = None
        self._looking: Generator[None] | None = None
        self._done, self._written = 0, False

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # Asked anew each time: of a run that goes on, the first epoch may be the rest of one.
        assert trainer.max_epochs is not None
        epochs = max(trainer.max_epochs - trainer.current_epoch, -1)
        steps = int(trainer.num_training_batches) // trainer.accumulate_grad_batches
        self._window = Window.within(steps, epochs)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches or self._window is None:
            return
        self._done += 1
        left = (int(trainer.num_training_batches) - batch_idx - 1) // trainer.accumulate_grad_batches
        if self._looking is None and self._done >= self._window.warm and left >= self._window.length:
            assert isinstance(module, ImageClassifier)
            self._looking = self._look(trainer, module, self._window)
        if self._looking is not None:
            next(self._looking, None)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._detach()
        if not self._written:
            log.warning(
                "trainer.profile=true: the run ended too soon, nothing was profiled; it takes an epoch of 4 steps"
            )

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self._detach()

    def _detach(self) -> None:
        if self._looking is not None:
            self._looking.close()

    def _look(self, trainer: pl.Trainer, module: ImageClassifier, window: Window) -> Generator[None]:
        """Look at the steps of the window; each step ends at a `yield`."""
        epoch, laps = trainer.current_epoch + 1, Laps(module.device)
        with _attached(laps, trainer, module):
            for _ in range(window.timed):
                yield
            laps.lap()
        with _tracing(module.device, window.traced) as tracer, _attached(Annotations(), trainer, module):
            for _ in range(SETTLING + window.traced):
                yield
                tracer.step()
        self._written = True
        if trainer.is_global_zero:
            step = {part: seconds / window.timed for part, seconds in laps.seconds().items()}
            self._write(step, tracer, module.device)
            say(step, f"{_counted(window.timed)} of epoch {epoch}", self.folder)

    def _write(self, step: Mapping[str, float], tracer: profile, device: torch.device) -> None:
        self.folder.mkdir(exist_ok=True)
        write_steps(self.folder / STEPS, step)
        order = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
        table = tracer.key_averages().table(sort_by=order, row_limit=40, max_name_column_width=60)
        (self.folder / OPERATORS).write_text(table, encoding="utf-8")
        tracer.export_chrome_trace(str(self.folder / TRACE))


@contextmanager
def _attached(marks: Marks, trainer: pl.Trainer, module: ImageClassifier) -> Iterator[None]:
    """Let Lightning tell `marks` what it does, within this context only."""
    owner: Any = trainer  # Lightning sets the attribute from outside of its class
    before, owner.profiler = owner.profiler, marks
    # What follows the loss in a training step is the update of the scores.
    hook = module.loss.register_forward_hook(lambda *_: marks.turn_to(METRICS))
    try:
        yield
    finally:
        owner.profiler = before
        hook.remove()


def _tracing(device: torch.device, steps: int) -> profile:
    # Where CUDA is installed and no GPU is there, the tracer would complain on standard error.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    gpu = [ProfilerActivity.CUDA] if device.type == "cuda" else []
    once = schedule(wait=0, warmup=SETTLING, active=steps, repeat=1)
    return profile(activities=[ProfilerActivity.CPU, *gpu], schedule=once, acc_events=True)


def write_steps(path: Path, step: Mapping[str, float]) -> None:
    """Write the mean milliseconds of each part of a step and its share, and of the whole."""
    whole = sum(step.values())
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["part", "milliseconds", "share"])
        for part, seconds in [*step.items(), ("step", whole)]:
            writer.writerow([part, f"{1000 * seconds:.4f}", f"{seconds / whole:.4f}"])


def say(step: Mapping[str, float], which: str, folder: Path) -> None:
    """Log the parts that take any time, and what to change."""
    whole = sum(step.values())
    log.info("profile of %s, %.2f ms each:", which, 1000 * whole)
    for part, seconds in step.items():
        if seconds > 0:
            log.info("  %-18s %9.2f ms  %5.1f %%", part, 1000 * seconds, 100 * seconds / whole)
    log.info("  %s", advice(step))
    log.info("  %s: %s, %s, and %s for https://ui.perfetto.dev", folder, STEPS, OPERATORS, TRACE)


def _counted(steps: int) -> str:
    return f"{steps} step{'s'[: steps > 1]}"


def advice(step: Mapping[str, float]) -> str:
    """Return what to change for shorter steps, given the seconds of each part of one."""
    whole, costly = sum(step.values()), max(HINTS, key=lambda part: step[part])
    share = step[costly] / whole
    if share < WORTH_SAYING:
        return f"most of it is {COMPUTING}"
    return f"{costly} takes {share:.0%}: {HINTS[costly]}"
