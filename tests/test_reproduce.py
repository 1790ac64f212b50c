"""A run that is run again comes out the same, bit by bit; and what does not is found and said."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import mlops_cls as mc
from mlops_cls import reproduce
from mlops_cls.models.weights import read_checkpoint
from mlops_cls.reproducing import Record, examine
from mlops_cls.reproduction import (
    Change,
    Reproduction,
    Score,
    Weights,
    changes,
    compare_scores,
    compare_weights,
    data_changes,
)


def typed(*arguments: str | Path) -> int:
    """Return the exit code of the command."""
    with pytest.raises(SystemExit) as left:
        reproduce.main([*map(str, arguments)])
    assert isinstance(left.value.code, int)
    return left.value.code


def weights_of(run: mc.Run) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = read_checkpoint(run.checkpoint)["state_dict"]
    return state


def record_again(run: mc.Run, to: Path, **changed: Any) -> Path:
    """Copy a run folder, and let its card's provenance tell other values: `section={key: value}`."""
    folder = to / run.folder.name
    shutil.copytree(run.folder, folder)
    # Not of this repository, to which anything may happen while the tests run.
    provenance = json.loads(json.dumps(run.card.provenance)) | {"git": None}
    for section, values in changed.items():
        provenance[section] = (provenance[section] or {}) | values if isinstance(values, dict) else values
    replace(run.card, provenance=provenance).save(folder / "card.json")
    return folder


def config_with(run: mc.Run, section: str, **values: Any) -> dict[str, Any]:
    config: dict[str, Any] = run.card.provenance["config"]
    return {section: config[section] | values}


@pytest.fixture(autouse=True)
def outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def pictures_run(tmp_path_factory: pytest.TempPathFactory, make_pictures: Callable[..., Path]) -> mc.Run:
    """Return a run on a folder of PNG files, which lies beside the runs."""
    home = tmp_path_factory.mktemp("pictures")
    root = make_pictures(home / "colours", {"red": 20, "green": 20})
    return mc.fit(
        mc.load_config(
            "experiment=quickstart", "logger=none", "data=folder", f"data.root={root}", "data.batch_size=8",
            f"data.store={home / 'prepared'}", f"run.folder={home / 'runs'}", "trainer.max_epochs=1",
        )
    )  # fmt: skip


