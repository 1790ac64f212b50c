"""Sweep files: what is read, what is refused, and that all mistakes are named at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_cls import train
from mlops_cls.compose import config_folder
from mlops_cls.errors import ConfigError
from mlops_cls.search.definition import Halving, find_file, read
from mlops_cls.search.examine import examine, other_monitor, unheard

WriteSweep = Callable[..., Path]
SHIPPED = [config_folder() / "sweep.yaml", *sorted((config_folder() / "sweeps").glob("*.yaml"))]


def command(*words: str) -> list[str]:
    return ["${env}", "${interpreter}", "-m", "mlops_cls.train", "experiment=quickstart", *words]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_sweeps_would_start(path: Path) -> None:
    definition = read(path)
    assert examine(definition)
    assert path.read_text().startswith("# ")
    assert f"mlops_cls.sweep configs/{path.relative_to(config_folder())}" in path.read_text()


def test_trials_have_other_arguments_than_an_agents(write_sweep: WriteSweep) -> None:
    parameters = {"optim.lr": {"value": 1e-5}, "model": {"value": "resnet18"}, "trainer.patience": {"value": None}}
    path = write_sweep(parameters=parameters, command=command("${args_no_hyphens}", "data.size=8"))
    definition = read(path, ["logger=none"])
    values = {"optim.lr": 1e-5, "model": "resnet18", "trainer.patience": None}
    # As in `create_sweep_command_args` of wandb: f"{param}={value}".
    varied = ["optim.lr=1e-05", "model=resnet18", "trainer.patience=None"]
    assert definition.overrides(values) == ["experiment=quickstart", *varied, "data.size=8", "logger=none"]


@pytest.mark.parametrize(
    ("words", "program"),
    [
        (["python", "-m", "mlops_cls.train", "${args_no_hyphens}"], None),
        (["python", "-m", "${program}", "${args_no_hyphens}"], "mlops_cls.train"),
        (["mlops-cls", "train", "${args_no_hyphens}"], None),
        (["${env}", "python", "${program}", "${args_no_hyphens}"], "src/mlops_cls/train.py"),
    ],
)
def test_a_way_to_start_training_is_not_understood(
    write_sweep: WriteSweep, words: list[str], program: str | None
) -> None:
    assert read(write_sweep(command=words, program=program)).overrides({"optim.lr": 1}) == ["optim.lr=1"]


def test_new_arguments_of_a_network_cannot_be_varied(write_sweep: WriteSweep) -> None:
    words, varied = command("${args_override_hydra}"), {"model.kwargs.widths": {"values": [[8, 8], [8, 16]]}}
    configs = examine(read(write_sweep(command=words, parameters=varied)))
    assert {tuple(config.model.kwargs["widths"]) for config in configs if config.model.kwargs} == {(8, 8), (8, 16)}


def test_nested_parameters_lose_their_names(write_sweep: WriteSweep) -> None:
    varied = {"optim": {"parameters": {"lr": {"values": [0.1, 0.2]}, "name": {"value": "sgd"}}}}
    definition = read(write_sweep(parameters=varied, method="grid"))
    assert list(definition.parameters) == ["optim.lr", "optim.name"]
    assert {(config.optim.lr, config.optim.name) for config in examine(definition)} >= {(0.1, "sgd"), (0.2, "sgd")}


@pytest.mark.parametrize(
    ("given", "rung"),
    [
        ({"min_iter": 3}, Halving(3, 3)),
        ({"min_iter": 2, "eta": 4}, Halving(2, 4)),
        # https://docs.wandb.ai: "max_iter: 27, s: 2, eta: 3" compares after 3 and 9.
        ({"max_iter": 27, "s": 2}, Halving(3, 3)),
    ],
)
def test_hyperband_compares_after_other_epochs_than_wandb(
    write_sweep: WriteSweep, given: dict[str, Any], rung: Halving
) -> None:
    assert read(write_sweep(early_terminate={"type": "hyperband", **given})).halving == rung


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"methd": "grid"}, "methd is no key of a sweep; did you mean 'method'"),
        ({"method": "bayesian"}, "method=bayesian is not known"),
        ({"method": "grid"}, "method: grid needs values"),
        ({"metric": {"name": "test/accuracy", "goal": "maximize"}}, "would choose by the test split"),
        ({"metric": {"name": "val/acuracy", "goal": "maximize"}}, "did you mean 'val/accuracy'"),
        ({"metric": {"name": "val/accuracy"}}, "looks for the worst val/accuracy: write goal: maximize"),
        ({"metric": {"name": "val/loss", "goal": "minimise"}}, "goal=minimise is not known"),
        ({"metric": {"name": "val/loss", "impute": "worst"}}, "impute would not be used"),
        ({"metric": None}, "metric needs a name and a goal"),
        ({"parameters": None}, "nothing is varied"),
        ({"parameters": {"optim.lr": 0.1}}, r"write optim.lr: \{values: \[0.1\]\}"),
        ({"parameters": {"run.folder": {"values": ["a"]}}}, "gives each trial its own"),
        ({"command": None}, "command is missing"),
        ({"command": command("${args}")}, "write \\${args_no_hyphens}"),
        ({"command": command("${args_no_hyphen}")}, "write \\${args_no_hyphens}"),
        ({"command": command()}, "must stand in it once"),
        ({"command": ["python", "train.py"]}, "does not start mlops_cls.train"),
        ({"command": command("optim.lr=1", "${args_no_hyphens}")}, "optim.lr is varied by the sweep and also given"),
        ({"early_terminate": {"type": "envelope"}}, "type must be hyperband"),
        ({"early_terminate": {"type": "hyperband"}}, "needs min_iter, or max_iter and s"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "strict": True}}, "strict would not be used"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 4, "s": 2}}, "is below 1"),
        ({"run_cap": 0}, "run_cap=0 must be a whole number"),
        ({"name": "a/b"}, "is a folder's name"),
    ],
)
def test_a_mistake_in_a_sweep_file_is_found_only_by_its_trials(
    write_sweep: WriteSweep, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        read(write_sweep(**keys))
    assert "tiny.yaml: " in str(refused.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"optim.lrr": {"values": [1]}}, "optim.lrr is not a setting; did you mean optim.lr?"),
        ({"model": {"values": ["resnet18", "resnet19"]}}, "model=resnet19 is not known"),
        ({"model.name": {"values": ["resnet18", "resnet17"]}}, "resnet17"),
        ({"optim.lr": {"min": -1.0, "max": 1.0}}, "optim.lr=-1.0 is impossible"),
        ({"data.batch_size": {"min": 8.0, "max": 64.0}}, "data.batch_size: Value"),
        ({"optim.schedule": {"values": ["cosine", "cosin"]}}, "did you mean 'cosine'"),
        ({"data.url": {"values": ["a,b"]}}, "a text wants quotes"),
        ({"loss.gamma": {"values": [1, 2]}}, "loss.gamma=1.0 would not be used"),
    ],
)
def test_a_value_that_training_refuses_is_found_only_by_its_trial(
    write_sweep: WriteSweep, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        examine(read(write_sweep(parameters=parameters)))


def test_a_setting_that_needs_another_parameters_value_is_refused(write_sweep: WriteSweep) -> None:
    varied = {"loss.gamma": {"values": [1.0, 2.0]}, "loss.name": {"value": "focal"}}
    assert {config.loss.gamma for config in examine(read(write_sweep(parameters=varied)))} >= {1.0, 2.0}


def test_one_mistake_hides_the_others(write_sweep: WriteSweep) -> None:
    varied = {"optim.lrr": {"value": 1}, "model": {"values": ["resnet18", "rsnet"]}, "seed": {"values": [1, -1]}}
    with pytest.raises(ConfigError) as refused:
        examine(read(write_sweep(parameters=varied)))
    assert [word in str(refused.value) for word in ("optim.lrr", "rsnet", "seed=-1")] == [True] * 3
    with pytest.raises(ConfigError) as refused:
        read(write_sweep(method="gird", metric=None, parameters={"a": {"values": []}}))
    assert str(refused.value).count("tiny.yaml: ") == 3
    with pytest.raises(ConfigError, match=r"(?s)optim.lr: min.*seed: write seed"):
        read(write_sweep(parameters={"seed": 1, "optim.lr": {"min": "1e-4", "max": 1.0}}))


def test_two_values_that_exclude_each_other_start_a_grid(write_sweep: WriteSweep) -> None:
    varied = {"augment.mixup": {"values": [0.0, 0.2]}, "loss.name": {"values": ["cross_entropy", "focal"]}}
    with pytest.raises(ConfigError, match="need soft labels"):
        examine(read(write_sweep(method="grid", parameters=varied)))


def test_pruning_that_never_happens_is_silent(write_sweep: WriteSweep) -> None:
    with pytest.raises(ConfigError, match=r"early_terminate would not be used.*max_epochs=1"):
        examine(read(write_sweep(early_terminate={"type": "hyperband", "min_iter": 1})))


def test_a_doubtful_sweep_is_started_without_a_word(write_sweep: WriteSweep) -> None:
    definition = read(write_sweep())
    configs = examine(definition)
    assert "trainer.monitor=accuracy" in next(other_monitor(definition, configs))
    assert "wandb agent" in next(unheard(configs))


def test_a_shipped_sweep_is_found_by_name_and_a_typo_names_the_nearest() -> None:
    assert find_file("configs/sweep.yaml").name == "sweep.yaml"
    assert find_file("seabed").parent.name == "sweeps"
    with pytest.raises(ConfigError, match="did you mean 'seabed'"):
        find_file("seabd")


def test_sweeps_are_offered_as_a_config_group(capsys: pytest.CaptureFixture[str]) -> None:
    train.main(["--help"])
    assert "  sweeps:" not in capsys.readouterr().out
