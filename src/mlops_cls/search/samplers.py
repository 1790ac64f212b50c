"""What a sweep proposes; always the same for the same seed and place in the sweep, however often it was interrupted."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from mlops_cls.search.definition import Definition, Halving

SLOT = "slot"


def slots(trials: Sequence[FrozenTrial]) -> dict[int, int]:
    """Return, by number of the trial, which proposal of the sweep it is, from 0.

    A trial that takes over from one that died says whose proposal it has; the others count on.
    """
    found: dict[int, int] = {}
    fresh = 0
    for trial in sorted(trials, key=lambda trial: trial.number):
        if SLOT in trial.user_attrs:
            found[trial.number] = trial.user_attrs[SLOT]
        else:
            found[trial.number], fresh = fresh, fresh + 1
    return found


def make_sampler(definition: Definition, seed: int) -> BaseSampler:
    """Return what proposes trials: the points of a grid, random ones, or Optuna's TPE."""
    if definition.method == "grid":
        return Grid({name: parameter.distribution.choices for name, parameter in definition.parameters.items()})  # type: ignore[attr-defined]
    return BySlot(RandomSampler if definition.method == "random" else TPESampler, seed)


def make_pruner(halving: Halving | None) -> BasePruner:
    """Return Optuna's pruner with the rungs of W&B's: `min_iter` epochs, and each time `eta` times as many."""
    if halving is None:
        return NopPruner()
    return SuccessiveHalvingPruner(min_resource=halving.min_iter, reduction_factor=halving.eta)


class Grid(BaseSampler):
    """Proposes the point of the grid that has the number of the slot; beyond the last, the first again."""

    def __init__(self, choices: Mapping[str, Sequence[Any]]) -> None:
        self._points = [dict(zip(choices, point, strict=True)) for point in product(*choices.values())]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        slot = slots(study.get_trials(deepcopy=False))[trial.number]
        return self._points[slot % len(self._points)][param_name]


class BySlot(BaseSampler):
    """Another sampler, whose random numbers begin anew with each slot.

    With one stream for the whole sweep, going on with it would propose what its beginning did.
    """

    def __init__(self, kind: type[RandomSampler] | type[TPESampler], seed: int) -> None:
        self._kind, self._seed = kind, seed
        self._inner: BaseSampler = kind(seed=seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        slot = slots(study.get_trials(deepcopy=False))[trial.number]
        self._inner = self._kind(seed=int(np.random.SeedSequence([self._seed, slot]).generate_state(1)[0]))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)
