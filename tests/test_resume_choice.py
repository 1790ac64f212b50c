"""Which run a command continues, and what it says where it cannot."""

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

import mlops_cls as mc
from mlops_cls.errors import Interrupted
from mlops_cls.run import lock_run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the other process is forked")

BASE = [
    "experiment=quickstart", "logger=none", "data.size=8", "data.subsample=0.15", "trainer.max_epochs=2",
    "runtime.device=cpu", "runtime.precision=fp32",
]  # fmt: skip


class StopAtOnce(pl.Callback):
    """Ends the run by Ctrl-C in its second batch."""

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 1:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., mc.Config]:
    """Return a function from overrides to a config, all with the same folders."""
    places = [f"data.store={tmp_path / 'store'}", f"run.folder={tmp_path / 'runs'}"]
    return lambda *overrides: mc.load_config(*BASE, *places, *overrides)


@pytest.fixture
def unfinished(asked: Callable[..., mc.Config]) -> Path:
    """Return the folder of a run that was interrupted."""
    with pytest.raises(Interrupted, match="kept after step 2, in epoch 1"):
        mc.fit(asked(), callbacks=[StopAtOnce()])
    return Path(asked().run.folder, "latest").resolve()


def runs(config: mc.Config) -> list[Path]:
    return [path for path in Path(config.run.folder).iterdir() if not path.is_symlink()]


def folder_of(config: mc.Config) -> Path:
    return mc.fit(config).folder.resolve()


@pytest.mark.parametrize("override", ["optim.lr=0.01", "run.name=other", "run.resume=never", "trainer.max_epochs=3"])
def test_a_run_of_other_settings_or_name_is_continued(
    asked: Callable[..., mc.Config], unfinished: Path, override: str
) -> None:
    assert folder_of(asked(override)) != unfinished
    assert not (unfinished / "metrics.json").exists()


@pytest.mark.parametrize("override", ["data.workers=0", "trainer.save_every=1h", "run.resume=must", "logger.mode=null"])
def test_settings_that_change_nothing_of_what_is_trained_begin_a_new_run(
    asked: Callable[..., mc.Config], unfinished: Path, override: str
) -> None:
    assert folder_of(asked(override)) == unfinished


def test_a_finished_run_is_taken_for_an_unfinished_one(asked: Callable[..., mc.Config]) -> None:
    assert folder_of(asked()) != folder_of(asked())
    assert len(runs(asked())) == 2


def test_two_processes_train_in_one_folder(asked: Callable[..., mc.Config], unfinished: Path) -> None:
    taken, end = multiprocessing.get_context("fork").Event(), multiprocessing.get_context("fork").Event()
    other = multiprocessing.get_context("fork").Process(
        target=lambda: (lock_run(unfinished), taken.set(), end.wait(60))
    )
    other.start()
    taken.wait(60)
    try:
        with pytest.raises(mc.ArtifactError, match=r"another process is training in .*: wait, or end it"):
            mc.fit(asked("run.resume=must"))
        assert folder_of(asked()) != unfinished
    finally:
        end.set()
        other.join()


def test_other_data_are_trained_on_in_the_middle_of_a_run(
    asked: Callable[..., mc.Config], unfinished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = json.loads((unfinished / "card.json").read_text())
    card["provenance"]["data"]["content"] = "of yesterday"
    (unfinished / "card.json").write_text(json.dumps(card))
    with pytest.raises(mc.ArtifactError, match="the data have changed since"):
        mc.fit(asked("run.resume=must"))
    assert folder_of(asked()) != unfinished
    assert folder_of(asked("run.resume=must", "run.accept_changes=true")) == unfinished


def test_a_changed_setting_is_taken_over_in_silence_or_without_being_told(
    asked: Callable[..., mc.Config], unfinished: Path
) -> None:
    changes = ["augment.mixup=0.5", "loss.smoothing=0.1"]
    with pytest.raises(
        mc.ConfigError,
        match=r"other settings: augment\.mixup 0\.0 -> 0\.5, loss\.smoothing None -> 0\.1; .*accept_changes=true",
    ):
        mc.fit(asked("run.resume=must", *changes))
    run = mc.fit(asked("run.resume=must", "run.accept_changes=true", *changes))
    assert run.folder.resolve() == unfinished
    assert run.card.provenance["config"]["augment"]["mixup"] == 0.5
    assert run.card.provenance["resumed"][0]["changes"]["augment.mixup"] == [0.0, 0.5]


def test_another_learning_rate_is_accepted_and_then_not_used(asked: Callable[..., mc.Config], unfinished: Path) -> None:
    with pytest.raises(
        mc.ConfigError, match=r"cannot go on with optim\.lr .* -> 0\.01; .* model\.weights=.*best\.ckpt"
    ):
        mc.fit(asked("run.resume=must", "run.accept_changes=true", "optim.lr=0.01"))


def test_a_finished_run_cannot_be_made_longer_or_trains_its_epochs_again(asked: Callable[..., mc.Config]) -> None:
    short = mc.fit(asked())
    with pytest.raises(mc.ConfigError, match=r"is finished; for more epochs give trainer\.max_epochs=NUMBER"):
        mc.fit(asked("run.resume=must"))
    before = (short.folder / "metrics.csv").read_text().splitlines()
    longer = asked("run.resume=must", "trainer.max_epochs=4")
    with pytest.raises(Interrupted):
        mc.fit(longer, callbacks=[StopAtOnce()])
    run = mc.fit(asked("trainer.max_epochs=4"))
    assert run.folder.resolve() == short.folder.resolve()
    after = (run.folder / "metrics.csv").read_text().splitlines()
    assert (len(before), len(after)) == (3, 5)
    assert after[:3] == before


def test_nothing_to_continue_is_begun_although_it_must_not(asked: Callable[..., mc.Config]) -> None:
    with pytest.raises(mc.ConfigError, match=r"run\.resume=must: .*runs has no run of run\.name=quickstart"):
        mc.fit(asked("run.resume=must"))
    assert not Path(asked().run.folder).exists()


def test_a_run_folder_that_says_nothing_stops_the_next_run(asked: Callable[..., mc.Config], unfinished: Path) -> None:
    (unfinished / "config.yaml").write_text("{ broken")
    assert folder_of(asked()) != unfinished


def test_a_damaged_last_checkpoint_ends_in_a_traceback(asked: Callable[..., mc.Config], unfinished: Path) -> None:
    (unfinished / "checkpoints/last.ckpt").write_bytes(b"PK not really")
    with pytest.raises(mc.ArtifactError, match=r"last\.ckpt is damaged"):
        mc.fit(asked())
