"""The config border: every shipped file composes, and every class of mistake is named with its key, file and cure."""

from collections.abc import Callable
from pathlib import Path

import pytest

import mlops_cls as mc
from mlops_cls.build import check
from mlops_cls.choices import LossName, Schedule
from mlops_cls.compose import change_data, config_folder, load_config
from mlops_cls.config import AugmentConfig, Config, LossConfig, ModelConfig, OptimConfig, TrainerConfig
from mlops_cls.errors import ConfigError

GROUPS = ("data", "model", "augment", "optim", "trainer", "logger")
EXPERIMENTS = sorted(path.stem for path in (config_folder() / "experiment").glob("*.yaml"))
OPTIONS = sorted(f"{group}={path.stem}" for group in GROUPS for path in (config_folder() / group).glob("*.yaml"))


@pytest.fixture
def user_configs(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes an experiment file `mine` into a config folder of the user's own."""

    def write(text: str) -> Path:
        (tmp_path / "experiment").mkdir()
        (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\n" + text)
        return tmp_path

    return write


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_shipped_experiment_composes_and_would_start(experiment: str) -> None:
    config = load_config(f"experiment={experiment}")
    check(config)
    assert config.run.name == experiment


@pytest.mark.parametrize("option", OPTIONS)
def test_every_shipped_group_option_composes(option: str) -> None:
    # folder and table cannot do without a root, which is the user's.
    root = ["data.root=somewhere"] if option in ("data=folder", "data=table") else []
    check(load_config(option, *root))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiment_header_gives_its_command(experiment: str) -> None:
    text = (config_folder() / "experiment" / f"{experiment}.yaml").read_text()
    assert f"python -m mlops_cls.train experiment={experiment}" in text


def test_defaults_of_yaml_and_of_the_classes_agree() -> None:
    composed, built = load_config(), Config()
    assert (composed.data, composed.trainer, composed.optim) == (built.data, built.trainer, built.optim)


def test_command_line_choice_of_data_wins_over_the_experiment() -> None:
    config = load_config("experiment=resnet18", "data=folder", "data.root=pics", "optim.lr=3e-4")
    assert (config.data.name, config.data.root, config.optim.lr) == ("folder", "pics", 3e-4)
    assert load_config("experiment=resnet18", "data=fmnist").data.size == 28


def test_config_folder_of_the_user_is_searched(user_configs: Callable[[str], Path]) -> None:
    folder = user_configs("defaults:\n  - override /model: mini_resnet\ntrainer:\n  max_epochs: 3\n")
    config = mc.load_config("experiment=mine", config_dir=folder)
    assert (config.model.name, config.trainer.max_epochs) == ("mini_resnet", 3)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optim.lrr=1", ["optim.lrr", "did you mean optim.lr?"]),
        ("lr=1", ["lr", "did you mean optim.lr?"]),
        ("data.batchsize=3", ["data.batchsize", "data.batch_size"]),
        ("+optim.lrr=1", ["optim.lrr", "did you mean optim.lr?"]),
        ("modl=resnet18", ["modl", "did you mean model?"]),
        ("model=resnet19", ["model=resnet19", "resnet18", "allowed:"]),
        ("experiment=quickstrat", ["experiment=quickstrat", "'quickstart'"]),
        ("data.batch_size=lots", ["data.batch_size", "lots", "Integer"]),
        ("trainer.max_epochs=2.5", ["trainer.max_epochs", "2.5", "Integer"]),
        ("optim.lr=", ["optim.lr", "Float"]),
        ("runtime.precision=fp17", ["runtime.precision", "fp17", "bf16", "did you mean 'fp16'?"]),
        ("data.resize=crp", ["data.resize", "did you mean 'crop'?"]),
        ("trainer.max_epochs=0", ["trainer.max_epochs=0", "at least 1"]),
        ("data.subsample=1.5", ["data.subsample=1.5", "above 0 and at most 1"]),
        ("optim.lr=-1", ["optim.lr=-1", "above 0"]),
        ("seed=-1", ["seed=-1", "at least 0"]),
        ("run.name=a/b", ["run.name='a/b'", "folder"]),
        ("quickstart", ["'quickstart'", "experiment=quickstart"]),
        ("data=folder", ["data=folder", "data.root=PATH"]),
        ("model.kwargs.img_size=64", ["+model.kwargs.img_size=VALUE"]),
    ],
)
def test_mistake_on_the_command_line_is_named_with_its_cure(override: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(override)
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("trainer:\n  epocs: 3\n", ["experiment/mine.yaml", "trainer.epocs", "trainer.max_epochs"]),
        ("trainr:\n  max_epochs: 3\n", ["experiment/mine.yaml", "trainr", "did you mean trainer?"]),
        ("trainer:\n  max_epochs: many\n", ["experiment/mine.yaml", "trainer.max_epochs", "many", "Integer"]),
        ("loss:\n  name: focl\n", ["experiment/mine.yaml", "loss.name", "did you mean 'focal'?"]),
        ("defaults:\n  - override /modl: resnet18\n", ["experiment/mine.yaml", "modl", "did you mean model?"]),
        ("defaults:\n  - override /model: resnet181\n", ["model=resnet181", "resnet18"]),
        ("trainer: {max_epochs: 3\n", ["mine.yaml", "line 2"]),
        ("data: {size: 0}\n", ["data.size=0", "at least 1"]),
    ],
)
def test_mistake_in_an_experiment_file_is_named_with_its_cure(
    user_configs: Callable[[str], Path], text: str, words: list[str]
) -> None:
    folder = user_configs(text)
    with pytest.raises(ConfigError) as caught:
        load_config("experiment=mine", config_dir=folder)
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message


