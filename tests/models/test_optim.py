"""Schedules against torch's own, stepped; optimisers as timm makes them, and settings they would not use."""

from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
import timm
import torch
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, StepLR

from mlops_cls.choices import Schedule
from mlops_cls.config import OptimConfig
from mlops_cls.errors import ConfigError
from mlops_cls.models.optim import Pace, check_optimizer, make_optimizer, make_schedule, schedule_factor
from mlops_cls.models.small import default_cfgs

SMALL = [name.partition(".")[0] for name in default_cfgs]


def torch_factors(make: Callable[[SGD], LRScheduler], steps: int) -> list[float]:
    """Return the learning rate of each step under torch's own schedule, for a learning rate of 1."""
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    factors = []
    for _ in range(steps):
        factors.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return factors


def our_factors(steps: int, epochs: float, **settings: Any) -> list[float]:
    factor = schedule_factor(OptimConfig(**settings), steps=steps, epochs=epochs)
    return [factor(step) for step in range(steps)]


@pytest.mark.parametrize("steps", [1, 7, 100])
def test_cosine_equals_torch(steps: int) -> None:
    expected = torch_factors(lambda optimizer: CosineAnnealingLR(optimizer, T_max=steps), steps)
    assert our_factors(steps, 1) == pytest.approx(expected, abs=1e-6)


def test_cosine_after_the_warmup_equals_torch_over_the_steps_that_are_left() -> None:
    expected = torch_factors(lambda optimizer: CosineAnnealingLR(optimizer, T_max=80), 80)
    assert our_factors(100, 10, warmup_epochs=2)[20:] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("settings", [{}, {"warmup_epochs": 1.0}, {"schedule": Schedule.onecycle}])
def test_last_step_of_a_falling_schedule_is_near_zero_and_nothing_is_negative(settings: dict[str, Any]) -> None:
    factors = our_factors(200, 10, **settings)
    assert 0 <= factors[-1] < 1e-3
    assert min(factors) >= 0
    assert 0 <= schedule_factor(OptimConfig(**settings), steps=200, epochs=10)(200) < 1e-5


def test_onecycle_equals_torch_within_the_step_by_which_they_count_apart() -> None:
    # torch ends its two phases one step before the shares of the run, ours ends them there.
    steps = 1000
    expected = torch_factors(lambda optimizer: OneCycleLR(optimizer, 1.0, total_steps=steps + 1), steps)
    ours = our_factors(steps, 10, schedule=Schedule.onecycle)
    assert ours == pytest.approx(expected, abs=0.006)
    assert ours[0] == pytest.approx(expected[0])
    assert max(ours) == pytest.approx(1)


def test_onecycle_ends_where_torch_ends() -> None:
    expected = torch_factors(lambda optimizer: OneCycleLR(optimizer, 1.0, total_steps=51), 51)
    ours = schedule_factor(OptimConfig(schedule=Schedule.onecycle), steps=50, epochs=5)
    assert ours(50) == pytest.approx(expected[50])


@pytest.mark.parametrize(("step_epochs", "step_factor"), [(1, 0.5), (2, 0.1), (4, 0.3)])
def test_step_equals_torch(step_epochs: int, step_factor: float) -> None:
    steps = 90
    expected = torch_factors(lambda optimizer: StepLR(optimizer, 10 * step_epochs, step_factor), steps)
    ours = our_factors(steps, 9, schedule=Schedule.step, step_epochs=step_epochs, step_factor=step_factor)
    assert ours == pytest.approx(expected)


def test_step_falls_to_a_tenth_after_each_third_unless_told() -> None:
    expected = torch_factors(lambda optimizer: StepLR(optimizer, 30, 0.1), 90)
    assert our_factors(90, 9, schedule=Schedule.step) == pytest.approx(expected)


