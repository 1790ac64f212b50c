"""The probe takes the fastest runtime that computes what fp32 computes, and leaves the classifier as it was."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from mlops_cls.choices import Device, Precision
from mlops_cls.config import RuntimeConfig
from mlops_cls.runtime import Runtime
from mlops_cls.tuning import cache
from mlops_cls.tuning import probe as probing
from mlops_cls.tuning.probe import Trial, check, difference, fastest, probe, race, say
from mlops_cls.tuning.workload import Workload

CPU = RuntimeConfig(device=Device.cpu)
FIRST = Runtime(Device.cpu, Precision.fp32, channels_last=True)
SECOND = Runtime(Device.cpu, Precision.fp32, channels_last=False)
HALF = Runtime(Device.cpu, Precision.bf16, channels_last=True)
Make = Callable[..., Workload]


class Scripted(Workload):
    """A workload whose times are written down; the losses are those of the real step."""

    def __init__(self, real: Workload, seconds: dict[Runtime, list[float]]) -> None:
        self.__dict__ |= real.__dict__
        self.script: dict[Runtime, Iterator[float]] = {runtime: iter(times) for runtime, times in seconds.items()}
        self.asked: list[Runtime] = []

    def timed(self, runtime: Runtime, steps: int) -> tuple[float, list[float]]:
        self.asked.append(runtime)
        _, losses = super().timed(runtime, steps)
        return next(self.script[runtime]), losses


@pytest.fixture
def both_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let any CPU offer bf16: torch computes it everywhere, if slowly."""
    monkeypatch.setattr("mlops_cls.runtime._cpu_computes_bf16", lambda: True)


def test_a_slower_runtime_is_taken(make_workload: Make, both_precisions: None) -> None:
    rule = Runtime.resolve(CPU, make_workload().classifier.network)
    taken, measured = probe(make_workload(), rule, CPU, expected=lambda each: 100.0)
    speeds = {entry["runtime"]: entry["pictures_per_second"] for entry in measured}
    assert len(speeds) == 4
    assert speeds[str(taken)] >= probing.CLEARLY * max(speeds.values())


def test_a_short_run_is_measured_at_length_or_departs_from_the_rule(make_workload: Make) -> None:
    rule = Runtime.resolve(CPU)
    workload = Scripted(make_workload(), {rule: [1.0]})
    assert probe(workload, rule, CPU, expected=lambda each: 59.0) == (rule, [])
    assert workload.asked == [rule]


@pytest.mark.parametrize(("seconds", "steps"), [(0.001, 50), (0.01, 20), (0.09, 2), (3.0, 2)])
def test_fast_steps_are_measured_too_briefly_or_slow_ones_too_long(seconds: float, steps: int) -> None:
    assert probing.steps_of(seconds) == steps


def test_settings_that_were_given_are_measured_against(make_workload: Make) -> None:
    config = RuntimeConfig(device=Device.cpu, precision=Precision.fp32, channels_last=False, compile=False)
    rule = Runtime.resolve(config)
    workload = Scripted(make_workload(), {})
    assert probe(workload, rule, config, expected=lambda each: 1e9) == (rule, [])
    half = RuntimeConfig(device=Device.cpu, precision=Precision.fp32, compile=False)
    taken, measured = probe(make_workload(), Runtime.resolve(half), half, expected=lambda each: 1e9)
    assert taken.precision is Precision.fp32
    assert {entry["runtime"] for entry in measured} == {"fp32, channels last", "fp32, channels first"}


def test_noise_of_the_clock_outvotes_the_rule(make_workload: Make) -> None:
    workload = Scripted(make_workload(), {FIRST: [1.0, 1.0, 1.0], SECOND: [0.98, 0.99, 1.5]})
    trials = [Trial(FIRST), Trial(SECOND)]
    race(trials, workload)
    assert fastest(trials) is trials[0]
    workload = Scripted(make_workload(), {FIRST: [1.0, 1.0, 1.0], SECOND: [0.9, 3.0, 3.0]})
    trials = [Trial(FIRST), Trial(SECOND)]
    race(trials, workload)
    assert fastest(trials) is trials[1]  # Other work can only slow a step down.


