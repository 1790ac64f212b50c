"""The trials of a sweep as they are kept: in a journal, and in a database."""

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from mlops_cls.errors import ConfigError
from mlops_cls.search.definition import read
from mlops_cls.search.storage import WORKERS, as_we_mean_it, hold
from mlops_cls.search.study import Sweep

WriteSweep = Callable[..., Path]
TWO = {"optim.lr": {"values": [0.1, 0.2]}, "seed": {"values": [1, 2]}}


@pytest.fixture(params=["journal", "database"])
def open_sweep(request: pytest.FixtureRequest, write_sweep: WriteSweep, tmp_path: Path) -> Callable[..., Sweep]:
    """Return a function that opens the same sweep again, as another process would."""
    url = None if request.param == "journal" else f"sqlite:///{tmp_path / 'sweep.db'}"
    (tmp_path / WORKERS).mkdir()

    def open_again(*, limit: int = 4, seed: int = 0, changed: bool = False, **keys: object) -> Sweep:
        return Sweep(read(write_sweep(**keys)), tmp_path, url=url, seed=seed, limit=limit, changed=changed)

    return open_again


def proposals(sweep: Sweep, number: int) -> list[dict[str, object]]:
    found = []
    for place in range(number):
        trial = sweep.ask("nobody")
        assert trial is not None
        found.append(sweep.values(trial))
        sweep.complete(trial, 0.1 * place)
    return found


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_going_on_with_a_sweep_proposes_what_was_tried(open_sweep: Callable[..., Sweep], method: str) -> None:
    begun = proposals(open_sweep(limit=6, method=method), 3)
    went_on = proposals(open_sweep(limit=6, method=method), 3)
    assert len({str(values) for values in begun + went_on}) == 6


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_an_interrupted_sweep_proposes_other_trials_than_an_uninterrupted_one(
    write_sweep: WriteSweep, tmp_path: Path, method: str
) -> None:
    definition = read(write_sweep(method=method))
    for name in ("whole", "parts", "other"):
        (tmp_path / name).mkdir()

    def propose(name: str, number: int, seed: int = 0) -> list[dict[str, object]]:
        return proposals(Sweep(definition, tmp_path / name, url=None, seed=seed, limit=14), number)

    whole = propose("whole", 14)
    assert propose("parts", 12) + propose("parts", 2) == whole
    assert propose("other", 14, seed=1) != whole


def test_a_grid_repeats_or_leaves_out_a_point(open_sweep: Callable[..., Sweep]) -> None:
    points = [proposals(open_sweep(method="grid", parameters=TWO), 1)[0] for _ in range(4)]
    assert len({(point["optim.lr"], point["seed"]) for point in points}) == 4
    assert open_sweep(method="grid", parameters=TWO).ask("nobody") is None


