"""A step taken in parts is the same step, memory that runs out costs no run, and a budget is kept."""

import csv
import shutil
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import mlops_cls as mc
from mlops_cls.data.sampling import EpochBatches, EpochSampler
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.weights import read_checkpoint

# No BatchNorm, whose statistics are those of a part and not of the step.
PLAIN = [
    "experiment=quickstart", "logger=none", "data.size=16", "data.subsample=0.3", "trainer.max_epochs=2",
    "augment=none", "runtime.device=cpu", "runtime.precision=fp32", "model.name=vit_tiny_patch16_224",
    "+model.kwargs={patch_size: 4, depth: 1, embed_dim: 32, num_heads: 2}", "optim=sgd",
]  # fmt: skip


def run_in(folder: Path, *overrides: str) -> mc.Run:
    places = [f"data.store={folder / 'prepared'}", f"run.folder={folder / 'runs'}"]
    return mc.fit(mc.load_config(*PLAIN, *places, *overrides))


def weights(run: mc.Run) -> dict[str, Tensor]:
    kept: dict[str, Tensor] = read_checkpoint(run.folder / "checkpoints/last.ckpt")["state_dict"]
    return {name: value for name, value in kept.items() if name.startswith("network.")}


def same(first: mc.Run, second: mc.Run) -> bool:
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(
        torch.allclose(value, other[name], rtol=1e-3, atol=1e-5) for name, value in one.items()
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> mc.Run:
    return run_in(tmp_path_factory.mktemp("whole"))


def fail_above(monkeypatch: pytest.MonkeyPatch, pictures: int, *, after: int = 0) -> None:
    """Let training steps of more pictures run out of memory, but not the first ones."""
    original, steps = ImageClassifier.training_step, [0]

    def step(self: ImageClassifier, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        steps[0] += 1
        if len(batch[1]) > pictures and steps[0] > after:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return original(self, batch, index)

    monkeypatch.setattr(ImageClassifier, "training_step", step)


def test_a_step_in_parts_is_another_step(whole: mc.Run, tmp_path: Path) -> None:
    parts = run_in(tmp_path, "runtime.batch_size=16")
    assert same(whole, parts)
    assert parts.card.provenance["runtime"]["batch_size"] == 16


def test_running_out_of_memory_loses_the_run_or_changes_its_steps(
    whole: mc.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_above(monkeypatch, 16)
    run = run_in(tmp_path)
    assert same(whole, run)
    assert run.card.provenance["runtime"]["batch_size"] == 16
    log = (run.folder / "train.log").read_text()
    assert "out of memory with 64 pictures at once: trying 32" in log
    assert "out of memory with 32 pictures at once: trying 16" in log


def test_running_out_of_memory_late_loses_finished_epochs(
    whole: mc.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = int(0.3 * 1259) // 64
    fail_above(monkeypatch, 32, after=steps + 1)
    run = run_in(tmp_path)
    assert same(whole, run)
    with (run.folder / "metrics.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]


def test_another_error_is_taken_for_missing_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_: object) -> Tensor:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(ImageClassifier, "training_step", step)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        run_in(tmp_path, "trainer.deterministic=true")


def test_not_even_one_picture_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_above(monkeypatch, 0)
    with pytest.raises(torch.OutOfMemoryError):
        run_in(tmp_path, "data.batch_size=3", "trainer.deterministic=true")


def test_the_largest_batch_is_not_taken_where_everything_fits(tmp_path: Path) -> None:
    run = run_in(tmp_path, "runtime.batch_size=auto", "trainer.max_epochs=1")
    assert run.card.provenance["runtime"]["batch_size"] == 64
    assert "64 pictures at once need" in (run.folder / "train.log").read_text()


@pytest.mark.parametrize(
    ("length", "size", "parts", "batches"), [(100, 16, 1, 6), (100, 16, 2, 6), (100, 16, 4, 4), (40, 16, 4, 3)]
)
def test_an_epoch_ends_within_a_step(length: int, size: int, parts: int, batches: int) -> None:
    sampler = EpochBatches(EpochSampler(length, shuffle=True), size, parts)
    assert len(sampler) == len(list(sampler)) == batches


def test_a_batch_that_does_not_divide_the_step_is_rounded() -> None:
    with pytest.raises(mc.ConfigError, match=r"runtime\.batch_size=24 does not divide data\.batch_size=64"):
        mc.load_config("runtime.batch_size=24")


def test_a_budget_is_not_kept_or_its_schedule_is_cut(tmp_path: Path) -> None:
    # The tracker of time is tested in tuning/; here only that a run with a budget is a whole run.
    run = run_in(tmp_path, "trainer.budget=15s", "optim.schedule=cosine")
    log = (run.folder / "train.log").read_text()
    assert "trainer.budget=15s: " in log
    last = read_checkpoint(run.folder / "checkpoints/last.ckpt")
    assert last["optimizer_states"][0]["param_groups"][0]["lr"] < 0.02 * 3e-3
    assert run.metrics["test/accuracy"] > 0


def test_a_budget_that_is_over_before_it_begins_is_no_clear_error(tmp_path: Path) -> None:
    with pytest.raises(mc.ConfigError, match=r"trainer\.budget is too short"):
        run_in(tmp_path, "trainer.budget=0.01s")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own, while it compiles
@pytest.mark.skipif(shutil.which("g++") is None or sys.platform != "linux", reason="torch.compile needs a compiler")
def test_a_compiled_run_has_other_weights_or_names(whole: mc.Run, tmp_path: Path) -> None:
    run = run_in(tmp_path, "runtime.compile=true")
    assert same(whole, run)
    assert run.card.provenance["runtime"]["compile"] is True
    assert mc.Predictor.load(run.checkpoint).card.classes == whole.card.classes
