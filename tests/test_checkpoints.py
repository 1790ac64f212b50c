"""A checkpoint file is whole at any moment, and says how far its run has come."""

import os
import sys
from pathlib import Path

import pytest
import torch

import mlops_cls as mc
from mlops_cls.checkpoints import AtomicCheckpoints, Progress


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit the size of files")
def test_a_full_disk_leaves_half_a_checkpoint_or_none(tmp_path: Path) -> None:
    import resource
    import signal

    path, files = tmp_path / "last.ckpt", AtomicCheckpoints()
    files.save_checkpoint({"weights": torch.ones(10)}, path)
    process = os.fork()
    if process == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        try:
            files.save_checkpoint({"weights": torch.ones(100_000)}, path)
        except mc.ArtifactError as error:
            os._exit(0 if "make room, then the same command goes on" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
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