@pytest.mark.parametrize(("steps", "steps_per_epoch"), [(10, 3), (17, 7), (30, 13), (31, 29), (97, 41)])
def test_step_falls_at_the_start_of_an_epoch_even_where_the_run_ends_within_one(
    steps: int, steps_per_epoch: int
) -> None:
    # A run of max_steps has no whole number of epochs, and without care rounding brings the drop a step late.
    ours = our_factors(steps, steps / steps_per_epoch, schedule=Schedule.step, step_epochs=1, step_factor=0.5)
    assert ours == [0.5 ** (step // steps_per_epoch) for step in range(steps)]


def test_run_of_fewer_than_three_epochs_has_a_step_schedule_too() -> None:
    assert our_factors(4, 2, schedule=Schedule.step) == pytest.approx([1, 1, 0.1, 0.1])


def test_schedule_none_changes_nothing() -> None:
    assert our_factors(10, 2, schedule=Schedule.none) == [1] * 10


@pytest.mark.parametrize("schedule", [Schedule.cosine, Schedule.step, Schedule.none])
@pytest.mark.parametrize("warmup_epochs", [0.5, 2.0])
def test_warmup_rises_evenly_and_ends_at_the_full_rate(schedule: Schedule, warmup_epochs: float) -> None:
    factors = our_factors(100, 10, schedule=schedule, warmup_epochs=warmup_epochs)
    warmup = round(warmup_epochs * 10)
    rises = [after - before for before, after in pairwise(factors[: warmup + 1])]
    assert rises == pytest.approx([1 / (warmup + 1)] * warmup)
    assert factors[0] == pytest.approx(1 / (warmup + 1))
    assert factors[warmup] == 1


@pytest.mark.parametrize("schedule", [Schedule.cosine, Schedule.step, Schedule.none])
@pytest.mark.parametrize("warmup_epochs", [3.0, 50.0])
def test_warmup_as_long_as_the_run_is_refused(schedule: Schedule, warmup_epochs: float) -> None:
    with pytest.raises(ConfigError, match=rf"optim\.warmup_epochs={warmup_epochs}.*the run of 3 epochs"):
        schedule_factor(OptimConfig(schedule=schedule, warmup_epochs=warmup_epochs), steps=30, epochs=3)


@pytest.fixture
def network() -> nn.Module:
    module: nn.Module = timm.create_model("two_conv_cnn", num_classes=3, in_chans=1)
    return module


def test_schedule_keeps_the_shares_of_layers(network: nn.Module) -> None:
    config = OptimConfig(lr=0.1, layer_decay=0.5)
    optimizer = make_optimizer(network, config)
    before = [group["lr"] for group in optimizer.param_groups]
    scheduler = make_schedule(optimizer, config, pace=Pace(10), epochs=1)
    for _ in range(5):
        optimizer.step()
        scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([rate / 2 for rate in before])


def rates(network: nn.Module, config: OptimConfig) -> dict[str, float]:
    """Return the learning rate of each parameter by its name."""
    groups = make_optimizer(network, config).param_groups
    rate = {id(parameter): float(group["lr"]) for group in groups for parameter in group["params"]}
    return {name: rate[id(parameter)] for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("name", [*SMALL, "resnet10t"])
def test_layer_decay_lets_earlier_layers_learn_more_slowly(name: str) -> None:
    network = timm.create_model(name, num_classes=3)
    found = rates(network, OptimConfig(lr=0.1, layer_decay=0.5))
    in_order = list(found.values())
    assert in_order == sorted(in_order)
    assert in_order[-1] == pytest.approx(0.1)
    assert in_order[0] <= 0.1 * 0.5**2
    head = {f"{network.pretrained_cfg['classifier']}.{kind}" for kind in ("weight", "bias")}
    assert {parameter for parameter, rate in found.items() if rate == pytest.approx(0.1)} == head


@pytest.mark.parametrize("name", SMALL)
def test_without_layer_decay_all_layers_learn_alike(name: str) -> None:
    network = timm.create_model(name, num_classes=3)
    assert set(rates(network, OptimConfig(lr=0.1)).values()) == {0.1}


@pytest.mark.parametrize("layer_decay", [None, 0.7])
@pytest.mark.parametrize("name", [*SMALL, "resnet10t"])
def test_weight_decay_leaves_biases_and_normalisation_out_and_nothing_else(
    name: str, layer_decay: float | None
) -> None:
    network = timm.create_model(name, num_classes=3)
    groups = make_optimizer(network, OptimConfig(weight_decay=0.3, layer_decay=layer_decay)).param_groups
    decay = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    expected = {
        f"{path}.{kind}": 0.3 if kind == "weight" and isinstance(module, nn.Conv2d | nn.Linear) else 0
        for path, module in network.named_modules()
        for kind, _ in module.named_parameters(recurse=False)
    }
    assert {key: decay[id(parameter)] for key, parameter in network.named_parameters()} == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"name": "sgd", "lr": 0.3}, {"lr": 0.3, "momentum": 0.9}),
        ({"name": "sgd", "momentum": 0.8}, {"momentum": 0.8}),
        ({"name": "adamw", "betas": [0.8, 0.95]}, {"betas": (0.8, 0.95)}),
        ({"name": "adan", "betas": [0.9, 0.8, 0.7]}, {"betas": (0.9, 0.8, 0.7)}),
        ({"name": "adam"}, {"betas": (0.9, 0.999)}),
    ],
)
def test_settings_reach_the_optimiser(network: nn.Module, settings: dict[str, Any], expected: dict[str, Any]) -> None:
    for group in make_optimizer(network, OptimConfig(**settings)).param_groups:
        assert {key: group[key] for key in expected} == expected


