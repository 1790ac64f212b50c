"""Signals end a run well, once asked, and at once, twice asked."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_cls.atomic import replacing, write_text
from mlops_cls.errors import Interrupted
from mlops_cls.interruption import SIGNALS, Interruption

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process that is sent a signal")

RESUME_ME = 75


def exit_code_of(child: Callable[[], object]) -> int:
    process = os.fork()
    if process == 0:
        child()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_outside_training_is_kept_for_later(number: signal.Signals) -> None:
    with pytest.raises(Interrupted, match=number.name), Interruption():
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_within_training_ends_it_in_the_middle_of_a_step(number: signal.Signals) -> None:
    steps = []
    with pytest.raises(Interrupted, match=number.name), Interruption() as interruption, interruption.held():
        os.kill(os.getpid(), number)
        steps.append(interruption.received)
    assert steps == [number]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process that ends at once is forked")
def test_a_second_signal_is_waited_for_with_patience() -> None:
    def child() -> None:
        with Interruption() as interruption, interruption.held():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)

    assert exit_code_of(child) == RESUME_ME


def test_a_signal_that_a_scheduler_and_a_launcher_both_send_ends_a_run_without_its_checkpoint() -> None:
    steps = []
    with pytest.raises(Interrupted), Interruption() as interruption, interruption.held():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        steps.append(interruption.received)
    assert steps == [signal.SIGTERM]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a loader's worker is forked")
def test_a_forked_worker_takes_its_parents_signal_for_its_own() -> None:
    with Interruption():
        assert exit_code_of(lambda: os.kill(os.getpid(), signal.SIGINT)) == 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
def test_a_run_below_nohup_ends_with_the_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGHUP)
            assert interruption.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_of_others_are_lost_after_a_run() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with Interruption():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_run_in_another_thread_fails_for_want_of_signals() -> None:
    entered: list[object] = []

    def run() -> None:
        with Interruption() as interruption:
            entered.append(interruption.received)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert entered == [None]


def test_sigterm_ends_the_command_without_a_code_that_says_resume_me(python: str, tmp_path: Path) -> None:
    places = [f"run.folder={tmp_path}/runs", f"data.store={tmp_path}/store", "logger=none", "trainer.max_epochs=500"]
    line = [python, "-m", "mlops_cls.train", "experiment=quickstart", "runtime=plain", "data.size=8", *places]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        next(said for said in process.stdout if said.startswith("epoch "))
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=60)[1]
    assert process.returncode == RESUME_ME
    first, second = told.splitlines()
    assert first == "SIGTERM: this step is finished and kept; a second signal ends at once"
    assert re.fullmatch(r"interrupted: kept after step \d+, in epoch \d+: the same command goes on from there", second)
    assert (tmp_path / "runs/latest/checkpoints/last.ckpt").is_file()


def test_sigterm_before_anything_was_done_is_no_reason_to_start_again(tmp_path: Path) -> None:
    line = [sys.executable, "-X", "importtime", "-m", "mlops_cls.train", "experiment=quickstart"]
    with subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(said for said in process.stderr if said.rstrip().endswith(" mlops_cls.launch"))
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=60)[1]
    assert process.returncode == RESUME_ME
    assert told.splitlines()[-1] == "interrupted: SIGTERM received"
    assert [*tmp_path.iterdir()] == []


def test_a_failed_write_leaves_half_a_file_or_takes_the_whole_one_away(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    write_text(path, "whole")
    with pytest.raises(OSError, match="no room"), replacing(path) as aside:
        aside.write_text("ha")
        raise OSError("no room")
    assert path.read_text() == "whole"
    assert [*tmp_path.iterdir()] == [path]
