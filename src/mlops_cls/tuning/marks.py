"""The parts of a training step, as Lightning announces them to the profiler of its Trainer."""

import time
from abc import abstractmethod
from contextlib import AbstractContextManager

import torch
from pytorch_lightning.profilers import Profiler
from torch.profiler import record_function

REST = "rest"
METRICS = "metrics"
PARTS = {
    "train_dataloader_next": "data wait",
    "batch_to_device": "to device",
    "on_after_batch_transfer": "augment on device",
    "training_step": "forward",
    "backward": "backward",
    "optimizer_step": "optimiser",
    "optimizer_zero_grad": "optimiser",
}
"""From the last word of what Lightning calls an action; it names many more, which stay with the part around them."""
NAMES = (*dict.fromkeys(PARTS.values()), METRICS, REST)


class Marks(Profiler):
    """A Lightning profiler that hears when the parts of a step begin and end."""

    def start(self, action_name: str) -> None:
        part = PARTS.get(action_name.rpartition(".")[2])
        if part is not None:
            self.enter(part)

    def stop(self, action_name: str) -> None:
        if action_name.rpartition(".")[2] in PARTS:
            self.leave()

    @abstractmethod
    def enter(self, part: str) -> None:
        """A part begins, within another or not."""

    @abstractmethod
    def leave(self) -> None:
        """The innermost part ends."""

    def turn_to(self, part: str) -> None:
        """The innermost part ends, and another begins in its place."""
        self.leave()
        self.enter(part)


class Laps(Marks):
    """Gives every moment to the innermost part, so that the parts add up to the whole.

    On CUDA, events in the stream are the clock. Nothing waits for the device, and a part has the time by which it
    held the device up: reading pictures while earlier work is still computed costs nothing.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device, self._within = device, [REST]
        self._laps: list[tuple[str, float | torch.cuda.Event]] = [(REST, self._now())]

    def enter(self, part: str) -> None:
        self.lap()
        self._within.append(part)

    def leave(self) -> None:
        self.lap()
        self._within.pop()

    def lap(self) -> None:
        """Give the time since the last lap to the innermost part."""
        self._laps.append((self._within[-1], self._now()))

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each part up to the last lap."""
        spent = dict.fromkeys(NAMES, 0.0)
        for (_, before), (part, now) in zip(self._laps, self._laps[1:], strict=False):
            spent[part] += _between(before, now)
        return spent

    def _now(self) -> float | torch.cuda.Event:
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            return event
        if self._device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()


class Annotations(Marks):
    """Names the parts in a trace of `torch.profiler`."""

    def __init__(self) -> None:
        super().__init__()
        self._open: list[AbstractContextManager[object]] = []

    def enter(self, part: str) -> None:
        self._open.append(record_function(part))
        self._open[-1].__enter__()

    def leave(self) -> None:
        self._open.pop().__exit__(None, None, None)


def _between(before: float | torch.cuda.Event, now: float | torch.cuda.Event) -> float:
    if isinstance(before, float) or isinstance(now, float):
        assert isinstance(before, float) and isinstance(now, float)
        return now - before
    now.synchronize()
    return float(before.elapsed_time(now)) / 1000