@pytest.mark.parametrize(
    "name", ["adam", "adamw", "adan", "adopt", "lamb", "lars", "lion", "madgrad", "muon", "nadam", "rmsproptf", "sgdp"]
)
def test_optimisers_of_many_kinds_take_steps(network: nn.Module, name: str) -> None:
    before = [parameter.detach().clone() for parameter in network.parameters()]
    optimizer = make_optimizer(network, OptimConfig(name=name, lr=0.01))
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for _ in range(3):  # adopt only looks at its first gradient, and two steps of lion may cancel
        optimizer.zero_grad()
        network(images).square().sum().backward()
        optimizer.step()
    assert not any(torch.equal(one, two) for one, two in zip(network.parameters(), before, strict=True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "adam", "momentum": 0.9}, r"optim\.momentum=0\.9 would not be used: adam has no momentum"),
        ({"name": "sgd", "betas": [0.9, 0.99]}, r"optim\.betas=\[0\.9, 0\.99\] would not be used: sgd has no betas"),
        ({"name": "adamw", "betas": [0.9]}, "adamw takes 2 numbers"),
        ({"name": "adamw", "betas": [0.9, 0.99, 0.999]}, "adamw takes 2 numbers"),
        ({"name": "adan", "betas": [0.9, 0.99]}, r"adan takes 3 numbers.*\[0\.98, 0\.92, 0\.99\]"),
        ({"name": "adamw", "betas": [0.9, 1.0]}, "from 0 to below 1"),
        ({"name": "adamw", "betas": [-0.1, 0.9]}, "from 0 to below 1"),
        ({"name": "adamww"}, r"optim\.name=adamww is not known; did you mean 'adamw'"),
        ({"name": "adahessian"}, "second derivatives"),
    ],
)
def test_setting_the_optimiser_would_not_use_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_optimizer(OptimConfig(**settings))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA, and may have the packages")
@pytest.mark.parametrize("name", ["fusedadam", "bnbadam8bit"])
def test_optimiser_of_a_package_that_is_not_here_is_refused_before_the_run(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"optim\.name={name} cannot be used here: CUDA"):
        check_optimizer(OptimConfig(name=name))


def test_checking_an_optimiser_does_not_change_the_weights_that_are_drawn_next() -> None:
    before = torch.get_rng_state()
    check_optimizer(OptimConfig(betas=[0.9, 0.99]))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_the_fused_step_is_another_step(name: str) -> None:
    def trained(fused: bool) -> list[Tensor]:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        optimizer = make_optimizer(network, OptimConfig(name=name, lr=0.01))
        if not fused:
            optimizer = type(optimizer)([group | {"fused": False} for group in optimizer.param_groups])
        assert all(bool(group["fused"]) is fused for group in optimizer.param_groups)
        for _ in range(20):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(torch.randn(32, 8)), torch.arange(32) % 3).backward()
            optimizer.step()
        return list(network.parameters())

    for one, other in zip(trained(True), trained(False), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.filterwarnings("ignore:GPU available but not used")
def test_a_fused_optimiser_cannot_be_clipped_in_bf16() -> None:
    plugin = MixedPrecision("bf16-mixed", "cpu")
    parameter = nn.Parameter(torch.ones(4))
    optimizer = make_optimizer(nn.ParameterList([parameter]), OptimConfig())
    parameter.grad = torch.full((4,), 3.0)
    plugin.clip_gradients(optimizer, clip_val=1.0)
    assert float(parameter.grad.norm()) == pytest.approx(1.0)


def test_sgd_fails_when_a_part_is_thawed_or_begins_it_with_another_step() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    slow, pictures = deepcopy(network), torch.ones(1, 3)
    ours = make_optimizer(network, OptimConfig(name="sgd", lr=0.1, weight_decay=0))
    theirs = SGD(slow.parameters(), 0.1, 0.9, nesterov=True)
    for frozen in (True, False, False):
        for model, optimizer in ((network, ours), (slow, theirs)):
            model[0].requires_grad_(not frozen)
            optimizer.zero_grad()
            torch.autograd.backward(model(pictures).square().sum())
            optimizer.step()
    for one, other in zip(network.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(one, other)
