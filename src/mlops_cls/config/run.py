"""Settings of a run: how long, on what, and kept where."""

import re
from dataclasses import dataclass, field
from typing import Any

from mlops_cls.choices import Device, Monitor, Precision
from mlops_cls.rules import Problems, Section, bounded

AUTO = "auto"
SECONDS = {"s": 1, "min": 60, "h": 3600}


@dataclass(kw_only=True, slots=True)
class TrainerConfig(Section):
    """How long, and what is kept."""

    max_epochs: int = bounded(10, low=1)
    """Passes over the training pictures; with `budget`, as many as fit."""
    budget: str | None = None
    """Time that the whole run may take, such as 90s, 10min or 1.5h: epochs and schedule are fitted into it."""
    patience: int | None = bounded(None, low=1)
    """Stop after this many epochs without a better val score; default: never."""
    monitor: Monitor = Monitor.loss
    """The val score that picks the best checkpoint."""
    accumulate: int = bounded(1, low=1)
    """Batches per optimiser step."""
    clip_norm: float | None = bounded(None, above=0)
    """Largest norm of the gradient; default: not clipped."""
    ema: float | None = bounded(None, above=0, below=1)
    """Decay of the exponential moving average of the weights (such as 0.999); default: no average."""
    progressive: bool = False
    """Train on small pictures first, from half the side up, and at full size in the last third of the epochs."""
    deterministic: bool = False
    """Refuse operations that are not reproducible on the device."""
    limit_batches: int | None = bounded(None, low=1)
    """Only this many training batches an epoch, for a rehearsal."""
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    """Further Lightning callbacks, each with `_target_` and its arguments."""

    @property
    def budget_seconds(self) -> float | None:
        """`budget` in seconds."""
        return None if self.budget is None else seconds_in(self.budget)

    def problems(self) -> Problems:
        if self.budget is not None and not (seconds_in(self.budget) or 0) > 0:
            yield f"trainer.budget={self.budget} is no time: give a number and s, min or h, such as 90s, 10min or 1.5h"
        if self.progressive and self.max_epochs == 1 and self.budget is None:
            yield "trainer.progressive=true would not be used: the last epoch is at full size, and there is only one"
        if self.progressive and self.patience is not None:
            yield (
                f"trainer.patience={self.patience} and trainer.progressive=true exclude each other: val, at full size, "
                "may get worse while training on small pictures goes on; say trainer.patience=null"
            )


def seconds_in(text: str) -> float | None:
    """Return the seconds that a text such as 90s, 10min or 1.5h means, or None if it means none."""
    found = re.fullmatch(rf"(\d+\.?\d*)\s*({'|'.join(SECONDS)})", text.strip())
    return float(found[1]) * SECONDS[found[2]] if found else None


@dataclass(kw_only=True, slots=True)
class RuntimeConfig(Section):
    """On what the run computes."""

    device: Device = Device.auto
    """auto: CUDA, else Apple's MPS, else CPU."""
    precision: Precision = Precision.auto
    """auto: measured with the next two where the run takes longer than a minute; in shorter ones bf16 on CUDA, and on
    CPUs that compute it for networks without grouped convolutions, else fp32. Evaluation and prediction are always
    fp32."""
    channels_last: bool | None = None
    """Memory format of training; default: measured, in short runs true."""
    compile: bool | None = None
    """torch.compile for training; default: measured where the run is so long that it can pay, else false."""
    batch_size: int | str | None = None
    """Pictures on the device at once; gradients are added up to data.batch_size. auto: the most that fit; default:
    data.batch_size. Whatever it is, a run that needs too much memory goes on with half of it."""

    def problems(self) -> Problems:
        if self.device is Device.cpu and self.precision is Precision.fp16:
            yield "runtime.precision=fp16 needs a GPU: with runtime.device=cpu use bf16 or fp32"
        if isinstance(self.batch_size, str) and self.batch_size != AUTO:
            yield f"runtime.batch_size={self.batch_size} is impossible: it must be {AUTO} or a whole number"
        elif isinstance(self.batch_size, int) and self.batch_size < 1:
            yield f"runtime.batch_size={self.batch_size} is impossible: it must be at least 1"


@dataclass(kw_only=True, slots=True)
class RunConfig(Section):
    """Where the run is kept."""

    folder: str = "runs"
    """Where run folders are made; `latest` there points to the newest."""
    name: str = "run"
    """Ends the run folder's name."""

    def problems(self) -> Problems:
        if not self.name or set(self.name) & set('/\\:*?"<>|') or self.name.startswith("."):
            yield f"run.name={self.name!r} is impossible: it ends a folder's name, use letters, digits, - and _"
