"""A run in several processes on this machine: started, watched, and ended together, by the one that was asked for it.

Not by torch's elastic launcher: after a signal that one forgets with which codes its processes ended, and a run that
wants to be resumed says so by its exit code. Where torchrun has started the processes, nothing is launched here.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlops_cls.choices import Device, Strategy
from mlops_cls.config import Config
from mlops_cls.errors import ArtifactError, ConfigError, DataError, Interrupted, MlopsError
from mlops_cls.run import Run

TASK, RUN, FAILURE, MEETING = "task.json", "run", "failure-{}.json", "meeting"
ERRORS = {kind.__name__: kind for kind in (ConfigError, DataError, ArtifactError, Interrupted)}
PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
GRACE = 10.0
"""Seconds that the other processes have to end after one has failed, and once more after they were told to."""


@dataclass(frozen=True, slots=True)
class Machines:
    """How many machines run this same command, and which of them this is."""

    number: int = 1
    this: int = 0

    @classmethod
    def of_environment(cls) -> "Machines":
        """Return what NNODES and NODE_RANK say; the processes then meet at MASTER_ADDR and MASTER_PORT.

        Raises:
            ConfigError: some of the four are missing or wrong.
        """
        if int(os.environ.get("NNODES", "1")) == 1:
            return cls()
        missing = [name for name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
        if missing:
            raise ConfigError(
                f"NNODES={os.environ['NNODES']} is set without {', '.join(missing)}: see docs/distributed.md"
            )
        machines = cls(int(os.environ["NNODES"]), int(os.environ["NODE_RANK"]))
        if not 0 <= machines.this < machines.number:
            raise ConfigError(
                f"NODE_RANK={machines.this} is impossible: it must be from 0 to below NNODES={machines.number}"
            )
        return machines


def processes_to_start(config: Config) -> int | None:
    """Return the number of processes that this one has to start for the run, or None if it is to train by itself.

    Raises:
        ConfigError: their number must be given, or the environment is that of several processes in part.
    """
    trainer, machines = config.trainer, Machines.of_environment()
    if "LOCAL_RANK" in os.environ or (machines.number, trainer.strategy, trainer.devices) == (1, Strategy.auto, None):
        return None
    if machines.number == 1 and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "WORLD_SIZE is set and LOCAL_RANK is not, so which process this is cannot be told: start those of each "
            "machine with torchrun --nnodes=… --nproc-per-node=… -m mlops_cls.train …, see docs/distributed.md"
        )
    devices = trainer.devices or _gpus(config)
    return devices if devices * machines.number > 1 or trainer.strategy is Strategy.fsdp else None


def launch(config: Config, number: int) -> Run:
    """Fit in `number` processes on this machine, and return the finished run.

    Signals are passed on. Should this process die, the others are told to end.

    Raises:
        MlopsError: what a process has raised, of the first that failed.
        SystemExit: with the code of a process that ended otherwise.
    """
    with TemporaryDirectory(prefix="mlops_cls_") as folder:
        place = Path(folder)
        (place / TASK).write_text(json.dumps({"config": asdict(config), "command": sys.argv}))
        processes = [_start(place, rank, number) for rank in range(number)]
        try:
            with _signals_passed_on(processes):
                codes = _watch(processes)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        _raise_failure(place, codes)
        if not (place / RUN).is_file():
            # Lightning ends a fit on SIGTERM as if it were done.
            raise MlopsError("the run was stopped before its end")
        return Run.from_plain(json.loads((place / RUN).read_text()))


def _gpus(config: Config) -> int:
    """Return the number of GPUs here."""
    import torch

    if config.runtime.device is Device.cpu or not torch.cuda.is_available():
        raise ConfigError(
            f"trainer.strategy={config.trainer.strategy} takes every GPU of this machine, and the run is on its CPU: "
            "say how many processes, such as trainer.devices=2"
        )
    return torch.cuda.device_count()


def _start(place: Path, rank: int, number: int) -> "subprocess.Popen[bytes]":
    machines = Machines.of_environment()
    # Each its share of the cores; and no advice on speed from torch, such as on the network that is no longer frozen.
    environment = {"OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // number, 1)), "TORCH_CPP_LOG_LEVEL": "ERROR"}
    environment |= os.environ
    environment |= {"RANK": str(machines.this * number + rank), "LOCAL_RANK": str(rank)}
    environment |= {"WORLD_SIZE": str(machines.number * number), "LOCAL_WORLD_SIZE": str(number)}
    # Else the tracked run would go through the process of a run of ours, in its folder.
    environment.pop("WANDB_SERVICE", None)
    if machines.number == 1:
        environment = _within_machine(place) | environment
    line = [sys.executable, "-m", "mlops_cls.worker", str(place)]
    # In a session of its own, or a terminal's Ctrl-C would reach it twice: from there, and passed on from here.
    # The pipe is never written to: its end tells that this process is gone.
    return subprocess.Popen(line, env=environment, stdin=subprocess.PIPE, start_new_session=True)


def _within_machine(place: Path) -> dict[str, str]:
    """Return what processes on one machine need to find each other, without a network."""
    # A file, since a port that is free now may be taken a moment later.
    meeting = {"MLOPS_CLS_MEETING_PLACE": (place / MEETING).as_uri()}
    loopback = {"linux": "lo", "darwin": "lo0"}.get(sys.platform)
    return meeting | ({"GLOO_SOCKET_IFNAME": loopback} if loopback else {})


@contextmanager
def _signals_passed_on(processes: Sequence["subprocess.Popen[bytes]"]) -> Iterator[None]:
    def pass_on(number: int, _: object) -> None:
        for process in processes:
            if os.name != "nt":  # whose console tells every process of a Ctrl-C itself
                process.send_signal(number)

    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets only the main thread handle signals.
        return
    known = [name for name in PASSED_ON if hasattr(signal, name)]
    names = [name for name in known if signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN]  # as below nohup
    before = {name: signal.signal(getattr(signal, name), pass_on) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _watch(processes: Sequence["subprocess.Popen[bytes]"]) -> list[int]:
    """Return the exit codes when all have ended; once one has failed, the others must, as they would wait for it."""
    while any(process.poll() is None for process in processes):
        if any(process.poll() not in (None, 0, Interrupted.exit_code) for process in processes):
            return _end(processes)
        time.sleep(0.05)
    return [process.returncode for process in processes]


def _end(processes: Sequence["subprocess.Popen[bytes]"]) -> list[int]:
    """Return the exit codes as they are when the processes have had time to end; then end them."""
    _wait(processes, GRACE)
    codes = [process.returncode or 0 for process in processes]
    for process in processes:
        process.terminate()
    _wait(processes, GRACE)
    return codes


def _wait(processes: Sequence["subprocess.Popen[bytes]"], seconds: float) -> None:
    end = time.monotonic() + seconds
    while any(process.poll() is None for process in processes) and time.monotonic() < end:
        time.sleep(0.05)


def _raise_failure(place: Path, codes: Sequence[int]) -> None:
    """Raise what went wrong first; the failures of the others follow from it."""
    if not any(codes):
        return
    for rank, code in enumerate(codes):
        if code < 0 and -code not in (signal.SIGINT, signal.SIGTERM):
            name = signal.Signals(-code).name
            raise MlopsError(f"process {rank} of {len(codes)} was killed ({name}), as happens where memory runs out")
    failures = [json.loads(path.read_text()) for path in place.glob(FAILURE.format("*"))]
    if failures:
        _raise(min(failures, key=lambda failure: failure["time"]))
    if 130 in codes:
        raise KeyboardInterrupt
    raise SystemExit(next(128 - code if code < 0 else code for code in codes if code))


def _raise(failure: dict[str, Any]) -> None:
    if failure["kind"] is not None:
        raise ERRORS.get(failure["kind"], MlopsError)(failure["text"])
    print(failure["text"], file=sys.stderr, end="")
    raise SystemExit(1)
