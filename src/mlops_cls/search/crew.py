"""The worker processes of a sweep, seen from the driver: what they say comes in through one queue."""

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from mlops_cls.search.storage import WORKERS

Message = Mapping[str, Any]
VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(slots=True, eq=False)
class Worker:
    """A process that trains trials; `name` is that of its lock, `gpu` the one it sees if there are several."""

    name: str
    process: subprocess.Popen[str]
    gpu: str | None

    def send(self, **message: Any) -> None:
        """Send a line; that the process is gone will be heard from its output."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def dismiss(self) -> None:
        """Let it end, now that it has nothing to do."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()


@dataclass(slots=True)
class Crew:
    """Starts workers and listens to them all; `gpus` are shared out among them."""

    folder: Path
    jobs: int
    gpus: Sequence[str] = ()
    workers: list[Worker] = field(default_factory=list)
    _heard: SimpleQueue[tuple[Worker, Message | None]] = field(default_factory=SimpleQueue)

    def hire(self) -> None:
        """Start one more worker."""
        name, gpu = uuid.uuid4().hex[:12], self._least_used()
        log = self.folder / WORKERS / f"{name}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("w", encoding="utf-8") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "mlops_cls.search.worker", str(self.folder), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._environment(gpu),
                text=True,
                encoding="utf-8",
            )
        worker = Worker(name, process, gpu)
        self.workers.append(worker)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()

    def _environment(self, gpu: str | None) -> dict[str, str]:
        threads = {"OMP_NUM_THREADS": str(threads_each(self.jobs))}
        seen = {VISIBLE: gpu} if gpu is not None else {}
        # WANDB_SERVICE would let runs of workers go through the process of a run of ours, in its folder.
        ours = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
        return {**threads, **ours, **seen, "PYTHONUNBUFFERED": "1"}

    def _least_used(self) -> str | None:
        used = [worker.gpu for worker in self.workers]
        return min(self.gpus, key=used.count) if len(self.gpus) > 1 else None

    def _listen(self, worker: Worker) -> None:
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            self._heard.put((worker, json.loads(line)))
        worker.process.wait()
        self._heard.put((worker, None))

    def hear(self, seconds: float) -> tuple[Worker, Message | None] | None:
        """Return who said what, None for a worker that has ended; or None if all were silent for so long."""
        try:
            return self._heard.get(timeout=seconds)
        except Empty:
            return None

    def bury(self, worker: Worker) -> str:
        """Forget a worker that has ended, and return what it wrote outside of trials."""
        self.workers.remove(worker)
        worker.dismiss()
        assert worker.process.stdout is not None
        worker.process.stdout.close()
        log = self.folder / WORKERS / f"{worker.name}.log"
        said = log.read_text(encoding="utf-8")
        log.unlink()
        log.with_suffix(".lock").unlink(missing_ok=True)
        return said


def threads_each(jobs: int) -> int:
    """Return the number of threads that leaves each of so many processes its share of the cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // jobs)


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    import torch

    if os.environ.get(VISIBLE):
        return os.environ[VISIBLE].split(",")[: torch.cuda.device_count()]
    return [str(number) for number in range(torch.cuda.device_count())]