def test_a_trial_that_died_is_lost_or_gets_other_values(open_sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    dying, sweep = hold(tmp_path, "dying"), open_sweep()
    trial = sweep.ask("dying")
    assert trial is not None
    sweep.report(trial, 1, 0.3)
    values = sweep.values(trial)

    heir = open_sweep()
    heir.reclaim()
    assert [row.state for row in heir.rows()] == ["running"], "its worker lives"
    dying.release()
    heir.reclaim()
    assert [(row.number, row.state) for row in heir.rows()] == [(1, "waiting")]
    again = heir.ask("heir")
    assert again is not None
    assert (heir.slot(again), heir.values(again)) == (0, values)
    assert heir.report(again, 1, 0.3) is False
    heir.complete(again, 0.5)
    assert [(row.number, row.state, row.value) for row in heir.rows()] == [(1, "done", 0.5)]
    assert heir.left == 3


def test_a_trial_that_was_given_up_meanwhile_counts_twice(open_sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    lock, frozen = hold(tmp_path, "frozen"), open_sweep()
    trial = frozen.ask("frozen")
    assert trial is not None
    lock.release()
    heir = open_sweep()
    heir.reclaim()
    frozen.complete(trial, 0.9)
    assert [row.state for row in heir.rows()] == ["waiting"]


def test_a_failed_trial_is_tried_again_unasked(open_sweep: Callable[..., Sweep]) -> None:
    sweep = open_sweep()
    trial = sweep.ask("one")
    assert trial is not None
    sweep.fail(trial, "out of memory")
    sweep.reclaim()
    (row,) = sweep.rows()
    assert (row.state, row.error, sweep.left) == ("failed", "out of memory", 3)
    sweep.retry_failed()
    assert (sweep.rows()[0].state, sweep.left) == ("waiting", 4)


def test_two_machines_that_take_the_last_trial_at_once_run_one_too_many(open_sweep: Callable[..., Sweep]) -> None:
    one, other = open_sweep(limit=1), open_sweep(limit=1)
    # The moment between looking and asking, which no lock can close across machines.
    assert (one.left, other.left) == (1, 1)
    first = one.ask("one")
    with as_we_mean_it():
        other._study.ask({name: p.distribution for name, p in other.definition.parameters.items()})
    assert other._is_surplus(1)
    assert first is not None


def test_a_score_that_is_no_number_ends_the_sweep(open_sweep: Callable[..., Sweep]) -> None:
    sweep = open_sweep()
    trial = sweep.ask("one")
    assert trial is not None
    sweep.report(trial, 1, float("nan"))
    sweep.complete(trial, float("nan"))
    assert sweep.rows()[0].error == "val/accuracy is nan"


def test_the_target_ends_nothing(open_sweep: Callable[..., Sweep]) -> None:
    sweep = open_sweep(metric={"name": "val/accuracy", "goal": "maximize", "target": 0.9})
    proposals(sweep, 1)
    assert sweep.left == 3
    trial = sweep.ask("one")
    assert trial is not None
    sweep.complete(trial, 0.9)
    assert (sweep.left, sweep.ask("one")) == (0, None)


def test_bad_trials_are_not_ended_at_the_rungs_of_hyperband(open_sweep: Callable[..., Sweep]) -> None:
    sweep = open_sweep(limit=9, early_terminate={"type": "hyperband", "min_iter": 2, "eta": 3})
    ended = []
    for score in (0.9, 0.8, 0.7, 0.6, 0.5, 0.95):
        trial = sweep.ask("one")
        assert trial is not None
        reports = [epoch for epoch in range(1, 4) if sweep.report(trial, epoch, score)]
        ended.append(reports[0] if reports else None)
        sweep.complete(trial, score) if not reports else sweep.prune(trial)
    assert ended == [None, 2, 2, 2, 2, None]
    assert [row.state for row in sweep.rows()] == ["done", *["pruned"] * 4, "done"]


def test_another_sweep_goes_on_under_the_same_name(open_sweep: Callable[..., Sweep]) -> None:
    proposals(open_sweep(), 1)
    wider = {"optim.lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-1}}
    with pytest.raises(ConfigError, match=r"parameters.optim.lr.max: 0.01, now 0.1\n.*--name NAME.*--changed"):
        open_sweep(parameters=wider)
    proposals(open_sweep(parameters=wider, changed=True), 1)
    assert len(open_sweep(parameters=wider).rows()) == 2


def test_other_choices_break_a_sweep_that_goes_on(open_sweep: Callable[..., Sweep]) -> None:
    proposals(open_sweep(parameters=TWO), 1)
    three = {**TWO, "seed": {"values": [1, 2, 3]}}
    with pytest.raises(ConfigError, match=r"seed has other choices now"):
        open_sweep(parameters=three, changed=True)


def test_a_database_that_cannot_be_opened_shows_its_password(write_sweep: WriteSweep, tmp_path: Path) -> None:
    definition = read(write_sweep())
    for url in ("postgresql+psycopg://me:secret@127.0.0.1:1/sweeps", "me:secret", f"sqlite:///{tmp_path}/no/secret.db"):
        with pytest.raises(ConfigError, match="--storage cannot be opened") as refused:
            Sweep(definition, tmp_path, url=url, seed=0, limit=1)
        assert "secret@" not in str(refused.value)


def test_states_of_optuna_are_all_named() -> None:
    from mlops_cls.search.study import _STATES

    assert set(_STATES) == set(TrialState)
