"""A step is taken in as few equal parts as fit into memory."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from mlops_cls.choices import Device, Precision
from mlops_cls.errors import ConfigError
from mlops_cls.runtime import Runtime
from mlops_cls.tuning import memory
from mlops_cls.tuning.memory import Batching, bytes_of_step, divisors, largest_fitting, ran_out_of_memory
from mlops_cls.tuning.workload import Workload

FP32 = Runtime(Device.cpu, Precision.fp32, channels_last=True)
Make = Callable[..., Workload]


def test_parts_of_a_step_are_unequal_or_lose_pictures() -> None:
    sizes, batching = [], Batching(48, 48)
    while batching is not None:
        assert batching.size * batching.parts == 48
        sizes.append(batching.size)
        batching = batching.smaller()
    assert sizes == [48, 24, 16, 12, 8, 6, 4, 3, 2, 1]
    assert list(divisors(7)) == [7, 1]


@pytest.mark.parametrize(("free", "size"), [(1e12, 64), (4e7, 16)])
def test_more_pictures_are_taken_than_fit_or_fewer(
    make_workload: Make, monkeypatch: pytest.MonkeyPatch, free: float, size: int
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda device: free)
    workload = make_workload("baseline_cnn", size=32)
    needed = [bytes_of_step(workload, FP32, pictures) for pictures in (size, 2 * size)]
    batching = largest_fitting(workload, FP32, 64)
    assert batching.effective == 64
    if size == 64:
        assert batching.size == 64
    else:
        assert bytes_of_step(workload, FP32, batching.size) <= memory.MARGIN * free
        assert bytes_of_step(workload, FP32, 2 * batching.size) > memory.MARGIN * free
    assert needed[0] < needed[1]


def test_no_memory_at_all_is_no_clear_error(make_workload: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda device: 1e5)
    with pytest.raises(ConfigError, match=r"runtime\.batch_size=auto: not even one picture fits into the 0\.0001 GB"):
        largest_fitting(make_workload("baseline_cnn"), FP32, 64)


def test_optimiser_state_is_left_out(make_workload: Make) -> None:
    workload = make_workload("baseline_cnn")
    weights = sum(parameter.nbytes for parameter in workload.classifier.network.parameters())
    adamw = bytes_of_step(workload, FP32, 0)
    assert 3 * weights <= adamw < 3.1 * weights  # gradients and two moments


MEASURED = """
import torch
from mlops_cls.card import Architecture, ModelCard, Preprocess
from mlops_cls.choices import Device, Precision
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.runtime import Runtime
from mlops_cls.tuning.memory import _repeated, bytes_of_step
from mlops_cls.tuning.workload import Workload

preprocess = Preprocess(size=64, mean=(0.5,) * 3, std=(0.25,) * 3)
card = ModelCard(classes=("a", "b"), preprocess=preprocess, architecture=Architecture(name="resnet18"))
batch = torch.zeros(8, 3, 64, 64, dtype=torch.uint8), torch.zeros(8, dtype=torch.long)
workload, runtime = Workload(ImageClassifier(card), batch), Runtime(Device.cpu, Precision.fp32, True)
estimate = bytes_of_step(workload, runtime, 128) - bytes_of_step(workload, runtime, 8)
def resident(name):
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))

with workload.begun(runtime) as optimizer:
    workload.step(runtime, optimizer, _repeated(workload, 8))
    open("/proc/self/clear_refs", "w").write("5")  # The peak is now that of what follows.
    before = resident("VmRSS")
    workload.step(runtime, optimizer, _repeated(workload, 128))
print(estimate / (resident("VmHWM") - before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_the_estimate_for_a_cpu_is_below_what_a_step_takes_or_far_above() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    assert 0.8 < float(done.stdout) < 2


def test_memory_errors_of_torch_are_taken_for_others() -> None:
    assert ran_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(RuntimeError) as refusal:
        torch.empty(2**60, dtype=torch.uint8)
    assert ran_out_of_memory(refusal.value)
    assert not ran_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
