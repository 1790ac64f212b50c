"""Runs Python commands in processes forked from one that has imported torch and its kin, as if started by themselves.

``python forking.py SOCKET`` listens until its standard input ends. What `asking.py` sends is run in a child with the
asker's folder, environment and files; its exit code goes back, and signals are passed on to it.
"""

import array
import atexit
import builtins
import json
import logging
import multiprocessing.util
import os
import runpy
import signal
import socket
import sys
import threading
import traceback
import weakref
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

FILES = 3


def import_what_commands_need() -> None:
    """Import what takes seconds, as far as it is installed; anything else is imported by who needs it."""
    from mlops_cls.cli import VERBS

    names = [
        "timm",
        "hydra",
        "wandb",
        "fastapi",
        "uvicorn",
        "onnx",
        "onnxscript",
        "matplotlib.pyplot",
        "albumentations",
    ]
    inside = [
        "training",
        "attempt",
        "conclude",
        "scoring",
        "exporting.write",
        "report.page",
        "service.app",
        "measuring",
    ]
    for name in [*names, *(f"mlops_cls.{name}" for name in [*VERBS, *inside])]:
        with suppress(ImportError):
            import_module(name)


def serve(path: str) -> None:
    """Answer until standard input ends, which is when the process that started this one ends."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that nobody need wait for those who watch
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                watch(connection)
            connection.close()


def _end_with_parent() -> None:
    os.read(0, 1)  # not by sys.stdin, which a child has to itself
    os._exit(0)


def watch(connection: socket.socket) -> None:
    """Start the command in a child, pass signals on to it, and send its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, files = receive(connection)
    child = os.fork()
    if child == 0:
        connection.close()
        become(request, files)
    for number in files:
        os.close(number)
    threading.Thread(target=_pass_on, args=(connection, child), daemon=True).start()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with suppress(OSError):  # nobody may be there to hear it
        connection.sendall(b"%d\n" % (code if code >= 0 else 128 - code))
    os._exit(0)


def _pass_on(connection: socket.socket, child: int) -> None:
    with suppress(OSError):
        while byte := connection.recv(1):
            os.kill(child, byte[0])
        os.kill(child, signal.SIGTERM)  # who asked is gone


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return what is asked for, and the three files that the asker has open."""
    numbers = array.array("i")
    _, extra, _, _ = connection.recvmsg(1, socket.CMSG_LEN(FILES * numbers.itemsize))
    numbers.frombytes(extra[0][2][: FILES * numbers.itemsize])
    with connection.makefile("rb") as file:
        return json.loads(file.readline()), list(numbers)


def become(request: dict[str, Any], files: list[int]) -> NoReturn:
    """Take the place of a new process of Python with this command line, and end as it does."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # What was to be cleared away at the end is the parent's; but for what any Python does.
    atexit._clear()
    atexit.register(logging.shutdown)
    atexit.register(multiprocessing.util._exit_function)
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
    code = 1
    try:
        run(request["argv"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finish(code)


def finish(code: int) -> NoReturn:
    """End as Python does, but for destructors of libraries, which would wait for threads that were not forked."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(arguments: list[str]) -> None:
    """Do what ``python ARGUMENTS`` does."""
    first, *rest = arguments
    sys.path[0] = str(Path.cwd())
    if first == "-m":
        sys.argv = ["-m", *rest[1:]]
        sys.modules.pop(rest[0], None)
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        _execute(rest[0], "<string>")
    elif first == "-":
        sys.argv = ["-", *rest]
        _execute(sys.stdin.read(), "<stdin>")
    else:
        sys.argv, sys.path[0] = arguments, str(Path(first).resolve().parent)
        runpy.run_path(first, run_name="__main__")


def _execute(code: str, name: str) -> None:
    exec(compile(code, name, "exec"), _main())


def _main() -> dict[str, Any]:
    main = type(sys)("__main__")
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    return main.__dict__


if __name__ == "__main__":
    import_what_commands_need()
    serve(sys.argv[1])
