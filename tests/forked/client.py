"""Stands where Python would: has a command run in a fork of the origin, and ends as that ends."""

import json
import os
import signal
import socket
import sys
from pathlib import Path

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def main() -> None:
    """Hand over what this process was given, pass signals on, and end with the same code or by the same signal."""
    words = {"argv": sys.argv[1:], "cwd": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
    request = json.dumps(words).encode()
    line = socket.socket(socket.AF_UNIX)
    line.connect(str(Path(sys.argv[0]).with_name("socket")))
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    socket.send_fds(line, [len(request).to_bytes(4, "big")], [0, 1, 2])
    line.sendall(request)
    process = int.from_bytes(line.recv(4), "big")
    Path(sys.argv[0]).with_name(str(os.getpid())).write_text(str(process))
    for number in PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: os.kill(process, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    status = line.recv(4)
    if not status:
        sys.exit("the process that is forked from is gone")
    end(os.waitstatus_to_exitcode(int.from_bytes(status, "big")))


def end(code: int) -> None:
    """End with the code, or by the signal that it stands for."""
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


main()
