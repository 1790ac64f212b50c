"""Device and precision: resolved from what is here, or refused with what could be given instead."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from mlops_cls.choices import Device, Precision
from mlops_cls.config import RuntimeConfig
from mlops_cls.errors import ConfigError
from mlops_cls.runtime import Runtime, free_memory

HAS_GPU = torch.cuda.is_available() or torch.backends.mps.is_available()
without_gpu = pytest.mark.skipif(HAS_GPU, reason="this machine has a GPU")
without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
with_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA")


@without_gpu
def test_auto_is_the_cpu_in_fp32_where_there_is_no_gpu() -> None:
    assert Runtime.resolve(RuntimeConfig()) == Runtime(Device.cpu, Precision.fp32, channels_last=True)


def plain() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 2))


def grouped() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=4))


@pytest.mark.skipif(not Path("/proc/cpuinfo").is_file(), reason="this machine does not list what its CPU can do")
def test_auto_is_bf16_on_a_cpu_that_computes_it_but_not_for_grouped_convolutions() -> None:
    flags = Path("/proc/cpuinfo").read_text().split()
    expected = Precision.bf16 if {"avx512_bf16", "amx_tile"}.intersection(flags) else Precision.fp32
    assert Runtime.resolve(RuntimeConfig(device=Device.cpu), plain()).precision is expected
    assert Runtime.resolve(RuntimeConfig(device=Device.cpu), grouped()).precision is Precision.fp32


@pytest.mark.parametrize("precision", [Precision.fp32, Precision.bf16])
@pytest.mark.parametrize("network", [plain, grouped])
def test_precision_that_was_asked_for_is_kept_for_any_network(
    precision: Precision, network: Callable[[], nn.Module]
) -> None:
    config = RuntimeConfig(device=Device.cpu, precision=precision)
    assert Runtime.resolve(config, network()).precision is precision


@with_cuda
def test_auto_is_cuda_where_there_is_one() -> None:
    runtime = Runtime.resolve(RuntimeConfig())
    expected = Precision.bf16 if torch.cuda.is_bf16_supported() else Precision.fp32
    assert (runtime.device, runtime.precision) == (Device.cuda, expected)


def test_nothing_is_left_to_choose_once_resolved() -> None:
    runtime = Runtime.resolve(RuntimeConfig())
    assert runtime.device is not Device.auto
    assert runtime.precision is not Precision.auto


@without_cuda
def test_absent_cuda_is_refused_with_the_devices_that_are_here() -> None:
    with pytest.raises(ConfigError, match=r"runtime\.device=cuda.*finds no such device here; allowed: auto, .*cpu"):
        Runtime.resolve(RuntimeConfig(device=Device.cuda))


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has MPS")
def test_absent_mps_is_refused_with_the_devices_that_are_here() -> None:
    with pytest.raises(ConfigError, match=r"runtime\.device=mps.*allowed: auto, .*cpu") as refusal:
        Runtime.resolve(RuntimeConfig(device=Device.mps))
    assert "CUDA" not in str(refusal.value)


def test_fp16_on_the_cpu_is_refused_with_what_works() -> None:
    with pytest.raises(ConfigError, match=r"fp16 needs a GPU.*use bf16 or fp32"):
        Runtime.resolve(RuntimeConfig(device=Device.cpu, precision=Precision.fp16))


@without_gpu
def test_fp16_is_refused_too_where_auto_turns_out_to_be_the_cpu() -> None:
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        Runtime.resolve(RuntimeConfig(precision=Precision.fp16))


@pytest.mark.parametrize(
    ("precision", "name"),
    [(Precision.auto, "32-true"), (Precision.fp32, "32-true"), (Precision.bf16, "bf16-mixed")],
)
@pytest.mark.filterwarnings("ignore:GPU available but not used")
def test_lightning_trainer_accepts_and_keeps_the_precision(precision: Precision, name: str) -> None:
    arguments = Runtime.resolve(RuntimeConfig(device=Device.cpu, precision=precision)).lightning
    trainer = pl.Trainer(**arguments, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    assert trainer.precision == name
    assert trainer.strategy.root_device == torch.device("cpu")


@pytest.mark.parametrize(("wish", "expected"), [(True, torch.channels_last), (False, torch.contiguous_format)])
def test_memory_format_is_the_one_asked_for(wish: bool, expected: torch.memory_format) -> None:
    assert Runtime.resolve(RuntimeConfig(channels_last=wish)).memory_format is expected


def test_description_of_a_runtime_fits_into_a_card() -> None:
    described = Runtime.resolve(RuntimeConfig(device=Device.cpu)).describe()
    assert json.loads(json.dumps(described)) == described
    assert (described["device"], described["precision"], described["compile"]) == ("cpu", "fp32", False)
    assert described["device_name"] not in ("", "cpu")


def test_alternatives_leave_out_what_was_given_or_begin_with_another_than_the_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mlops_cls.runtime._cpu_computes_bf16", lambda: True)
    for config, number in (
        (RuntimeConfig(device=Device.cpu), 4),
        (RuntimeConfig(device=Device.cpu, compile=True), 4),
        (RuntimeConfig(device=Device.cpu, precision=Precision.bf16), 2),
        (RuntimeConfig(device=Device.cpu, channels_last=False), 2),
        (RuntimeConfig(device=Device.cpu, precision=Precision.fp32, channels_last=True), 1),
    ):
        rule = Runtime.resolve(config, plain())
        found = rule.alternatives(config)
        assert len(set(found)) == len(found) == number
        assert found[0] == replace(rule, compile=False)
        assert not any(runtime.compile for runtime in found)
        if config.precision is not Precision.auto:
            assert {runtime.precision for runtime in found} == {config.precision}
        if config.channels_last is not None:
            assert {runtime.channels_last for runtime in found} == {config.channels_last}


def test_free_memory_is_none_or_more_than_the_machine_has() -> None:
    assert 0 < free_memory(torch.device("cpu")) < psutil.virtual_memory().total
