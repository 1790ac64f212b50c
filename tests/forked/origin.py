"""The process that all forks come from. It has imported what takes seconds, and has no thread but its first."""

import atexit
import gc
import json
import os
import random
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import threading
import traceback
import weakref
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

# What a run imports sooner or later; none of them is a verb, which is to be run as `__main__`.
HEAVY = (
    "mlops_cls.training", "mlops_cls.attempt", "mlops_cls.conclude", "mlops_cls.compose", "mlops_cls.scoring",
    "mlops_cls.exporting.write", "mlops_cls.report.page", "mlops_cls.service.app", "mlops_cls.measuring",
    "hydra.main", "onnxscript", "matplotlib.pyplot", "uvicorn",
    "torch._dynamo", "torch.distributed", "albumentations.pytorch", "sklearn.datasets", "gcsfs", "pandas",
)  # fmt: skip


class Origin:
    """Listens until the last test process is gone."""

    def __init__(self, path: Path) -> None:
        self.path, self.lifelines = path, selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(64)
        self.lifelines.register(self.listener, selectors.EVENT_READ)

    def serve(self) -> dict[str, Any]:
        """Fork for every request; return, in forks only, what is to be run."""
        while True:
            for key, _ in self.lifelines.select():
                request = self._accept() if key.fileobj is self.listener else self._lose(key.fileobj)
                if request:
                    return request

    def _lose(self, lifeline: Any) -> None:
        self.lifelines.unregister(lifeline)
        lifeline.close()
        if len(self.lifelines.get_map()) == 1:
            self.path.unlink()
            sys.exit()

    def _accept(self) -> dict[str, Any] | None:
        line, _ = self.listener.accept()
        head, streams, *_ = socket.recv_fds(line, 4, 3)
        if not streams:
            self.lifelines.register(line, selectors.EVENT_READ)
            return None
        if os.fork() == 0:
            self.listener.close()
            request: dict[str, Any] = json.loads(line.makefile("rb").read(int.from_bytes(head, "big")))
            attend(line, streams)
            return request
        for stream in streams:
            os.close(stream)
        line.close()
        return None


def attend(line: socket.socket, streams: list[int]) -> None:
    """Fork once more and return in the fork, with these streams; here wait for it, tell how it ended, and end too."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    process = os.fork()
    if process == 0:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        line.close()
        return
    for stream in streams:
        os.close(stream)
    line.sendall(process.to_bytes(4, "big"))

    def end_with_client() -> None:
        line.recv(1)
        os.kill(process, signal.SIGKILL)

    threading.Thread(target=end_with_client, daemon=True).start()
    status = os.waitpid(process, 0)[1]
    with suppress(OSError):
        line.sendall(status.to_bytes(4, "big"))
    os._exit(0)


def become(request: dict[str, Any]) -> None:
    """Take over folder, environment and arguments, and forget what was drawn or found for all forks alike."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ |= request["environment"]
    sys.executable = sys.argv[2]
    sys.argv = request["argv"][request["argv"][0] == "-u" :]
    random.seed()
    tempfile.tempdir = None
    for finalizer, info in [*weakref.finalize._registry.items()]:
        if isinstance(folder := info.weakref(), tempfile.TemporaryDirectory):
            finalizer.detach()
            folder.__init__()  # one of its own, or the first fork to end would take away that of all


def run() -> None:
    """Run the program that `sys.argv` names, as Python would."""
    kind, *_ = words = sys.argv
    home = str(Path.cwd()) if kind in ("-m", "-c") else str(Path(kind).absolute().parent)
    sys.path[0:1] = [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    if kind == "-m":
        sys.argv = words[1:]
        sys.modules.pop(words[1], None)
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif kind in ("-c", "-"):
        code = words.pop(1) if kind == "-c" else sys.stdin.read()
        sys.modules["__main__"] = program = ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), program.__dict__)
    else:
        runpy.run_path(kind, run_name="__main__")


def end(work: Callable[[], None]) -> NoReturn:
    """Work, and end with Python's exit code, without the second that it takes to clear away thousands of modules."""
    code: Any = 0
    try:
        work()
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException as error:
        traceback.print_exc()
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for name in HEAVY:
        import_module(name)
    gc.collect()
    gc.freeze()
    origin = Origin(Path(sys.argv[1]))
    print("ready", flush=True)
    os.dup2(2, 1)
    become(origin.serve())
    end(run)
