"""Settings of a run: how long, on what, and kept where."""

import re
from dataclasses import dataclass, field
from typing import Any

from mlops_cls.choices import Device, Monitor, Precision, Resume, Strategy
from mlops_cls.rules import Problems, Section, bounded, unused

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
    strategy: Strategy = Strategy.auto
    """How several processes train. ddp: each holds the whole network. fsdp: each a part of it, for networks that do not
    fit on one GPU. auto: ddp where there are several, by `devices` or torchrun, else alone."""
    devices: int | None = bounded(None, low=1)
    """Processes on this machine, a GPU each; default with ddp and fsdp: its GPUs. With torchrun, --nproc-per-node."""
    sync_batchnorm: bool = False
    """BatchNorm over the pictures of all GPUs; without it, over those of each."""
    ema: float | None = bounded(None, above=0, below=1)
    """Decay of the exponential moving average of the weights (such as 0.999); default: no average."""
    progressive: bool = False
    """Train on small pictures first, from half the side up, and at full size in the last third of the epochs."""
    deterministic: bool = False
    """Refuse operations that are not reproducible on the device."""
    limit_batches: int | None = bounded(None, low=1)
    """Only this many training batches an epoch, for a rehearsal."""
    profile: bool = False
    """Measure and trace a few warmed steps, into `profile/` of the run folder: what takes how long, and what to change;
    the weights stay the same."""
    save_every: str = "10min"
    """The last checkpoint is kept at the end of each epoch, on SIGTERM and Ctrl-C, and this often in between."""
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    """Further Lightning callbacks, each with `_target_` and its arguments."""

    @property
    def budget_seconds(self) -> float | None:
        """`budget` in seconds."""
        return None if self.budget is None else seconds_in(self.budget)

    @property
    def save_seconds(self) -> float:
        """`save_every` in seconds."""
        return seconds_in(self.save_every) or 0.0

    def problems(self) -> Problems:
        for key, value in {"budget": self.budget, "save_every": self.save_every}.items():
            if value is not None and not (seconds_in(value) or 0) > 0:
                yield f"trainer.{key}={value} is no time: give a number and s, min or h, such as 90s, 10min or 1.5h"
        if self.sync_batchnorm and self.strategy is Strategy.auto and self.devices in (None, 1):
            yield "trainer.sync_batchnorm=true would not be used by one process: set trainer.devices or trainer=ddp"
        if self.strategy is Strategy.fsdp and self.ema is not None:
            yield f"trainer.ema={self.ema} needs the whole network, of which trainer=fsdp keeps parts: use trainer=ddp"
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
    """Pictures on a device at once; gradients are added up to data.batch_size. auto: the most that fit; default:
    data.batch_size over the number of processes. A run of one process that needs too much memory goes on with half."""

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
    resume: Resume = Resume.auto
    """auto: continue the newest unfinished run of the same name, settings and data, else begin one. never: begin one.
    must: continue a run of that name or fail; a finished one too, if it is to have more epochs."""
    report: bool = True
    """Draw report.html when the run ends: a page with scores, mistakes and where the network looked."""
    accept_changes: bool | None = None
    """With resume=must: continue although settings or data have changed since."""

    def problems(self) -> Problems:
        if self.resume is not Resume.must:
            yield from unused(self, "run", "accept_changes", f"it belongs to resume=must, not {self.resume}")
        if not self.name or set(self.name) & set('/\\:*?"<>|') or self.name.startswith("."):
            yield f"run.name={self.name!r} is impossible: it ends a folder's name, use letters, digits, - and _"
