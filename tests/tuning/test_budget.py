"""A budget is spent and not overspent, and the learning rate has come down by its end."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

import mlops_cls as mc
from mlops_cls.config import OptimConfig
from mlops_cls.config.run import seconds_in
from mlops_cls.errors import ConfigError
from mlops_cls.models.optim import Pace, schedule_factor
from mlops_cls.runtime import Runtime
from mlops_cls.tuning import budget
from mlops_cls.tuning.budget import Deadline, Schedule, Speed, fit_into, measure

SPEED = Speed(batch=0.1, val=2.0, scoring=3.0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10min", 600), ("1.5h", 5400), ("2 h", 7200), ("10", None), ("x", None)]
)
def test_times_are_read_otherwise_than_they_are_written(text: str, seconds: float | None) -> None:
    assert seconds_in(text) == seconds


def spent(schedule: Schedule, speed: Speed) -> float:
    return schedule.batches * speed.batch + schedule.epochs * speed.val + speed.scoring


@pytest.mark.parametrize("seconds", [7.0, 13.0, 40.0, 100.0, 1000.0])
@pytest.mark.parametrize("parts", [1, 4])
def test_a_plan_takes_longer_than_the_budget_or_wastes_it(seconds: float, parts: int) -> None:
    schedule = fit_into(seconds, SPEED, per_epoch=100, parts=parts)
    assert schedule.batches % parts == 0
    allowed = seconds * (1 - budget.MARGIN)
    assert spent(schedule, SPEED) <= allowed + 1e-9
    assert spent(schedule, SPEED) > allowed - SPEED.val - parts * SPEED.batch - 1e-9


def test_less_than_an_epoch_is_no_epoch() -> None:
    assert fit_into(10.0, SPEED, per_epoch=1000, parts=1) == Schedule(batches=45, per_epoch=45)


def test_a_budget_that_fits_nothing_is_no_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"budget is too short: 4\.0 s .* scoring takes 5\.0 s and each step 0\.4 s"):
        fit_into(4.0, SPEED, per_epoch=100, parts=4)


def test_a_shortened_schedule_jumps_or_does_not_end() -> None:
    pace = Pace(100)
    assert [pace(step) for step in (0, 30, 100)] == [0, 30, 100]
    pace.finish_in(35, after=30)
    assert pace(30) == 30
    assert pace(65) == pytest.approx(100)
    pace.finish_in(5, after=40)
    assert pace(45) == pytest.approx(100)
    factor = schedule_factor(OptimConfig(), steps=100, epochs=10)
    assert factor(pace(45)) == pytest.approx(0, abs=1e-9)


class Rates(pl.Callback):
    """Keeps the learning rate of every step, and lets a clock of our own go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, batch_takes: Any) -> None:
        self.rates: list[float] = []
        self.clock, self.vals, self.takes = 0.0, 0, batch_takes
        monkeypatch.setattr(budget, "_now", lambda module: self.clock)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        self.clock += self.takes(len(self.rates))

    def on_validation_batch_start(self, *_: Any) -> None:
        self.clock += 1.0 if self.vals == 0 else 0.0
        self.vals += 1


def trained(tmp_path: Path, deadline: Deadline, rates: Rates) -> pl.Trainer:
    data = mc.DigitsDataModule(store=tmp_path, batch_size=64, plan=mc.Plan(size=8))
    classifier = mc.ImageClassifier(mc.make_card(data.manifest, "two_conv_cnn"))
    classifier.total_steps = deadline.schedule.batches
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=deadline.schedule.epochs, callbacks=[rates, deadline], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(classifier, datamodule=data)
    return trainer


def test_a_run_at_the_measured_speed_departs_from_its_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = Rates(monkeypatch, lambda step: 1.0)
    deadline = Deadline(80.0, Speed(1.0, 1.0, 1.0), Schedule(50, per_epoch=19), parts=1)
    trainer = trained(tmp_path, deadline, rates)
    assert trainer.global_step == len(rates.rates) == 50
    assert rates.rates[0] == pytest.approx(1e-3)
    assert rates.rates[-1] < 0.01 * 1e-3
    assert rates.vals >= 3  # also after the epoch that was cut short


def test_a_run_that_is_slowed_down_overspends_or_ends_at_a_high_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = Rates(monkeypatch, lambda step: 1.0 if step < 20 else 3.0)
    deadline = Deadline(60.0, Speed(1.0, 0.0, 0.0), Schedule(50, per_epoch=19), parts=1)
    trainer = trained(tmp_path, deadline, rates)
    assert rates.clock <= 60.0 * 1.05
    assert 28 < trainer.global_step < 40
    assert trainer.optimizers[0].param_groups[0]["lr"] < 0.02 * 1e-3  # the schedule is over
    assert rates.rates == sorted(rates.rates, reverse=True)  # no jump back


def test_a_resumed_run_forgets_its_shortened_plan() -> None:
    deadline = Deadline(60.0, SPEED, Schedule(50, per_epoch=19), parts=1)
    deadline.batches, deadline.done, deadline._turn = 40, 12, (10, 10.0, 1.3)
    again = Deadline(60.0, SPEED, Schedule(50, per_epoch=19), parts=1)
    again.load_state_dict(deadline.state_dict())
    assert again.state_dict() == deadline.state_dict()


@pytest.mark.parametrize("batch_size", [64, 5000])
def test_measuring_speed_changes_the_classifier_or_needs_long_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    monkeypatch.setattr(budget, "LOOK", 0.05)
    data = mc.DigitsDataModule(store=tmp_path, batch_size=batch_size, plan=mc.Plan(size=8))
    optim = OptimConfig(warmup_epochs=3)
    classifier = mc.ImageClassifier(mc.make_card(data.manifest, "baseline_cnn"), optim=optim)
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    runtime = Runtime.resolve(mc.load_config("runtime.device=cpu").runtime)
    speed = measure(classifier, runtime, data, {"val": 268, "test": 270}, frozen=False)
    assert speed.batch > 0
    assert 0 < speed.val < speed.scoring
    assert all((value == before[name]).all() for name, value in classifier.state_dict().items())
