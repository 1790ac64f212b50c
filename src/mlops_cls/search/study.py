"""The sweep as it is kept: which trials there are, what is tried next, and which of them died.

A trial that died is given up, and its slot handed on to a new trial with the same values; of the trials of a slot the
last one counts.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import check_distribution_compatibility
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mlops_cls.errors import ConfigError
from mlops_cls.search.definition import Definition
from mlops_cls.search.samplers import SLOT, make_pruner, make_sampler, slots
from mlops_cls.search.storage import as_we_mean_it, beat, fail_silent, lives, open_storage

# What is kept with a study, and with a trial.
DEFINITION = "definition"
WORKER, ERROR, SURPLUS, VALUES = "worker", "error", "surplus", "values"
FOLDER, HOST, SCORES, SECONDS = "folder", "host", "scores", "seconds"
BORN = 60  # seconds after which a trial without a worker is one whose driver died between two lines


@dataclass(frozen=True, slots=True)
class Row:
    """A trial as it is shown: `value` is that of the metric, of a pruned trial at its last epoch."""

    number: int
    state: str
    value: float | None
    epochs: int
    values: dict[str, Any]
    folder: str = ""
    host: str = ""
    error: str = ""
    seconds: float | None = None
    scores: dict[str, float] = field(default_factory=dict)


class Sweep:
    """The trials of a sweep, shared by all that work on it.

    Raises:
        ConfigError: the storage cannot be opened, or holds another sweep under this name.
    """

    def __init__(
        self, definition: Definition, folder: Path, *, url: str | None, seed: int, limit: int, changed: bool = False
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.definition, self.folder, self.limit = definition, folder, limit
        self._storage = open_storage(url, folder)
        self._study = self._open(changed=changed)
        self._study.sampler = make_sampler(definition, seed)
        self._study.pruner = make_pruner(definition.halving)
        self._own: set[int] = set()

    def _open(self, *, changed: bool) -> optuna.Study:
        definition = self.definition
        direction = StudyDirection.MAXIMIZE if definition.metric.maximize else StudyDirection.MINIMIZE
        try:
            study = optuna.create_study(storage=self._storage, study_name=definition.name, direction=direction)
        except DuplicatedStudyError:
            study = optuna.load_study(storage=self._storage, study_name=definition.name)
        kept = study.user_attrs.get(DEFINITION, definition.given)
        if kept != definition.given:
            _check_change(kept, study, definition, allowed=changed)
        study.set_user_attr(DEFINITION, definition.given)
        return study

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def ask(self, worker: str) -> optuna.Trial | None:
        """Return the next trial, first one that died, for a worker that lives; None if there is none at present."""
        while self.left:
            with as_we_mean_it():
                trial = self._study.ask({name: p.distribution for name, p in self.definition.parameters.items()})
            trial.set_user_attr(WORKER, worker)
            if not self._is_surplus(trial.number):
                self._own.add(trial.number)
                self.beat(trial)
                trial.set_user_attr(VALUES, self.values(trial))
                return trial
            # Two machines went for the last one at the same moment.
            trial.set_user_attr(SURPLUS, True)
            self._study.tell(trial, state=TrialState.FAIL)
        return None

    @property
    def left(self) -> int:
        """How many trials nobody has begun yet: those handed on, and new ones unless the target is reached."""
        trials = self._trials()
        waiting = sum(trial.state is TrialState.WAITING for trial in trials)
        proposed = sum(SLOT not in trial.user_attrs for trial in trials)
        return waiting + (0 if self._target_reached(trials) else max(0, self.limit - proposed))

    def _target_reached(self, trials: list[FrozenTrial]) -> bool:
        values = (trial.value for trial in trials if trial.state is TrialState.COMPLETE)
        return any(self.definition.metric.reached(value) for value in values if value is not None)

    def _is_surplus(self, number: int) -> bool:
        trials = self._trials()
        places = slots(trials)
        earlier = (t for t in trials if t.number < number and places[t.number] == places[number] and not _died(t))
        return places[number] >= self.limit or any(True for _ in earlier)

    def slot(self, trial: optuna.Trial) -> int:
        """Return which proposal of the sweep the trial is, from 0."""
        return slots(self._trials())[trial.number]

    def values(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return the values of the settings that are varied."""
        parameters = self.definition.parameters
        return {name: parameters[name].settle(proposed) for name, proposed in trial.params.items()}

    def beat(self, trial: optuna.Trial) -> None:
        """Say that the trial still runs."""
        beat(self._storage, trial._trial_id)

    def report(self, trial: optuna.Trial, epoch: int, value: float) -> bool:
        """Keep the value after so many epochs, and tell whether the trial should end here."""
        known = next(t for t in self._trials() if t.number == trial.number)
        if epoch in known.intermediate_values:
            return False
        trial.report(value, epoch)
        return trial.should_prune()

    def complete(self, trial: optuna.Trial, value: float, **kept: Any) -> None:
        """Keep how a trial ended, with its final value."""
        if math.isfinite(value):
            self._end(trial, TrialState.COMPLETE, value, kept)
        else:
            self.fail(trial, f"{self.definition.metric.name} is {value}", **kept)

    def prune(self, trial: optuna.Trial, **kept: Any) -> None:
        """Keep that a trial was ended early."""
        self._end(trial, TrialState.PRUNED, None, kept)

    def fail(self, trial: optuna.Trial, error: str, **kept: Any) -> None:
        """Keep why a trial failed; it is not tried again."""
        self._end(trial, TrialState.FAIL, None, {ERROR: error} | kept)

    def release(self, trial: optuna.Trial) -> None:
        """Hand on a trial that was interrupted."""
        self._end(trial, TrialState.FAIL, None, {})
        self._hand_on()

    def _end(self, trial: optuna.Trial, state: TrialState, value: float | None, kept: Mapping[str, Any]) -> None:
        self._own.discard(trial.number)
        for key, what in kept.items():
            trial.set_user_attr(key, what)
        # Where this machine was silent for too long, others have given the trial up and it ends there.
        self._study.tell(trial, value, state=state, skip_if_finished=True)

    def reclaim(self) -> None:
        """Give up the trials whose process or machine died, and hand them on."""
        for trial in self._trials():
            if trial.state is TrialState.RUNNING and trial.number not in self._own and self._is_dead(trial):
                self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        fail_silent(self._study, self._storage)
        self._hand_on()

    def _is_dead(self, trial: FrozenTrial) -> bool:
        if WORKER not in trial.user_attrs:
            assert trial.datetime_start is not None
            return (datetime.now() - trial.datetime_start).total_seconds() > BORN
        alive = lives(self.folder, trial.user_attrs[WORKER])
        if alive is None:
            # Of another folder: a database knows by its heartbeat, a journal lies in the folder of its workers.
            return not isinstance(self._storage, RDBStorage)
        return not alive

    def _hand_on(self) -> None:
        trials = self._trials()
        places = slots(trials)
        # One that was too many is not, once more are wanted.
        last = {places[trial.number]: trial for trial in trials if SURPLUS in trial.user_attrs}
        last |= {places[trial.number]: trial for trial in trials if SURPLUS not in trial.user_attrs}
        for slot, trial in last.items():
            if _died(trial) or (SURPLUS in trial.user_attrs and slot < self.limit):
                self._study.add_trial(_again(trial, slot))

    def retry_failed(self) -> None:
        """Hand on the trials that failed, too."""
        for row, trial in self._last():
            if row.state == "failed":
                self._study.add_trial(_again(trial, row.number - 1))

    @property
    def others_run(self) -> bool:
        """Whether somebody else runs a trial."""
        running = (trial.number for trial in self._trials() if trial.state is TrialState.RUNNING)
        return any(number not in self._own for number in running)

    def rows(self) -> list[Row]:
        """Return the trials in the order of their slots."""
        return [row for row, _ in self._last()]

    def _last(self) -> list[tuple[Row, FrozenTrial]]:
        trials = [trial for trial in self._trials() if SURPLUS not in trial.user_attrs]
        places = slots(self._trials())
        last = {places[trial.number]: trial for trial in trials}
        return [(_row(slot + 1, trial), trial) for slot, trial in sorted(last.items())]

    def importances(self) -> dict[str, float]:
        """Return each setting's share in how far trials differ, by PED-ANOVA.

        Watanabe, Bansal and Hutter 2023, arXiv:2304.10255.
        """
        varied = [name for name, p in self.definition.parameters.items() if not p.distribution.single()]
        with as_we_mean_it():
            return optuna.importance.get_param_importances(self._study, params=varied)


