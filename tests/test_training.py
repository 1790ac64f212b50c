"""`fit` as a whole: what a run leaves behind, and that its numbers are those of the checkpoint it names."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss

import mlops_cls as mc
from mlops_cls.compose import load_config
from mlops_cls.conclude import conclude
from mlops_cls.data.loader import StoreDataset
from mlops_cls.errors import ArtifactError, ConfigError, DataError, MlopsError
from mlops_cls.evaluation.assess import assess
from mlops_cls.evaluation.collect import training_scores
from mlops_cls.models.weights import read_checkpoint
from mlops_cls.scoring import score_checkpoint

SCORES = ("loss", "accuracy", "balanced_accuracy", "macro_f1")
TEST_SCORES = ("macro_precision", "macro_recall", "auroc", "log_loss", "brier", "ece", "ece_uncalibrated")


def table(run: mc.Run) -> list[dict[str, str]]:
    with (run.folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_run_folder_holds_everything_a_run_promises(tiny_run: mc.Run) -> None:
    promised = [
        "config.yaml", "card.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt", "metrics.csv", "metrics.json",
        "confusion.png", "curves.png", "train.log", "per_class.csv", "predictions.csv", "outputs/val.parquet",
        "outputs/test.parquet", "evaluation.json", "report.html", "MODEL_CARD.md",
    ]  # fmt: skip
    assert [name for name in promised if not (tiny_run.folder / name).stat().st_size] == []
    assert not list(tiny_run.folder.rglob("*.partial"))
    # Other tests may have trained there since.
    newest = max(folder for folder in tiny_run.folder.parent.iterdir() if folder.is_dir() and not folder.is_symlink())
    assert (tiny_run.folder.parent / "latest").resolve() == newest.resolve()


def test_metrics_json_has_the_scores_of_all_splits_under_their_logged_names(tiny_run: mc.Run) -> None:
    kept = json.loads((tiny_run.folder / "metrics.json").read_text())
    assert kept == tiny_run.metrics
    logged = {f"{split}/{score}" for split in ("train", "val", "test") for score in SCORES}
    assert set(kept) == {"epoch", *logged, *(f"test/{score}" for score in TEST_SCORES)}


def test_metrics_csv_has_one_whole_row_per_epoch(tiny_run: mc.Run) -> None:
    rows = table(tiny_run)
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert all(float(row[f"{split}/{score}"]) >= 0 for row in rows for split in ("train", "val") for score in SCORES)
    assert all(value != "" for row in rows for value in row.values())


def test_best_checkpoint_holds_the_weights_of_the_best_epoch_and_not_of_the_last(tmp_path: Path) -> None:
    # A learning rate that grows until it ruins what was learned: the best epoch is then not the last.
    config = load_config("experiment=quickstart", "logger=none", "data.size=16", "data.subsample=0.3", "optim=sgd")
    config.optim.lr, config.optim.warmup_epochs, config.trainer.max_epochs = 8.0, 3.9, 4
    config.optim.schedule = type(config.optim.schedule).none
    config.data.store, config.run.folder = str(tmp_path / "prepared"), str(tmp_path / "runs")
    run = mc.fit(config)
    losses = [float(row["val/loss"]) for row in table(run)]
    best = losses.index(min(losses))
    assert best < len(losses) - 1
    assert run.metrics["epoch"] == best == read_checkpoint(run.checkpoint)["epoch"]
    assert run.metrics["val/loss"] == pytest.approx(losses[best], rel=1e-4)
    best_weights, last = (read_checkpoint(run.folder / f"checkpoints/{n}.ckpt")["state_dict"] for n in ("best", "last"))
    assert any(not torch.equal(best_weights[name], last[name]) for name in best_weights)


def test_test_scores_equal_scikit_learn_on_the_written_predictions(tiny_run: mc.Run) -> None:
    with (tiny_run.folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    true, predicted = [row["true"] for row in rows], [row["predicted"] for row in rows]
    probabilities = np.array([[float(row[name]) for name in tiny_run.card.classes] for row in rows])
    probabilities /= probabilities.sum(1, keepdims=True)  # they are written with six digits
    metrics = tiny_run.metrics
    assert metrics["test/accuracy"] == pytest.approx(accuracy_score(true, predicted))
    assert metrics["test/balanced_accuracy"] == pytest.approx(balanced_accuracy_score(true, predicted))
    assert metrics["test/macro_f1"] == pytest.approx(f1_score(true, predicted, average="macro"))
    assert metrics["test/log_loss"] == pytest.approx(
        log_loss(true, probabilities, labels=list(tiny_run.card.classes)), rel=1e-3
    )


def test_training_never_reads_the_test_split(tiny_overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    original = StoreDataset.__init__

    def spy(self: StoreDataset, *args: object) -> None:
        opened.append(str(args[1]))
        original(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(StoreDataset, "__init__", spy)
    monkeypatch.setattr(
        "mlops_cls.training.conclude", lambda *args, **named: (opened.append("conclude"), conclude(*args, **named))[1]
    )
    mc.fit(load_config(*tiny_overrides, "trainer.max_epochs=1"))
    assert set(opened[: opened.index("conclude")]) == {"train", "val"}
    assert "test" in opened


def test_evaluate_repeats_the_test_scores_of_the_run_exactly(tiny_run: mc.Run) -> None:
    _, outputs = score_checkpoint(tiny_run.checkpoint, "test", [])
    again = {f"test/{name}": value for name, value in training_scores(outputs).items()}
    again |= assess(outputs, calibration=tiny_run.card.calibration).scores()
    assert again == {name: value for name, value in tiny_run.metrics.items() if name.startswith("test/")}


def test_checkpoint_and_card_carry_scores_classes_and_provenance(tiny_run: mc.Run) -> None:
    content = torch.load(tiny_run.checkpoint, weights_only=True)
    card = mc.ModelCard.from_dict(content["card"])
    assert card == tiny_run.card == mc.Run.open(tiny_run.folder).card
    assert card.classes == tuple("0123456789")
    assert card.scores["test/accuracy"] == tiny_run.metrics["test/accuracy"]
    assert {"config", "data", "git", "versions", "runtime", "machine", "created"} <= set(card.provenance)
    assert yaml.safe_load((tiny_run.folder / "config.yaml").read_text()) == card.provenance["config"]


def test_notebook_lines_of_the_readme_work(tiny_run: mc.Run, make_pictures: object) -> None:
    clf = mc.Predictor.load(tiny_run.checkpoint)
    from sklearn.datasets import load_digits

    picture = (load_digits().images[0] * 255 / 16).round().astype("uint8")
    top = clf(picture).top(3)
    assert len(top) == 3
    assert top[0][1] >= top[1][1] >= top[2][1]
    assert clf(picture).label == top[0][0]


def test_same_seed_twice_gives_identical_weights_and_another_seed_others(tiny_overrides: list[str]) -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        run = mc.fit(load_config(*tiny_overrides, f"seed={seed}", "trainer.max_epochs=1", "augment.mixup=0.2"))
        state: dict[str, torch.Tensor] = read_checkpoint(run.folder / "checkpoints/last.ckpt")["state_dict"]
        return state

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_loader_processes_do_not_change_the_weights(tiny_overrides: list[str]) -> None:
    def weights(workers: int) -> dict[str, torch.Tensor]:
        run = mc.fit(load_config(*tiny_overrides, f"data.workers={workers}", "trainer.max_epochs=2"))
        state: dict[str, torch.Tensor] = read_checkpoint(run.folder / "checkpoints/last.ckpt")["state_dict"]
        return state

    none, two = weights(0), weights(2)
    assert all(torch.equal(none[name], two[name]) for name in none)


@pytest.mark.parametrize(
    "overrides",
    [
        ["trainer.ema=0.9"],
        ["trainer.accumulate=2", "trainer.clip_norm=1"],
        ["loss.name=focal", "loss.class_weights=balanced"],
        ["loss.name=bce", "augment.cutmix=1", "augment.mixup=0.2"],
        ["loss.class_weights=balanced", "loss.smoothing=0.1", "augment.mixup=0.2"],
        ["optim=sgd", "optim.schedule=step", "optim.warmup_epochs=0.5"],
        ["runtime.precision=bf16", "runtime.channels_last=false"],
        ["trainer.patience=1", "trainer.monitor=macro_f1"],
        ["trainer.deterministic=true", "data.channels=rgb"],
        ["trainer.callbacks=[{_target_: pytorch_lightning.callbacks.Timer, interval: epoch}]"],
        ["model=two_conv_cnn", "optim.layer_decay=0.8", "trainer.limit_batches=2"],
    ],
    ids=lambda overrides: overrides[0],
)
def test_every_way_to_train_ends_in_a_tested_checkpoint(tiny_overrides: list[str], overrides: list[str]) -> None:
    run = mc.fit(load_config(*tiny_overrides, "trainer.max_epochs=1", *overrides))
    _, outputs = score_checkpoint(run.checkpoint, "test", [])
    assert training_scores(outputs)["loss"] == run.metrics["test/loss"]


def test_average_of_the_weights_is_what_is_kept_and_scored(tiny_overrides: list[str]) -> None:
    run = mc.fit(load_config(*tiny_overrides, "trainer.ema=0.5"))
    last = read_checkpoint(run.folder / "checkpoints/last.ckpt")
    name = "network.head.weight"
    assert not torch.equal(last["state_dict"][name], last["current_model_state"][name])


def test_fine_tuning_from_a_checkpoint_takes_its_preprocessing(tiny_run: mc.Run, tiny_overrides: list[str]) -> None:
    start = [f"model.weights={tiny_run.checkpoint}", "model.freeze=true", "model.unfreeze_epoch=1"]
    overrides = [override for override in tiny_overrides if not override.startswith("data.size")]
    run = mc.fit(load_config(*overrides, *start))
    assert run.card.preprocess == tiny_run.card.preprocess
    assert "tensors loaded" in (run.folder / "train.log").read_text()


def test_diverged_training_fails_with_advice_and_keeps_its_folder(tiny_overrides: list[str]) -> None:
    overrides = [*tiny_overrides, "run.name=diverged", "optim.name=sgd", "optim.lr=1e30"]
    with pytest.raises(MlopsError, match=r"lower optim\.lr"):
        mc.fit(load_config(*overrides))


def test_refused_config_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        mc.fit(load_config("model.name=no_such_net", "logger=none"))
    with pytest.raises(DataError):
        mc.fit(load_config("data=folder", "data.root=nowhere", "logger=none"))
    with pytest.raises(ArtifactError):
        mc.fit(load_config("model.weights=nowhere.pt", "logger=none"))
    assert {path.name for path in tmp_path.iterdir()} <= {"prepared"}
    assert not (tmp_path / "runs").exists()


def test_run_folder_that_cannot_be_written_is_named(tmp_path: Path, tiny_overrides: list[str]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match=r"run\.folder=FOLDER"):
        mc.fit(load_config(*tiny_overrides, f"run.folder={tmp_path / 'file'}"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_run_folder_is_named(tmp_path: Path, tiny_overrides: list[str]) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ArtifactError, match=r"run\.folder=FOLDER"):
        mc.fit(load_config(*tiny_overrides, f"run.folder={tmp_path}"))


def test_folder_of_an_unfinished_run_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="finished run"):
        mc.Run.open(tmp_path)


def test_checkpoint_of_other_classes_is_refused_with_the_difference(tiny_run: mc.Run, make_pictures: object) -> None:
    root = make_pictures(tiny_run.folder.parent.parent / "colours", {"red": 6, "green": 6})  # type: ignore[operator]
    with pytest.raises(ArtifactError, match=r"missing 0, 1, 2.*unexpected green, red"):
        score_checkpoint(tiny_run.checkpoint, "all", ["data=folder", f"data.root={root}"])


def test_offline_wandb_run_is_kept_in_the_run_folder_without_a_prompt(
    tiny_overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = mc.fit(load_config(*tiny_overrides, "logger=wandb", "trainer.max_epochs=1"))
    offline = list((run.folder / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(offline) == 1
    assert f"python -m mlops_cls.sync {run.folder}" in capsys.readouterr().out


def test_a_report_is_drawn_though_none_is_wanted(tiny_overrides: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run = mc.fit(load_config(*tiny_overrides, "trainer.max_epochs=1", "run.report=false", "run.resume=never"))
    assert not (run.folder / "report.html").exists()
    assert "report.html" not in capsys.readouterr().out
    assert (run.folder / "MODEL_CARD.md").read_text().startswith("---")


def test_last_lines_name_score_checkpoint_and_next_command(
    tiny_overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = mc.fit(load_config(*tiny_overrides, "trainer.max_epochs=1"))
    test, best, look, following = capsys.readouterr().out.splitlines()[-4:]
    low, high = run.card.intervals["test/accuracy"]
    assert f"accuracy {run.metrics['test/accuracy']:.4f} ({low:.3f} to {high:.3f})" in test
    assert str(run.checkpoint) in best
    assert look.endswith(f"look  {run.folder / 'report.html'}")
    assert f"python -m mlops_cls.predict {run.folder}" in following