def test_hopeless_runtimes_cost_more_than_one_round(make_workload: Make) -> None:
    workload = Scripted(make_workload(), {FIRST: [1.0] * 3, SECOND: [1.3] * 3, HALF: [1.5] * 3})
    race([Trial(FIRST), Trial(SECOND), Trial(HALF)], workload)
    assert workload.asked == [FIRST, SECOND, HALF, FIRST, SECOND, FIRST, SECOND]


def test_a_fast_runtime_with_other_losses_is_taken() -> None:
    exact = Trial(FIRST, seconds=[1.0], losses=[2.0, 1.5, 1.0])
    near = Trial(HALF, seconds=[0.5], losses=[2.01, 1.52, 1.01])
    wrong = Trial(HALF, seconds=[0.4], losses=[2.0, 1.9, 1.3])
    broken = Trial(HALF, seconds=[0.3], losses=[float("nan")] * 3)
    check([exact, near, wrong, broken])
    assert (exact.problem, near.problem) == (None, None)
    assert wrong.problem == "losses differ by 16%"
    assert broken.problem == "losses differ by nan%"
    assert fastest([exact, wrong, broken, near]) is near


def test_difference_is_a_share_of_the_reference() -> None:
    assert difference([1.1, 1.9], [1.0, 2.0]) == pytest.approx(0.2 / 3)


def test_what_one_runtime_raises_ends_the_run(make_workload: Make) -> None:
    class Failing(Scripted):
        def timed(self, runtime: Runtime, steps: int) -> tuple[float, list[float]]:
            if runtime == SECOND:
                raise RuntimeError("no kernel for this\nand a long trace")
            return super().timed(runtime, steps)

    trials = [Trial(FIRST), Trial(SECOND)]
    race(trials, Failing(make_workload(), {FIRST: [1.0] * 3}))
    assert trials[1].problem == "no kernel for this"
    assert fastest(trials) is trials[0]
    assert trials[1].describe() == {"runtime": "fp32, channels first", "problem": "no kernel for this"}


def test_a_slow_step_is_measured_with_as_many_pictures(make_workload: Make) -> None:
    workload = Scripted(make_workload(), {FIRST: [16 * 0.05] * 9, SECOND: [16 * 0.05] * 9})
    config = RuntimeConfig(device=Device.cpu, precision=Precision.fp32, compile=False)
    probe(workload, FIRST, config, expected=lambda each: 1e9)
    assert workload.pictures == 10  # half a second


def test_measuring_changes_the_classifier_or_the_random_numbers(make_workload: Make, both_precisions: None) -> None:
    workload = make_workload("baseline_cnn")
    original = {name: value.clone() for name, value in workload.classifier.state_dict().items()}
    before = torch.get_rng_state()
    classifier = make_workload("baseline_cnn").classifier
    state = {name: value.clone() for name, value in classifier.state_dict().items()}
    probe(Workload(classifier, workload.batch), Runtime.resolve(CPU), CPU, expected=lambda each: 100.0)
    assert all(torch.equal(value, state[name]) for name, value in classifier.state_dict().items())
    assert all(parameter.grad is None for parameter in classifier.parameters())
    with workload.begun(FIRST) as optimizer:
        workload.step(FIRST, optimizer, workload.batch)
    with workload.begun(FIRST):
        started = workload.classifier.state_dict()
        assert all(torch.equal(value, started[name]) for name, value in original.items())
    torch.manual_seed(0)
    make_workload("baseline_cnn")
    assert torch.equal(torch.get_rng_state(), before)


def test_two_runtimes_are_not_given_the_same_start(make_workload: Make) -> None:
    workload = make_workload("baseline_cnn")
    first, again = (workload.timed(FIRST, 2)[1] for _ in range(2))
    assert first == again
    assert workload.timed(SECOND, 2)[1] == pytest.approx(first, rel=1e-3)


