"""What W&B's agent writes on the command line, in Hydra's words: composed for real."""

import pytest

import mlops_cls as mc
from mlops_cls.compose import combinations
from mlops_cls.overrides import in_hydra_words


@pytest.mark.parametrize(
    "plain", ["optim.lr=1e-3", "model=resnet18", "run.name=two words", "data.folds=[1,2]x", "+model.kwargs={a: [1, b]}"]
)
def test_what_hydra_can_read_is_changed(plain: str) -> None:
    assert in_hydra_words([plain]) == [plain]


def test_none_of_an_agent_is_a_text() -> None:
    assert mc.load_config("experiment=resnet18", "trainer.patience=None").trainer.patience is None


def test_nested_parameters_of_an_agent_are_refused() -> None:
    values = {"lr": 0.1, "name": "sgd", "momentum": None, "betas": [0.9, 0.99]}
    optim = mc.load_config("experiment=resnet18", f"optim={values}").optim
    assert (optim.lr, optim.name, optim.momentum, optim.betas) == (0.1, "sgd", None, [0.9, 0.99])


def test_lists_and_quotes_of_an_agent_lose_letters() -> None:
    tags = ["two words", "it's", 'a "b"', "back\\slash", "\\'", "end\\", "a,b"]
    assert mc.load_config("experiment=resnet18", f"logger.tags={tags}").logger.tags == tags


def test_arguments_of_a_network_come_through_nested_or_not() -> None:
    kwargs = {"widths": [8, 16], "act": "relu"}
    assert mc.load_config("model=baseline_cnn", f"model.kwargs={kwargs}").model.kwargs == kwargs
    nested = mc.load_config("model=baseline_cnn", f"model={ {'drop_rate': 0.1, 'kwargs': kwargs} }").model
    assert (nested.kwargs, nested.drop_rate) == (kwargs, 0.1)


def test_a_command_for_several_runs_makes_others_than_train_does() -> None:
    runs = combinations(["experiment=quickstart", "optim.lr=1e-3,3e-3", "run.name='a, b'", "seed=range(0,2)"])
    assert [run[1] for run in runs] == ["optim.lr=0.001", "optim.lr=0.001", "optim.lr=0.003", "optim.lr=0.003"]
    assert [run[3] for run in runs] == ["seed=0", "seed=1"] * 2
    assert {tuple(run[::2]) for run in runs} == {("experiment=quickstart", "run.name='a, b'")}


@pytest.mark.parametrize(
    ("word", "said"), [("optim.lr=interval(0,1)", "without end"), ("quickstart", "form key=value")]
)
def test_a_word_that_means_no_runs_is_a_run(word: str, said: str) -> None:
    with pytest.raises(mc.ConfigError, match=said):
        combinations([word])
