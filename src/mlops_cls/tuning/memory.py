"""How many pictures fit on the device at once, and what to do when they did not."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mlops_cls.choices import Device
from mlops_cls.errors import ConfigError
from mlops_cls.runtime import Runtime, free_memory
from mlops_cls.tuning.workload import Workload

log = logging.getLogger(__name__)

MARGIN = 0.85
"""Share of the free memory that a step may take: later steps differ, and others use the machine too."""
WORKSPACE = 1.6
"""Times the tensors kept for backward that a step on the CPU takes in all, with gradients of activations and buffers of
the operators: growth of resident memory was 1.14 to 1.59 times for resnet18, efficientnet_b0, vit_tiny, convnext_atto
and baseline_cnn in fp32 and bf16."""
SAMPLE = 2


@dataclass(frozen=True, slots=True)
class Batching:
    """An optimiser step of `effective` pictures, taken `size` at a time."""

    effective: int
    size: int

    @property
    def parts(self) -> int:
        """Batches whose gradients are added up for one step."""
        return self.effective // self.size

    def smaller(self) -> "Batching | None":
        """Return the same step in more parts, or None if there is only one picture at a time already."""
        return next((Batching(self.effective, size) for size in divisors(self.effective) if size < self.size), None)


def divisors(number: int) -> Iterator[int]:
    """Yield the divisors from the greatest to 1."""
    return (size for size in range(number, 0, -1) if number % size == 0)


def largest_fitting(workload: Workload, runtime: Runtime, effective: int) -> Batching:
    """Return the step of `effective` pictures in as few parts as fit, each the same size.

    The optimiser's state and a margin are counted in. On a CUDA device real steps are taken; on others, where running
    out of memory would end the process, it is computed from the tensors that a small step keeps for its gradient.

    Raises:
        ConfigError: not even one picture fits.
    """
    for size in divisors(effective):
        needed, free = bytes_of_step(workload, runtime, size), free_memory(runtime.torch_device)
        if needed <= MARGIN * free:
            log.info("%d pictures at once need %.2g GB of the %.3g GB free", size, needed / 1e9, free / 1e9)
            return Batching(effective, size)
    raise ConfigError(
        f"runtime.batch_size=auto: not even one picture fits into the {free / 1e9:.3g} GB that are free: "
        "choose a smaller data.size or model"
    )


def bytes_of_step(workload: Workload, runtime: Runtime, pictures: int) -> float:
    """Return the memory that a training step needs beyond what is in use, in bytes; infinite if it ran out."""
    if runtime.device is Device.cuda:
        return _measured(workload, runtime, pictures)
    constant, each = _kept_for_backward(workload, runtime)
    return constant + WORKSPACE * each * pictures


def _measured(workload: Workload, runtime: Runtime, pictures: int) -> float:
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    try:
        with workload.begun(runtime) as optimizer:
            for _ in range(2):
                workload.step(runtime, optimizer, _repeated(workload, pictures))
        return torch.cuda.max_memory_reserved() - before
    except torch.OutOfMemoryError:
        return math.inf


def _kept_for_backward(workload: Workload, runtime: Runtime) -> tuple[float, float]:
    """Return the bytes of gradients and optimiser state, and those kept for backward per picture."""
    with workload.begun(runtime) as optimizer:
        one, two = (_saved(workload, runtime, number) for number in (SAMPLE, 2 * SAMPLE))
        workload.step(runtime, optimizer, _repeated(workload, SAMPLE))
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        state = [value for values in optimizer.state.values() for value in values.values() if torch.is_tensor(value)]
        constant = sum(tensor.nbytes for tensor in [*parameters, *state])
    return constant, (two - one) / SAMPLE


def _saved(workload: Workload, runtime: Runtime, pictures: int) -> int:
    """Return the bytes of what autograd keeps, each storage counted once."""
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), runtime.autocast():
        loss = workload.classifier.training_step(_repeated(workload, pictures), 0)
    del loss
    return sum(storages.values())


def _repeated(workload: Workload, pictures: int) -> tuple[Tensor, Tensor]:
    images, labels = workload.batch
    rows = torch.arange(pictures) % len(labels)
    return images[rows], labels[rows]


def ran_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error is that of a device, or of torch's allocator on the CPU, without memory left."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
