"""A preparation that is killed, or runs twice at once, leaves a whole store or none."""

import hashlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_cls.data.manifest import Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.sources.folder import FolderSource

StartPython = Callable[..., subprocess.Popen[str]]
COUNTS = {"red": 10, "green": 6, "blue": 4}


@pytest.fixture
def root(tmp_path: Path, make_pictures: Callable[..., Path]) -> Path:
    return make_pictures(tmp_path / "raw", COUNTS)


# Prepares argv[1] in argv[2]; stops after the training pictures, until the file argv[3] is there.
SLOW = """
import sys, time
from pathlib import Path
from mlops_cls.data.manifest import Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.sources.folder import FolderSource

root, store, go = map(Path, sys.argv[1:])

class SlowSource(FolderSource):
    calls = 0

    def picture(self, sample):
        SlowSource.calls += 1
        while any(store.glob(".*.partial/val.npy")) and not go.exists():
            time.sleep(0.01)
        return super().picture(sample)

print("started", flush=True)
folder = prepare(SlowSource(root), Plan(), store).folder
print(folder.name, SlowSource.calls)
"""


def wait_for(found: Callable[[], object]) -> None:
    for _ in range(3000):
        if found():
            return
        time.sleep(0.01)
    raise AssertionError("did not happen within half a minute")


def hashes(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.iterdir()):
        yield path.name, hashlib.sha256(path.read_bytes()).hexdigest()


def test_two_runs_at_once_build_twice_or_tear_the_store(tmp_path: Path, root: Path, start_python: StartPython) -> None:
    store, go = tmp_path / "store", tmp_path / "go"
    first = start_python(SLOW, root, store, go)
    wait_for(lambda: [*store.glob(".*.partial/val.npy")])
    second = start_python(SLOW, root, store, go)
    assert second.stdout.readline() == "started\n"
    time.sleep(0.3)
    assert (first.poll(), second.poll()) == (None, None)
    go.touch()
    (first_output, first_error), (second_output, second_error) = first.communicate(), second.communicate()
    assert (first_error, second_error, first.returncode, second.returncode) == ("", "", 0, 0)
    prepared = prepare(FolderSource(root), Plan(), store)
    assert first_output == f"started\n{prepared.folder.name} {2 * sum(COUNTS.values())}\n"
    assert second_output == f"{prepared.folder.name} 0\n"
    assert sorted(path.name for path in store.iterdir()) == [f".{prepared.folder.name}.lock", prepared.folder.name]
    undisturbed = prepare(FolderSource(root), Plan(), tmp_path / "other")
    assert dict(hashes(prepared.folder)) == dict(hashes(undisturbed.folder))


def test_a_killed_run_leaves_a_store_that_looks_whole(tmp_path: Path, root: Path, start_python: StartPython) -> None:
    store = tmp_path / "store"
    process = start_python(SLOW, root, store, tmp_path / "never")
    wait_for(lambda: [*store.glob(".*.partial/val.npy")])
    process.kill()
    process.wait()
    (partial,) = store.glob(".*.partial")
    assert (partial / "train.npy").stat().st_size > 0
    prepared = prepare(FolderSource(root), Plan(), store)
    assert sorted(path.name for path in store.iterdir()) == [f".{prepared.folder.name}.lock", prepared.folder.name]
    undisturbed = prepare(FolderSource(root), Plan(), tmp_path / "other")
    assert dict(hashes(prepared.folder)) == dict(hashes(undisturbed.folder))


# Prepares argv[1] in argv[2] again and again, each time killed at the next event that touches the store, until one
# attempt lives; prints how many were killed, and every complete store that differs from the one in argv[3].
KILLED = """
import warnings
import hashlib, os, shutil, signal, sys
from pathlib import Path
from mlops_cls.data.manifest import Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.sources.folder import FolderSource

root, store, undisturbed = map(Path, sys.argv[1:])
EVENTS = {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "shutil.rmtree", "os.scandir"}

def content(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

def prepare_until(number):
    left = number

    def hook(event, arguments):
        nonlocal left
        if event in EVENTS and str(store) in repr(arguments):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    prepare(FolderSource(root), Plan(), store)
    os._exit(0)

# What is left over of the first preparing's threads holds no lock that a fork would need.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
expected = content(prepare(FolderSource(root), Plan(), undisturbed).folder)
for number in range(1, 1000):
    process = os.fork()
    if process == 0:
        prepare_until(number)
    status = os.waitpid(process, 0)[1]
    for folder in (path for path in store.glob("*") if not path.name.startswith(".")):
        if content(folder) != expected:
            print("torn", folder.name, number)
        shutil.rmtree(folder)
    if os.WIFEXITED(status):
        print("exit", os.WEXITSTATUS(status), "after", number)
        break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_run_killed_at_any_moment_leaves_half_a_store(tmp_path: Path, root: Path, start_python: StartPython) -> None:
    output, error = start_python(KILLED, root, tmp_path / "store", tmp_path / "undisturbed").communicate()
    assert error == ""
    verdict = output.split()
    assert verdict[:3] == ["exit", "0", "after"], output
    assert int(verdict[3]) > 15  # else hardly a moment was tried
    assert sorted(path.name for path in (tmp_path / "store").iterdir() if not path.name.endswith(".lock")) == []
