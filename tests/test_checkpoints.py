"""A checkpoint file is whole at any moment, and says how far its run has come."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import mlops_cls as mc
from mlops_cls.checkpoints import AtomicCheckpoints, Progress


@contextmanager
def no_file_beyond(limit: int) -> Iterator[None]:
    """Let this process write files of so many bytes at most, as on a disk that is full."""
    resource = pytest.importorskip("resource", reason="Windows cannot limit the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_half_a_checkpoint_or_none(tmp_path: Path) -> None:
    path, files = tmp_path / "last.ckpt", AtomicCheckpoints()
    files.save_checkpoint({"weights": torch.ones(10)}, path)
    told = "make room, then the same command goes on"
    with no_file_beyond(10_000), pytest.raises(mc.ArtifactError, match=told):
        files.save_checkpoint({"weights": torch.ones(100_000)}, path)
    assert torch.equal(files.load_checkpoint(path)["weights"], torch.ones(10))
    assert [*tmp_path.iterdir()] == [path]


def test_a_checkpoint_that_could_run_code_is_loaded_to_go_on(tmp_path: Path) -> None:
    torch.save({"optimizer": print}, tmp_path / "last.ckpt")
    with pytest.raises(mc.ArtifactError, match="can run any code"):
        AtomicCheckpoints().load_checkpoint(tmp_path / "last.ckpt", weights_only=False)


def test_a_run_without_a_checkpoint_has_progress_or_a_strange_one_has_none(tmp_path: Path) -> None:
    assert Progress.read(tmp_path / "last.ckpt") == Progress()
    torch.save({"state_dict": {}}, tmp_path / "last.ckpt")
    with pytest.raises(mc.ArtifactError, match="does not say how far its run has come"):
        Progress.read(tmp_path / "last.ckpt")


@pytest.mark.parametrize(("finished", "epochs", "over"), [(None, 3, False), (3, 3, True), (3, 4, False), (3, 2, True)])
def test_a_finished_training_goes_on_unless_it_is_to_be_longer(finished: int | None, epochs: int, over: bool) -> None:
    assert Progress(epoch=2, finished=finished).is_over(epochs) is over
