"""Hands the trials of a sweep to worker processes, and keeps what becomes of them."""

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from platform import node
from types import FrameType

import optuna

from mlops_cls.overrides import written
from mlops_cls.search.crew import Crew, Message, Worker, visible_gpus
from mlops_cls.search.report import describe
from mlops_cls.search.storage import HEARTBEAT
from mlops_cls.search.study import Sweep

log = logging.getLogger(__name__)
RUNS, LOGS = "runs", "logs"
TICK = 1.0  # seconds
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Task:
    """A trial that a worker is at."""

    trial: optuna.Trial
    number: int
    folder: str = ""


@dataclass(slots=True)
class Engine:
    """Runs what is left of a sweep; `run` returns whether all of it is done."""

    sweep: Sweep
    folder: Path
    jobs: int
    crew: Crew = field(init=False)
    _tasks: dict[Worker, Task] = field(default_factory=dict)
    _idle: list[Worker] = field(default_factory=list)
    _signals: int = 0
    _next_beat: float = 0.0
    _waiting_said: bool = False

    def __post_init__(self) -> None:
        self.crew = Crew(self.folder, self.jobs, visible_gpus())

    def run(self) -> bool:
        """Work until nothing is left or a signal comes."""
        for name in (RUNS, LOGS):
            (self.folder / name).mkdir(exist_ok=True)
        with self._signals_heard():
            try:
                self.sweep.reclaim()
                while self._goes_on():
                    self._step()
                self._end()
            except BaseException:
                self._kill()
                raise
        return not self._signals

    def _goes_on(self) -> bool:
        if self._signals:
            return False
        left = self.sweep.left
        for _ in range(min(self.jobs, left + len(self._tasks)) - len(self.crew.workers)):
            self.crew.hire()
        return bool(left or self._tasks or self._others_run())

    def _others_run(self) -> bool:
        others = self.sweep.others_run
        if others and not self._waiting_said and not self._tasks:
            self._waiting_said = True
            log.info("waiting for trials that others run; Ctrl-C leaves them to it")
        return others

    def _step(self) -> None:
        heard = self.crew.hear(TICK)
        if heard is not None:
            self._take(*heard)
        if time.monotonic() > self._next_beat or (heard is None and len(self._tasks) < self.jobs):
            self._beat()
        for worker in list(self._idle):
            self._give(worker)

    def _beat(self) -> None:
        """Say that we live, and look who does not."""
        self._next_beat = time.monotonic() + HEARTBEAT
        for task in self._tasks.values():
            self.sweep.beat(task.trial)
        self.sweep.reclaim()

    def _give(self, worker: Worker) -> None:
        trial = self.sweep.ask(worker.name)
        if trial is None:
            return
        self._idle.remove(worker)
        number = self.sweep.slot(trial) + 1
        self._tasks[worker] = Task(trial, number)
        definition, name = self.sweep.definition, f"trial-{number:03d}"
        place = [f"run.folder={written(str(self.folder / RUNS))}", f"run.name={name}"]
        worker.send(
            overrides=[*definition.overrides(self.sweep.values(trial)), *place],
            config_dir=definition.command.config_dir,
            metric=definition.metric.name,
            log=str(self.folder / LOGS / f"{name}.log"),
        )

    def _take(self, worker: Worker, message: Message | None) -> None:
        if message is None:
            self._lost(worker)
        elif "ready" in message:
            self._idle.append(worker)
        elif "folder" in message and "ended" not in message:
            self._tasks[worker].folder = message["folder"]
        elif "epoch" in message:
            task = self._tasks[worker]
            stop = self.sweep.report(task.trial, message["epoch"], message["value"])
            worker.send(go_on=not stop)
        else:
            self._ended(worker, message)

    def _ended(self, worker: Worker, message: Message) -> None:
        self._keep(self._tasks.pop(worker), message)
        if "leaves" not in message:
            self._idle.append(worker)

    def _keep(self, task: Task, message: Message) -> None:
        kept = {key: message[key] for key in ("scores", "seconds") if key in message}
        kept |= {"folder": message.get("folder", task.folder), "host": node()}
        ended = message["ended"]
        if ended == "done":
            self.sweep.complete(task.trial, message["scores"][self.sweep.definition.metric.name], **kept)
        elif ended == "interrupted" or (self._signals and ended == "failed"):
            self.sweep.release(task.trial)
            return
        elif ended == "pruned":
            self.sweep.prune(task.trial, **kept)
        else:
            self.sweep.fail(task.trial, message["error"], **kept)
        log.info("%s", describe(self.sweep.rows()[task.number - 1], self.sweep.definition.metric))

    def _lost(self, worker: Worker) -> None:
        task = self._tasks.pop(worker, None)
        if worker in self._idle:
            self._idle.remove(worker)
        code, said = worker.process.returncode, self.crew.bury(worker)
        if task is not None:
            self._keep(task, {"ended": "failed", "error": _death(code)})
        elif code and not self._signals:
            raise RuntimeError(f"a worker cannot start (exit code {code}):\n{said}")

    def _end(self) -> None:
        """Let the workers end: told to by the first signal, killed by the second."""
        for worker in self.crew.workers:
            if worker in self._tasks:
                worker.process.terminate()
            else:
                worker.dismiss()
        if self._tasks:
            log.info("stopping; once more to stop at once")
        while self.crew.workers:
            if self._signals > 1:
                self._kill()
            # Those whose trial came to its end meanwhile.
            for worker in self._idle:
                worker.dismiss()
            heard = self.crew.hear(TICK)
            if heard is not None:
                self._take(*heard)

    def _kill(self) -> None:
        for worker in self.crew.workers:
            worker.process.kill()

    @contextmanager
    def _signals_heard(self) -> Iterator[None]:
        def count(number: int, frame: FrameType | None) -> None:
            self._signals += 1

        before = {number: signal.signal(number, count) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _death(code: int) -> str:
    if code >= 0:
        return f"the process ended with exit code {code}"
    hint = "; the system kills a process when memory runs out" if -code == signal.SIGKILL else ""
    return f"the process was ended by {signal.Signals(-code).name}{hint}"
