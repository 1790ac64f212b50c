"""Several processes as one run: which of them this is, what the first does alone, and how the others hear of it.

The environment says what a process is, in the words of torchrun: RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE.
Alone, every function here does the obvious and costs nothing.
"""

import atexit
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from mlops_cls.errors import ConfigError

Value = TypeVar("Value")

FAILED_ELSEWHERE = 2
"""Exit code of a process that ends because the first has failed, which says why."""
MEETING_PLACE = "MLOPS_CLS_MEETING_PLACE"
"""Where processes that we have started meet; those of torchrun meet at its own address."""
PATIENCE = timedelta(days=7)
"""How long the others wait for the first, which may be preparing a large data set; one that died ends the wait."""


def started_as_one_of_several() -> bool:
    """Tell whether torchrun, or `launch`, has started this process."""
    return "LOCAL_RANK" in os.environ


def local_rank() -> int:
    """Return which of the processes on this machine this is: the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def on_this_machine() -> int:
    """Return the number of processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if _met() else 1


def number() -> int:
    """Return the number of processes of the run, on all machines."""
    return distributed.get_world_size() if _met() else 1


def rank() -> int:
    """Return which of all processes this is."""
    return distributed.get_rank() if _met() else 0


def first() -> bool:
    """Tell whether this process writes files, prints and measures; one that is alone does."""
    return rank() == 0


def meet(*, cuda: bool) -> None:
    """Wait for the other processes of the run to be there; each takes the GPU of its number as its own.

    Raises:
        ConfigError: more processes on this machine than GPUs.
    """
    if not started_as_one_of_several() or _met():
        return
    if cuda:
        _take_gpu()
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if cuda else "gloo",
        init_method=os.environ.get(MEETING_PLACE, "env://"),
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
    )
    atexit.register(_part)


def share(value: Value) -> Value:
    """Return the first process's value, which JSON can say, in every process."""
    if number() == 1:
        return value
    text = json.dumps(value).encode() if first() else b""
    length = _from_first(torch.tensor([len(text)]))
    content = _from_first(torch.tensor(list(text or bytes(int(length))), dtype=torch.uint8))
    shared: Value = json.loads(bytes(content.tolist()))
    return shared


@contextmanager
def first_goes_ahead() -> Iterator[None]:
    """Let the first process through this block before the others; where it fails, they end without a word."""
    if not first():
        if not share(False):
            raise SystemExit(FAILED_ELSEWHERE)
        yield
        return
    try:
        yield
    except BaseException:
        share(False)
        raise
    share(True)


def on_first(work: Callable[[], Value]) -> Value:
    """Let the first process alone do the work, and return in all of them what it returned, which JSON can say.

    The others wait, and end where it fails.
    """
    value: Any = None
    with first_goes_ahead():
        if first():
            value = work()
    shared: Value = share(value)
    return shared


def anywhere(flag: bool) -> bool:
    """Tell every process whether the flag is set in any; all of them must ask, at the same point of their work."""
    if number() == 1:
        return flag
    flags = torch.tensor([flag], dtype=torch.uint8)
    distributed.all_reduce(flags, distributed.ReduceOp.MAX, group=_waiting_room())
    return bool(flags)


def _met() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _take_gpu() -> None:
    present = torch.cuda.device_count()
    if local_rank() >= present:
        raise ConfigError(
            f"{os.environ.get('LOCAL_WORLD_SIZE', 'several')} processes were asked for and this machine has {present} "
            f"GPUs: set trainer.devices={present} (with torchrun, --nproc-per-node={present}), or runtime.device=cpu"
        )
    torch.cuda.set_device(local_rank())


def _part() -> None:
    if _met():
        distributed.destroy_process_group()


def _from_first(tensor: Tensor) -> Tensor:
    work = distributed.broadcast(tensor, 0, group=_waiting_room(), async_op=True)
    assert work is not None
    while not work.is_completed():
        # Asleep in Python and not in the call, so that a signal is heard during hours of waiting.
        time.sleep(0.01)
    work.wait()
    return tensor


@cache
def _waiting_room() -> distributed.ProcessGroup:
    """Return a group for waiting: on the CPU, where it costs no GPU, and without the time limit of training's."""
    group = distributed.new_group(backend="gloo", timeout=PATIENCE)
    assert isinstance(group, distributed.ProcessGroup)
    return group