def _died(trial: FrozenTrial) -> bool:
    """Whether it failed without having said why."""
    return trial.state is TrialState.FAIL and not {ERROR, SURPLUS} & set(trial.user_attrs)


def _again(trial: FrozenTrial, slot: int) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=TrialState.WAITING,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={SLOT: slot},
        # The run goes on from its checkpoint, and does not say these again.
        intermediate_values=trial.intermediate_values,
    )


_STATES = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def _row(number: int, trial: FrozenTrial) -> Row:
    kept = trial.user_attrs
    return Row(
        number=number,
        state=_STATES[trial.state],
        value=trial.value,
        epochs=trial.last_step or 0,
        values=kept.get(VALUES, {}),
        folder=kept.get(FOLDER, ""),
        host=kept.get(HOST, ""),
        error=kept.get(ERROR, ""),
        seconds=kept.get(SECONDS),
        scores=kept.get(SCORES, {}),
    )


def _check_change(kept: Mapping[str, Any], study: optuna.Study, definition: Definition, *, allowed: bool) -> None:
    """Refuse to go on with another sweep than was begun.

    Raises:
        ConfigError: naming what is different.
    """
    differences = "\n".join(f"  {line}" for line in _differences(kept, definition.given))
    choice = "give the new one a name of its own with --name NAME"
    if not allowed:
        raise ConfigError(
            f"the sweep {definition.name} was begun with other settings:\n{differences}\n{choice}, or go on with what "
            "was tried so far with --changed"
        )
    if "grid" in (kept["method"], definition.method):
        raise ConfigError(f"--changed is impossible with a grid, whose points have other numbers now: {choice}")
    for trial in study.get_trials(deepcopy=False):
        for name, parameter in definition.parameters.items():
            try:
                check_distribution_compatibility(
                    trial.distributions.get(name, parameter.distribution), parameter.distribution
                )
            except ValueError as error:
                raise ConfigError(
                    f"--changed is impossible, {name} has other choices now:\n{differences}\n{choice}"
                ) from error


def _differences(old: Any, new: Any, place: str = "") -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(old.get(key), new.get(key), f"{place}.{key}" if place else str(key))
    elif old != new:
        yield f"{place}: {json.dumps(old)}, now {json.dumps(new)}"