def test_a_run_is_not_reproduced_bit_by_bit(
    tiny_run: mc.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = record_again(tiny_run, tmp_path)
    (tmp_path / "latest").symlink_to(folder.name, target_is_directory=True)
    # The sums of other numbers of threads have other last digits, so the recorded number must be taken.
    torch.set_num_threads(threads := torch.get_num_threads() + 1)
    try:
        assert typed(tmp_path / "latest") == 0
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(threads - 1)
    said = capsys.readouterr().out
    assert said.startswith("the same: all that is recorded of commit, versions, data and hardware\nnote: ")
    assert f"reproduced: all {len(tiny_run.metrics)} scores are the same, exactly" in said

    again = mc.Run.open((tmp_path / "latest").resolve())
    assert again.folder.name.endswith("_quickstart_again")
    assert again.metrics == tiny_run.metrics
    ours, theirs = weights_of(tiny_run), weights_of(again)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    written = json.loads((again.folder / "reproduction.json").read_text())
    assert written["reproduced"] is True
    assert written["recorded"] == str(folder)  # and not `latest`, which has moved on
    assert written["weights"] == {"tensors": len(ours), "differing": [], "largest": None}
    assert {score["name"]: score["recorded"] for score in written["scores"]} == tiny_run.metrics


def test_another_seed_in_the_record_counts_as_reproduced(
    tiny_run: mc.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = record_again(tiny_run, tmp_path, config={"seed": 5})
    (tmp_path / "latest").symlink_to(folder.name, target_is_directory=True)
    assert typed(tmp_path / "latest") == 3
    said = capsys.readouterr().out
    assert "not reproduced: " in said
    written = json.loads(((tmp_path / "latest").resolve() / "reproduction.json").read_text())
    assert written["reproduced"] is False
    assert written["weights"]["largest"] > 0
    assert "network.head.weight" in written["weights"]["differing"]
    assert any(score["difference"] for score in written["scores"])


def test_a_notebook_cannot_reproduce_a_run_with_a_tolerance(tiny_run: mc.Run, tmp_path: Path) -> None:
    folder = record_again(tiny_run, tmp_path, config={"seed": 5})
    compared = mc.reproduce_run(mc.Run.open(folder), f"run.folder={tmp_path / 'other'}", tolerance=10.0)
    assert compared.reproduced
    assert compared.weights is not None
    assert compared.weights.differing
    assert Path(compared.again).parent == tmp_path / "other"


def test_one_changed_pixel_goes_unnoticed(
    pictures_run: mc.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = record_again(pictures_run, tmp_path)
    assert typed(folder, "--check") == 0
    path = pictures_run.folder.parent.parent / "colours/red/003.png"
    before = path.read_bytes()
    picture = Image.open(path).copy()
    picture.putpixel((8, 8), (0, 0, 0))
    picture.save(path)
    try:
        with pytest.raises(mc.DataError, match=r"not those of the run: hash of pictures and labels \w{12} -> \w{12};"):
            reproduce.main([str(folder), "--check"])
        capsys.readouterr()
        assert typed(folder, "--check", "--other-data") == 3
        assert capsys.readouterr().out.startswith("different: hash of pictures and labels ")
    finally:
        path.write_bytes(before)


def test_data_that_are_gone_are_not_named(pictures_run: mc.Run, tmp_path: Path) -> None:
    home = pictures_run.folder.parent.parent
    elsewhere = (home / "colours").rename(tmp_path / "moved")
    try:
        folder = record_again(pictures_run, tmp_path)
        with pytest.raises(mc.DataError, match=rf"data=folder data\.root={home / 'colours'}: .* or give data\.root"):
            examine(folder)
        assert not examine(folder, [f"data.root={elsewhere}"]).changes
    finally:
        elsewhere.rename(home / "colours")


def test_check_trains(tiny_run: mc.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = record_again(tiny_run, tmp_path, versions={"torch": "2.12.0"}, git={"commit": "0" * 40, "dirty": True})
    assert typed(folder, "--check") == 3
    said = capsys.readouterr().out.splitlines()
    assert f"different: torch 2.12.0 -> {version('torch')}" in said
    assert "different: commit 000000000000 -> unknown" in said
    assert said[-1] == "note: the run was started from files with uncommitted changes; what they were is not recorded"
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_another_machine_is_compared_by_weights(tiny_run: mc.Run, tmp_path: Path) -> None:
    folder = record_again(tiny_run, tmp_path, runtime={"device": "cuda", "device_name": "H200", "precision": "fp32"})
    if torch.cuda.is_available():
        pytest.skip("the device is here")
    repetition = examine(folder)
    assert not repetition.same_hardware
    assert Change("device_name", "H200", tiny_run.card.provenance["runtime"]["device_name"]) in repetition.changes
    assert repetition.config.runtime.device == "auto"
    assert repetition.config.runtime.precision == "fp32"


def test_the_runtime_is_chosen_anew(tiny_run: mc.Run, tmp_path: Path) -> None:
    chosen = {"precision": "fp32", "channels_last": False, "compile": True, "batch_size": 32}
    folder = record_again(tiny_run, tmp_path, runtime=chosen)
    runtime = examine(folder).config.runtime
    assert {key: getattr(runtime, key) for key in chosen} == chosen
    assert examine(tiny_run.folder).config.runtime.batch_size is None
    assert examine(folder, ["runtime.compile=false"]).config.runtime.compile is False


def test_code_that_the_record_names_is_called(tiny_run: mc.Run, tmp_path: Path) -> None:
    spec = {"_target_": "os.mkdir", "path": str(tmp_path / "owned")}
    folder = record_again(tiny_run, tmp_path, config=config_with(tiny_run, "trainer", callbacks=[spec]))
    with pytest.raises(mc.ConfigError, match=r"names code to be called, trainer\.callbacks: os\.mkdir"):
        reproduce.main([str(folder)])
    assert not (tmp_path / "owned").exists()
    assert examine(folder, trust_callbacks=True).config.trainer.callbacks == [spec]


def test_what_cannot_be_kept_the_same_is_not_said(tiny_run: mc.Run, tmp_path: Path) -> None:
    changed = config_with(tiny_run, "trainer", budget="60s") | config_with(
        tiny_run, "model", weights=str(tiny_run.checkpoint)
    )
    resumed = {"resumed": [{"changes": {"trainer.max_epochs": [1, 2]}}, {"changes": {}}]}
    folder = record_again(tiny_run, tmp_path, config=changed, **resumed)
    commit, budget, longer, weights = examine(folder).notes
    assert commit.endswith("no commit is recorded")
    assert budget.startswith("trainer.budget=60s is kept by the clock")
    assert longer.startswith("the run was continued with another trainer.max_epochs;")
    assert weights.startswith(f"model.weights={tiny_run.checkpoint} is taken as it is now")


def test_a_setting_that_makes_another_run_is_taken(tiny_run: mc.Run) -> None:
    for override in ("optim.lr=1", "experiment=resnet18", "data.batch_size=2", "logger=wandb"):
        with pytest.raises(mc.ConfigError, match=rf"^{override}: that would be another run; .*data\.root=VALUE"):
            examine(tiny_run.folder, [override])
    with pytest.raises(mc.ConfigError, match=r"did you mean runtime\.precision\?"):
        examine(tiny_run.folder, ["runtime.precison=fp32"])


def test_settings_of_another_version_are_no_clear_error(tiny_run: mc.Run, tmp_path: Path) -> None:
    older = config_with(tiny_run, "optim", learning_rate=1.0)
    folder = record_again(tiny_run, tmp_path, config=older, git={"commit": "abc", "dirty": False})
    with pytest.raises(mc.ConfigError, match=r"check out its commit abc .*optim\.learning_rate is not a setting"):
        examine(folder)


def test_a_folder_that_is_no_run_is_taken_for_one_of_wandb(tiny_run: mc.Run, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for wrong in (tmp_path / "runs", tmp_path / "nowhere", "runs", f"{tmp_path}/runs/nix"):
        with pytest.raises(mc.ArtifactError, match="no folder of a finished run"):
            Record.find(wrong)
    with pytest.raises(mc.ArtifactError, match="holds no config"):
        folder = record_again(tiny_run, tmp_path)
        replace(tiny_run.card, provenance={}).save(folder / "card.json")
        Record.find(folder)


def test_reproducing_a_reproduction_lengthens_its_name(tiny_run: mc.Run, tmp_path: Path) -> None:
    folder = record_again(tiny_run, tmp_path, config=config_with(tiny_run, "run", name="x_again"))
    config = examine(folder).config
    assert (config.run.name, config.run.folder, config.logger.name) == ("x_again", str(tmp_path), "none")
    assert config.run.resume == "never"


@pytest.mark.skipif(sys.platform == "win32", reason="links need developer mode")
def test_checkpoint_of_latest_is_that_of_the_new_run(tiny_run: mc.Run, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(tiny_run.folder, target_is_directory=True)
    assert Record.find(tmp_path / "latest").checkpoint == tiny_run.checkpoint


PROVENANCE = {
    "git": {"commit": "a" * 40, "dirty": False},
    "versions": {"torch": "2.12.0", "python": "3.12.1"},
    "machine": {"system": "Linux", "cores": 2, "processor": "x86_64"},
    "runtime": {"device": "cpu", "device_name": "EPYC", "threads": 2},
}


def test_equal_surroundings_differ_or_others_do_not() -> None:
    assert changes(PROVENANCE, PROVENANCE) == ()
    now = PROVENANCE | {"git": None, "versions": {"torch": "2.13.0", "python": "3.12.1", "timm": "1.0"}}
    assert [str(change) for change in changes(PROVENANCE, now)] == [
        "commit aaaaaaaaaaaa -> unknown", "uncommitted changes no -> unknown", "torch 2.12.0 -> 2.13.0",
        "timm unknown -> 1.0",
    ]  # fmt: skip
    identity = {"source": "digits", "content": "b" * 64, "split": "c" * 64, "plan": {}, "check": {}}
    assert data_changes(identity, identity | {"check": {"warning": 1}}) == ()
    (other,) = data_changes(identity, identity | {"split": "d" * 64})
    assert str(other) == "hash of the split cccccccccccc -> dddddddddddd"


def test_weights_that_differ_by_name_shape_or_a_bit_are_equal() -> None:
    one = {"a": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)}
    assert compare_weights(one, {name: value.clone() for name, value in one.items()}) == Weights(2, (), None)
    off = one | {"a": torch.tensor([1.0, 2.0 + 2**-20])}
    assert compare_weights(one, off) == Weights(2, ("a",), 2.0**-20)
    assert compare_weights(one, one | {"a": torch.zeros(3)}) == Weights(2, ("a",), None)
    assert compare_weights(one, {"a": one["a"]}) == Weights(2, ("n",), None)


def compared(scores: tuple[Score, ...], weights: Weights | None = None, tolerance: float = 0.0) -> Reproduction:
    return Reproduction("old", "new", (), (), scores, weights, tolerance)


def test_a_verdict_does_not_follow_from_scores_weights_and_tolerance() -> None:
    same, off = compare_scores({"x": 0.5}, {"x": 0.5}), compare_scores({"x": 0.5, "y": 1.0}, {"x": 0.51, "y": 1.0})
    moved = Weights(3, ("w",), 0.1)
    assert compared(same).reproduced
    assert not compared(same, moved).reproduced
    assert compared(same, moved, 0.001).reproduced
    assert not compared(off, None, 0.001).reproduced
    assert compared(off, None, 0.02).reproduced
    assert not compared(compare_scores({"x": 0.5}, {}), None, 9.0).reproduced
    assert not compared(()).reproduced
    assert [*compared(()).lines()][-1] == "not compared: the record has no scores"
    assert [*compared(same, moved).lines()][-2:] == [
        "weights: 1 of 3 tensors differ, by 0.1 at most",
        "not reproduced: the scores are the same, the weights are not",
    ]
    assert [*compared(off).lines()][-1] == "not reproduced: 1 of 2 scores differ, x the most"
    json.dumps(compared(off, moved).describe())
