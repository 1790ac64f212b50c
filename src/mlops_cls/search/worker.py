"""The process that trains trials, one after another: ``python -m mlops_cls.search.worker FOLDER NAME``.

It reads a task a line from its input and answers in lines of JSON on its output. Its input is also its life line: when
that ends, whoever started it is gone, and it stops as if told to.
"""

import gc
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from mlops_cls.errors import MlopsError
from mlops_cls.importing import without_collection
from mlops_cls.search.storage import hold

# A run that is told to stop writes a checkpoint at its next step; then patience is over.
LAST_WORDS = 30  # seconds


class Link:
    """The lines to and from the driver."""

    def __init__(self, tasks: IO[str], answers: IO[str]) -> None:
        self._answers = answers
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._lock, self._ready, self._busy, self._over = threading.Lock(), False, False, False
        threading.Thread(target=self._listen, args=(tasks,), daemon=True).start()

    def _listen(self, tasks: IO[str]) -> None:
        for line in tasks:
            self._lines.put(line)
        with self._lock:
            self._over = True
        self._lines.put("")
        if not self._ready:
            # Still importing, for nobody.
            os._exit(0)
        if self._busy:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(LAST_WORDS)
            os._exit(1)

    def say(self, **message: Any) -> None:
        """Send a line; where nobody listens any more, `_listen` ends this process."""
        with suppress(BrokenPipeError):
            self._answers.write(json.dumps(message) + "\n")
            self._answers.flush()

    def next(self) -> dict[str, Any] | None:
        """Return the next line of the driver, or None when there will be none."""
        line = self._lines.get()
        return json.loads(line) if line else None

    def ready(self) -> None:
        """Say that trials may come."""
        self._ready = True
        self.say(ready=True)

    def task(self) -> dict[str, Any] | None:
        """Wait for a trial; None where there will be no more."""
        task = self.next()
        with self._lock:
            self._busy = task is not None and not self._over
        return task if self._busy else None

    def end(self, **message: Any) -> None:
        """Say how the trial ended; from here on the end of the input interrupts nothing."""
        self._busy = False
        self.say(**message)

    def place(self, folder: str) -> None:
        """Tell where the run is kept."""
        self.say(folder=folder)

    def goes_on(self, epoch: int, value: float) -> bool:
        """Tell the value after so many epochs, and return whether the trial should go on."""
        self.say(epoch=epoch, value=value)
        answer = self.next()
        return answer is None or answer["go_on"]


def main(folder: Path, name: str) -> None:
    """Train what the driver asks for, until it asks for no more."""
    if hasattr(os, "setpgrp"):
        # The terminal's Ctrl-C is for the driver, which tells its workers itself.
        os.setpgrp()
    link = Link(sys.stdin, os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    with hold(folder, name):
        # Imported before it is said to be ready, so that no trial waits for torch.
        with without_collection():
            import mlops_cls.training  # noqa: F401

        link.ready()
        while (task := link.task()) is not None:
            _write_to(Path(task["log"]))
            if not _try(link, task):
                return


def _write_to(path: Path) -> None:
    with path.open("a", encoding="utf-8") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)


def _try(link: Link, task: Mapping[str, Any]) -> bool:
    """Run a trial and say how it ended; return whether this process is fit for another one."""
    began = time.monotonic()
    try:
        ended = _run(link, task)
    except MlopsError as error:
        ended = {"ended": "failed", "error": str(error)}
    except Exception as error:
        traceback.print_exc()
        # The device may be left in any state.
        ended = {"ended": "failed", "error": f"{type(error).__name__}: {error}", "leaves": True}
    except BaseException:
        link.end(ended="interrupted", leaves=True)
        raise
    link.end(**ended, seconds=round(time.monotonic() - began, 2))
    _free()
    return "leaves" not in ended


def _run(link: Link, task: Mapping[str, Any]) -> dict[str, Any]:
    from mlops_cls.compose import load_config
    from mlops_cls.search.reporter import Pruned, Reporter
    from mlops_cls.training import fit

    config = load_config(*task["overrides"], config_dir=task["config_dir"])
    try:
        run = fit(config, callbacks=[Reporter(task["metric"], link.place, link.goes_on)])
    except Pruned:
        return {"ended": "pruned"}
    # Scores on test are not for choosing; they stay in the run's folder.
    scores = {name: value for name, value in run.metrics.items() if not name.startswith("test/")}
    return {"ended": "done", "scores": scores, "folder": str(run.folder)}


def _free() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
