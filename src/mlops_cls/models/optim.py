"""Optimisers by name from timm, and learning-rate schedules counted in steps."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from timm.optim import create_optimizer_v2, get_optimizer_info, list_optimizers
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mlops_cls.choices import Schedule
from mlops_cls.config import OptimConfig
from mlops_cls.errors import ConfigError, unknown_name
from mlops_cls.models.sharding import is_sharded

DEFAULT_MOMENTUM = 0.9
ONECYCLE_RISE, ONECYCLE_START, ONECYCLE_END = 0.3, 1 / 25, 1e-4 / 25
DEFAULT_STEP_FACTOR = 0.1
FUSED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)
"""torch's own with one kernel for all of a step: of resnet18 on one core, AdamW's took 7 ms and not 57. SGD's does not
take the parts of parameters of which each process keeps one (torch 2.13)."""


def check_optimizer(config: OptimConfig) -> None:
    """Raise `ConfigError` for an unknown optimiser, or for a setting that this one does not have."""
    if config.name not in list_optimizers():
        hint = "such as adamw, sgd, lamb; all: python -c 'import timm; print(timm.optim.list_optimizers())'"
        raise unknown_name("optim.name", config.name, list_optimizers(), hint=hint)
    info = get_optimizer_info(config.name)
    if config.momentum is not None and not info.has_momentum:
        raise ConfigError(f"optim.momentum={config.momentum} would not be used: {config.name} has no momentum")
    if config.betas is not None and not info.has_betas:
        raise ConfigError(f"optim.betas={config.betas} would not be used: {config.name} has no betas")
    if info.second_order:
        raise ConfigError(f"optim.name={config.name} cannot be used: it needs second derivatives")
    usual = _defaults(config.name)
    if config.betas is not None:
        _check_betas(config.name, config.betas, usual["betas"])


def make_optimizer(network: nn.Module, config: OptimConfig) -> Optimizer:
    """Return the optimiser over all parameters; biases and normalisation without weight decay.

    With `layer_decay`, deeper layers learn faster: Clark et al. 2020, arXiv:2003.10555.
    """
    check_optimizer(config)
    extra: dict[str, Any] = {} if config.betas is None else {"betas": tuple(config.betas)}
    kind = get_optimizer_info(config.name).opt_class
    if kind in FUSED and not (kind is torch.optim.SGD and is_sharded(network)):
        extra["fused"] = True
    momentum = DEFAULT_MOMENTUM if config.momentum is None else config.momentum
    optimizer: Optimizer = create_optimizer_v2(
        network, config.name, config.lr, config.weight_decay, momentum, layer_decay=config.layer_decay, **extra
    )
    for group in optimizer.param_groups:
        group["lr"] = config.lr * group.get("lr_scale", 1.0)
    if extra.get("fused") and kind is torch.optim.SGD:
        _begin_momentum(optimizer)
    # A fused optimiser offers to unscale gradients itself, after which it would be too late to clip them.
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return optimizer


class Pace:
    """How far in a schedule of `steps` steps each step is: as many as were taken, unless it has to end sooner."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.turn = (0, 0.0, 1.0)
        """Step and place from which on the schedule goes by at a rate: plain numbers, for a run that is resumed."""

    def __call__(self, step: int) -> float:
        since, place, rate = self.turn
        return place + (step - since) * rate

    def finish_in(self, left: int, *, after: int) -> None:
        """Let the rest of the schedule go by in `left` steps after the step `after`."""
        place = self(after)
        self.turn = (after, place, (self.steps - place) / left)


def make_schedule(optimizer: Optimizer, config: OptimConfig, *, pace: Pace, epochs: float) -> LambdaLR:
    """Return the schedule, to be stepped after every optimiser step; `pace.steps` and `epochs` count the whole run."""
    factor = schedule_factor(config, steps=pace.steps, epochs=epochs)
    return LambdaLR(optimizer, lambda step: factor(pace(step)))


def schedule_factor(config: OptimConfig, *, steps: int, epochs: float) -> Callable[[float], float]:
    """Return the function from step (0..steps) to the factor on `optim.lr`.

    cosine: Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts. onecycle: Smith and Topin 2018,
    arXiv:1708.07120, with torch's default shares.
    """
    if config.schedule is Schedule.onecycle:
        return lambda step: _onecycle(step / steps)
    steps_per_epoch = steps / epochs
    warmup = (config.warmup_epochs or 0) * steps_per_epoch
    if warmup >= steps:
        raise ConfigError(
            f"optim.warmup_epochs={config.warmup_epochs} is as long as the run of {epochs} epochs: shorten it"
        )
    drop_every = (config.step_epochs or max(epochs // 3, 1)) * steps_per_epoch
    drop = DEFAULT_STEP_FACTOR if config.step_factor is None else config.step_factor

    def factor(step: float) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if config.schedule is Schedule.cosine:
            return _cosine((step - warmup) / (steps - warmup))
        # A hair is added because steps per epoch may not be a whole number.
        return drop ** int(step / drop_every + 1e-9) if config.schedule is Schedule.step else 1.0

    return factor


def _begin_momentum(optimizer: Optimizer) -> None:
    """Let all momenta be 0 before the first step, which changes none.

    torch 2.13's fused SGD fails where a parameter gets its first gradient later than others, as a thawed backbone does.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"] if group["momentum"] else ():
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def _defaults(name: str) -> dict[str, Any]:
    """Return the optimiser's own settings; making one shows whether it is here, as those of apex seldom are."""
    try:
        defaults: dict[str, Any] = create_optimizer_v2([nn.Parameter(torch.zeros(1, 1))], name, lr=1.0).defaults
    except (AssertionError, ImportError) as error:
        raise ConfigError(f"optim.name={name} cannot be used here: {error}") from error
    return defaults


def _check_betas(name: str, betas: Sequence[float], usual: Sequence[float]) -> None:
    if len(betas) != len(usual) or not all(0 <= beta < 1 for beta in betas):
        raise ConfigError(
            f"optim.betas={betas} is impossible: {name} takes {len(usual)} numbers from 0 to below 1, "
            f"such as {list(usual)}"
        )


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def _onecycle(progress: float) -> float:
    if progress < ONECYCLE_RISE:
        return 1 - (1 - ONECYCLE_START) * _cosine(progress / ONECYCLE_RISE)
    return ONECYCLE_END + (1 - ONECYCLE_END) * _cosine((progress - ONECYCLE_RISE) / (1 - ONECYCLE_RISE))
