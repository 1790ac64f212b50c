"""Google Cloud Storage on this machine: the emulator, with a bucket named pictures."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen


@contextmanager
def google_storage(folder: Path) -> Iterator[str]:
    """Give the address of an emulator that keeps its objects in a folder; STORAGE_EMULATOR_HOST is to be set to it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(sys.executable).with_name("gcp-storage-emulator")
    command = [script, "-d", folder, "start", "--host=127.0.0.1", f"--port={port}", "--default-bucket=pictures"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_for_answer(f"{address}/storage/v1/b/pictures", process)
            yield address
        finally:
            process.terminate()


def _wait_for_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, "the emulator stopped"
        try:
            with urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the emulator does not answer")