def test_experiment_file_without_its_package_line_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("trainer: {max_epochs: 3}\n")
    with pytest.raises(ConfigError, match="# @package _global_"):
        load_config("experiment=mine", config_dir=tmp_path)


@pytest.mark.parametrize(
    "overrides",
    [
        ["loss.gamma=2"],
        ["loss.name=focal", "loss.smoothing=0.1"],
        ["loss.name=bce", "loss.class_weights=balanced"],
        ["optim.step_epochs=2"],
        ["optim.schedule=onecycle", "optim.warmup_epochs=1"],
        ["model.unfreeze_epoch=1"],
        ["data.label_column=breed"],
        ["data.root=somewhere"],
        ["logger=none", "logger.project=x"],
        ["logger=tensorboard", "logger.project=x"],
        ["logger=mlflow", "logger.registry=x"],
        ["logger=wandb", "logger.uri=sqlite:///x"],
        ["logger.mode=offline", "logger.secret=projects/p/secrets/s"],
        ["logger.upload=none", "logger.keep_versions=3"],
        ["optim.momentum=0.9"],
        ["optim.name=sgd", "optim.betas=[0.9,0.99]"],
        ["model.pretrained=true", "model.freeze=true", "model.unfreeze_epoch=99"],
        ["data.fold=1", "data.folds=5", "data.test_fraction=0.3"],
    ],
    ids=lambda overrides: overrides[-1],
)
def test_setting_that_the_run_would_not_use_is_refused(overrides: list[str]) -> None:
    with pytest.raises(ConfigError, match="would not be used") as caught:
        check(load_config(*overrides))
    assert overrides[-1].partition("=")[0] in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model.name=resnet81"], ["model.name=resnet81", "resnet18"]),
        (["optim.name=adamww"], ["optim.name=adamww", "'adamw'", "list_optimizers"]),
        (["data.name=digit"], ["data.name=digit", "'digits'"]),
        (
            ["data.sampler=balanced", "loss.class_weights=balanced"],
            ["data.sampler=balanced", "loss.class_weights=balanced", "twice"],
        ),
        (["data.fold=2"], ["data.fold=2", "data.folds=5"]),
        (["data.folds=3"], ["data.folds=3", "-m data.fold=1,2,3"]),
        (["data.fold=4", "data.folds=3"], ["data.fold=4", "from 1 to data.folds=3"]),
        (["data.fold=1", "data.folds=1"], ["data.folds=1", "at least 2"]),
        (["data.fold=1", "data.folds=3", "data.split=shipped"], ["data.split=shipped", "data.split=stratified"]),
        (["augment.transforms=[{name: HorizontalFlop}]"], ["HorizontalFlop", "'HorizontalFlip'"]),
        (["augment.transforms=[{name: HorizontalFlip, prob: 1}]"], ["HorizontalFlip has no prob", "p"]),
        (["trainer.callbacks=[{_target_: pytorch_lightning.callbacks.Tmer}]"], ["pytorch_lightning.callbacks.Tmer"]),
        (
            ["trainer.callbacks=[{_target_: pytorch_lightning.callbacks.Timer, durations: 3}]"],
            ["durations", "'duration'"],
        ),
        (["trainer.callbacks=[{}]"], ["_target_"]),
        (["logger=tensorbord"], ["logger=tensorbord", "'tensorboard'"]),
        (["logger.secret=wandb"], ["logger.secret=wandb", "projects/PROJECT/secrets/NAME"]),
        (["logger.registry=a/b/c"], ["logger.registry=a/b/c", "REGISTRY/COLLECTION"]),
        (["logger.upload=bst"], ["logger.upload", "'best'"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_unknown_name_is_refused_before_anything_runs(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        check(load_config(*overrides))
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Config(loss=LossConfig(gamma=1), optim=OptimConfig(lr=0), trainer=TrainerConfig(max_epochs=0))
    assert [word for word in ("loss.gamma", "optim.lr", "trainer.max_epochs") if word not in str(caught.value)] == []


def test_combinations_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="soft labels"):
        Config(loss=LossConfig(name=LossName.focal), augment=AugmentConfig(mixup=0.2))
    with pytest.raises(ConfigError, match="random weights"):
        Config(model=ModelConfig(freeze=True))
    with pytest.raises(ConfigError, match="exclude each other"):
        Config(model=ModelConfig(pretrained=True, weights="w.pt"))


def test_change_after_loading_is_checked_too() -> None:
    config = load_config("logger=none")
    config.optim.schedule = Schedule.onecycle
    config.optim.warmup_epochs = 2
    with pytest.raises(ConfigError, match=r"optim\.warmup_epochs"):
        mc.fit(config)


def test_data_of_a_finished_run_can_be_changed_but_nothing_else() -> None:
    values = {"data": {"name": "digits", "subsample": 0.5}, "trainer": {"max_epochs": 3}}
    changed = change_data(values, ["data=folder", "data.root=pics"])
    assert (changed.data.name, changed.data.root, changed.data.subsample) == ("folder", "pics", 1.0)
    assert change_data(values, ["data.store=elsewhere"]).data.subsample == 0.5
    with pytest.raises(ConfigError, match=r"optim.lr=1: only data"):
        change_data(values, ["optim.lr=1"])
