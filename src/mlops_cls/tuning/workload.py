"""Training steps on a copy of the classifier: what every measurement before training measures."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch.optim import Optimizer

from mlops_cls.data.loader import Batch
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.finetune import set_frozen
from mlops_cls.models.optim import make_optimizer
from mlops_cls.runtime import Runtime

GENTLE = 0.1
FEWEST = 8


class Workload:
    """The run's own training step, taken by a copy: the classifier and torch's random numbers stay as they are.

    Args:
        classifier: what will be trained; loss, optimiser, mixup and cutmix are its own.
        batch: uint8[B,C,H,W] and int64[B], what steps are taken on.
        frozen: whether only the last layer will be trained.
    """

    def __init__(self, classifier: ImageClassifier, batch: Batch, *, frozen: bool = False) -> None:
        self.batch, self.frozen = batch, frozen
        self.classifier = deepcopy(classifier).train()
        self._start = deepcopy(self.classifier.state_dict())
        self._compiled = False

    @property
    def pictures(self) -> int:
        """Number of pictures in a step."""
        return len(self.batch[1])

    def shorten(self, pictures: float) -> None:
        """Take fewer pictures a step, if these are fewer."""
        number = max(int(pictures), FEWEST)
        self.batch = (self.batch[0][:number], self.batch[1][:number])

    def timed(self, runtime: Runtime, steps: int) -> tuple[float, list[float]]:
        """Return the seconds of a step, the first not counted, and the losses of all, the first included."""
        with self.begun(runtime) as optimizer:
            losses = [self.step(runtime, optimizer, self.batch)]
            runtime.synchronise()
            start = time.perf_counter()
            losses += [self.step(runtime, optimizer, self.batch) for _ in range(steps)]
            runtime.synchronise()
            return (time.perf_counter() - start) / steps, [float(loss) for loss in losses]

    @contextmanager
    def begun(self, runtime: Runtime) -> Iterator[Optimizer]:
        """Put the copy back to its start on the runtime's device, with a fresh optimiser and equal random numbers."""
        self.classifier.load_state_dict(self._start)
        self.classifier.memory_format = runtime.memory_format
        self.classifier.to(runtime.torch_device, memory_format=runtime.memory_format)
        if self.frozen:
            set_frozen(self.classifier.network, True)
        optimizer = make_optimizer(self.classifier.network, self.classifier.optim)
        for group in optimizer.param_groups:
            # Few steps at the full rate can lead anywhere, and then no two precisions agree.
            group["lr"] *= GENTLE
        with self._stance(runtime), torch.random.fork_rng():
            torch.manual_seed(0)
            yield optimizer

    def step(self, runtime: Runtime, optimizer: Optimizer, batch: Batch) -> torch.Tensor:
        """Take one step and return its loss; nothing waits for the device."""
        images, labels = (part.to(runtime.torch_device, non_blocking=True) for part in batch)
        with runtime.autocast():
            loss = self.classifier.training_step((images, labels), 0)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        return loss.detach()

    @contextmanager
    def _stance(self, runtime: Runtime) -> Iterator[None]:
        """Compile, or do without what was compiled before."""
        if runtime.compile and not self._compiled:
            self.classifier.network.compile()
            self._compiled = True
        if runtime.compile or not self._compiled:
            yield
            return
        with torch.compiler.set_stance("force_eager"):
            yield
