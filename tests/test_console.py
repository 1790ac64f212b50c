"""What a run says is there when it was said."""

import io
import logging
import os
import sys
from pathlib import Path

import pytest

from mlops_cls.console import say_to


def test_a_line_waits_in_a_buffer_while_somebody_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe"
    with pipe.open("wb") as written, io.TextIOWrapper(written) as buffered:
        monkeypatch.setattr("sys.stdout", buffered)
        with say_to(tmp_path / "train.log"):
            logging.getLogger("mlops_cls.training").info("epoch 1")
            assert pipe.read_text() == "epoch 1\n"
    assert "INFO epoch 1" in (tmp_path / "train.log").read_text()


def test_a_run_ends_because_nobody_reads_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr("sys.stdout", os.fdopen(writer, "w"))
    with say_to(tmp_path / "train.log"):
        logging.getLogger("mlops_cls.training").info("epoch 1")
    assert "INFO epoch 1" in (tmp_path / "train.log").read_text()
    with pytest.raises(BrokenPipeError):
        sys.stdout.close()