def test_a_frozen_backbone_is_measured_with_its_gradients(make_workload: Make) -> None:
    workload = make_workload("baseline_cnn", frozen=True)
    with workload.begun(FIRST) as optimizer:
        workload.step(FIRST, optimizer, workload.batch)
    trained = [name for name, p in workload.classifier.network.named_parameters() if p.grad is not None]
    assert trained == ["head.weight", "head.bias"]


def test_long_runs_are_not_tried_compiled_or_short_ones_are(
    make_workload: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RuntimeConfig(device=Device.cpu, precision=Precision.fp32, channels_last=True)
    compiled = Runtime(Device.cpu, Precision.fp32, channels_last=True, compile=True)

    class Eager(Scripted):
        def timed(self, runtime: Runtime, steps: int) -> tuple[float, list[float]]:
            self.asked.append(runtime)
            return next(self.script[runtime]), [1.0, 1.0, 1.0]

    def run(expected: float, seconds: float) -> tuple[Runtime, Workload]:
        workload = Eager(make_workload(), {FIRST: [1.0] * 9, compiled: [60.0, *[seconds] * 9]})
        return probe(workload, FIRST, config, expected=lambda each: expected)[0], workload

    assert run(probing.WORTH_COMPILING - 1, 0.5)[0] == FIRST
    assert run(probing.WORTH_COMPILING + 1, 0.5)[0] == compiled
    taken, workload = run(probing.WORTH_COMPILING + 1, 0.99)
    assert taken == FIRST
    assert compiled in workload.asked


def test_measurements_are_said_without_the_one_taken(caplog: pytest.LogCaptureFixture) -> None:
    entries = [
        {"runtime": "fp32, channels last", "pictures_per_second": 10.0},
        {"runtime": "bf16, channels last", "pictures_per_second": 30.0},
        {"runtime": "bf16, channels first", "problem": "losses differ by 16%"},
    ]
    with caplog.at_level(logging.INFO, "mlops_cls"):
        say(entries, "bf16, channels last")
        say([], "fp32, channels last")
    lines = [line.split() for line in caplog.messages[1:]]
    assert [line[:3] for line in lines] == [e["runtime"].split() for e in (entries[1], entries[0], entries[2])]
    assert [line[-1] == "taken" for line in lines] == [True, False, False]


def test_what_was_measured_is_measured_again_or_taken_for_another_network(
    make_workload: Make, cache_folder: Path
) -> None:
    workload = make_workload()
    path = cache.place(workload, FIRST, CPU)
    assert cache.recall(path, FIRST) is None
    cache.keep(path, FIRST, [])
    assert not cache_folder.exists()
    cache.keep(path, HALF, [{"runtime": str(HALF), "pictures_per_second": 5.0}])
    assert cache.recall(path, FIRST) == (HALF, [{"runtime": str(HALF), "pictures_per_second": 5.0}])
    others = [
        cache.place(make_workload("baseline_cnn"), FIRST, CPU),
        cache.place(make_workload(size=24), FIRST, CPU),
        cache.place(make_workload(frozen=True), FIRST, CPU),
        cache.place(workload, FIRST, RuntimeConfig(device=Device.cpu, precision=Precision.fp32)),
    ]
    assert len({path, *others}) == 5
    assert cache.place(make_workload(), FIRST, CPU) == path


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"taken": {"precision": "fp7"}, "measured": []}'])
def test_a_damaged_cache_stops_the_run(make_workload: Make, content: str) -> None:
    path = cache.place(make_workload(), FIRST, CPU)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert cache.recall(path, FIRST) is None


def test_a_cache_that_cannot_be_written_stops_the_run(make_workload: Make, cache_folder: Path) -> None:
    cache_folder.write_text("a file in the way")
    path = cache.place(make_workload(), FIRST, CPU)
    cache.keep(path, FIRST, [{"runtime": str(FIRST), "pictures_per_second": 5.0}])
    assert cache.recall(path, FIRST) is None
    assert cache_folder.read_text() == "a file in the way"
